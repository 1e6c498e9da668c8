// The door to hwloc: which NUMA domain a rank lives in.
#pragma once

#include <string>

namespace argosy {

struct NumaPlace {
    int domains = 1;  // NUMA domains of this node that hold cores
    int domain = 0;   // the one that holds all cores of the calling process's affinity mask; -1: the mask spans several
    int cores = 1;    // in the affinity mask
    bool operator==(const NumaPlace&) const = default;
};

// Never fails: a machine that hwloc cannot read counts as one domain.
NumaPlace numa_place();

// "2 cores of NUMA domain 0 (of 1)".
std::string describe(const NumaPlace& place);

}  // namespace argosy
