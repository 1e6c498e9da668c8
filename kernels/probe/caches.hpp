// The data caches of the CPU that this process runs on, as the kernel lists them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

namespace argosy {

struct DataCache {
    int level = 0;
    std::int64_t bytes = 0;
    int cpus = 1;  // logical CPUs that share it
    bool operator==(const DataCache&) const = default;
};

// By rising level; empty where the kernel tells nothing. `root` is "/" but for tests.
std::vector<DataCache> data_caches(const std::filesystem::path& root = "/");

}  // namespace argosy
