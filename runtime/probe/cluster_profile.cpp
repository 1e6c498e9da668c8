// Finding a profile, and what it means for one rank.
#include "runtime/probe/cluster_profile.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>

#include "kernels/base/error.hpp"

namespace argosy {

namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kProfileBytesMax = 1 << 20;

// A rank's part of something that every core has by itself: per core what a core has while all that were measured work,
// and no more than one has alone. Threads beyond the cores bring nothing.
double part_of_cores(const NodeFigures& figures, const ClusterProfile& profile, int threads, int node_threads) {
    const double cores_measured = std::min(profile.threads_per_node(), profile.cores_per_node);
    const double per_core = std::min(figures.alone.median, figures.node.median / cores_measured);
    return per_core * std::min(1.0, static_cast<double>(profile.cores_per_node) / node_threads) * threads;
}

// A rank's part of something that the whole node shares: an even one, and per thread no more than one has alone.
double part_of_node(const NodeFigures& figures, int threads, int node_threads) {
    return std::min(figures.alone.median * threads, figures.node.median * threads / node_threads);
}

const ArithmeticFigures& arithmetic_of(const ClusterProfile& profile, std::string_view isa, std::string_view kind) {
    for (const ArithmeticFigures& figures : profile.arithmetic) {
        if (figures.kind == kind && figures.isa == isa) return figures;
    }
    fail(ErrorKind::usage,
         "The cluster profile of {} has no {} figures for {}, which this job uses. Measure this machine with argosy "
         "probe, or leave out --cluster.",
         profile.host, kind, isa);
}

}  // namespace

ClusterProfile load_cluster_profile(const std::string& name, const std::vector<fs::path>& folders) {
    std::vector<fs::path> places{name};
    for (const fs::path& folder : folders) places.push_back(folder / (name + ".json"));
    for (const fs::path& place : places) {
        if (!fs::is_regular_file(place)) continue;
        std::ifstream file(place, std::ios::binary);
        std::string text;
        text.resize(static_cast<std::size_t>(kProfileBytesMax) + 1);
        file.read(text.data(), static_cast<std::streamsize>(text.size()));
        text.resize(static_cast<std::size_t>(file.gcount()));
        if (static_cast<std::int64_t>(text.size()) > kProfileBytesMax) {
            fail(ErrorKind::input, "{} is larger than {} bytes; it is no cluster profile. Check --cluster.",
                 place.string(), kProfileBytesMax);
        }
        return parse_cluster_profile(text, place.string());
    }
    fail(ErrorKind::usage, "There is no cluster profile \"{}\". Check --cluster, or write one with argosy probe.",
         name);
}

MachineSpeeds machine_speeds(const ClusterProfile& profile, std::string_view isa, int threads, int node_threads,
                             bool several_nodes, std::string_view kind) {
    const int all = std::max(node_threads, threads);
    MachineSpeeds speeds;
    const std::string_view f32_isa = isa == "amx" ? "avx512" : isa;  // tiles multiply codes and bf16 alone
    speeds.gflops = part_of_cores(arithmetic_of(profile, f32_isa, "f32").gops, profile, threads, all);
    speeds.product_gops = part_of_cores(arithmetic_of(profile, isa, kind).gops, profile, threads, all);
    speeds.memory_gbytes_per_s = part_of_node(profile.read_gbytes, threads, all);
    for (const CacheFigures& cache : profile.caches) {
        const bool private_to_core = cache.cpus < profile.cores_per_node;
        speeds.caches.push_back({cache.bytes * threads / std::min(cache.cpus, all),
                                 private_to_core ? part_of_cores(cache.read_gbytes, profile, threads, all)
                                                 : part_of_node(cache.read_gbytes, threads, all)});
    }
    for (const LinkFigures& link : profile.links) {
        if ((link.between == "other node") == several_nodes) speeds.send_gbytes_per_s = link.gbytes_together.median;
    }
    speeds.verb_ns = profile.step_word_us.median * 1e3;
    return speeds;
}

}  // namespace argosy
