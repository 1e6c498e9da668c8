// Reading the machine's NUMA domains and this process's affinity mask through hwloc.
#include "parallel/numa.hpp"

#include <fmt/format.h>
#include <hwloc.h>

#include <algorithm>
#include <memory>
#include <type_traits>

namespace argosy {

namespace {
struct DestroyTopology {
    void operator()(hwloc_topology_t topology) const { hwloc_topology_destroy(topology); }
};
struct FreeBitmap {
    void operator()(hwloc_bitmap_t bitmap) const { hwloc_bitmap_free(bitmap); }
};
using Topology = std::unique_ptr<std::remove_pointer_t<hwloc_topology_t>, DestroyTopology>;
using Bitmap = std::unique_ptr<std::remove_pointer_t<hwloc_bitmap_t>, FreeBitmap>;
}  // namespace

NumaPlace numa_place() {
    NumaPlace place;
    hwloc_topology_t raw = nullptr;
    if (hwloc_topology_init(&raw) != 0) return place;
    const Topology topology(raw);
    if (hwloc_topology_load(topology.get()) != 0) return place;
    const Bitmap mask(hwloc_bitmap_alloc());
    if (!mask || hwloc_get_cpubind(topology.get(), mask.get(), HWLOC_CPUBIND_PROCESS) != 0) return place;
    place.cores = std::max(1, hwloc_bitmap_weight(mask.get()));
    place.domains = 0;
    place.domain = -1;
    const int nodes = hwloc_get_nbobjs_by_type(topology.get(), HWLOC_OBJ_NUMANODE);
    for (int i = 0; i < nodes; ++i) {
        const hwloc_obj_t node = hwloc_get_obj_by_type(topology.get(), HWLOC_OBJ_NUMANODE, static_cast<unsigned>(i));
        if (node->cpuset == nullptr || hwloc_bitmap_iszero(node->cpuset)) continue;  // memory without cores
        if (place.domain < 0 && hwloc_bitmap_isincluded(mask.get(), node->cpuset)) place.domain = place.domains;
        ++place.domains;
    }
    if (place.domains <= 1) place = {1, 0, place.cores};
    return place;
}

std::string describe(const NumaPlace& place) {
    const std::string cores = fmt::format("{} core{}", place.cores, place.cores == 1 ? "" : "s");
    if (place.domain < 0) return fmt::format("{} across several of {} NUMA domains", cores, place.domains);
    return fmt::format("{} of NUMA domain {} (of {})", cores, place.domain, place.domains);
}

}  // namespace argosy
