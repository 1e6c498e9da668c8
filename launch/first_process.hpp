// Which of several processes that a launcher started does the work of a command that needs no MPI.
#pragma once

#include <cstdlib>

namespace argosy {

inline bool is_first_process() {
    for (const char* name : {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"}) {
        const char* rank = std::getenv(name);
        if (rank != nullptr) return std::atoi(rank) == 0;
    }
    return true;
}

}  // namespace argosy
