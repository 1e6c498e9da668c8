// Reading limits from the kernel, and sizing the pool.
#include "runtime/memory_budget.hpp"

#include <algorithm>
#include <fstream>
#include <limits>
#include <sstream>

#include "kernels/base/error.hpp"

namespace argosy {

namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kNoLimit = std::numeric_limits<std::int64_t>::max();

// The number in a one-line file; kNoLimit when there is none ("max") or no file.
std::int64_t read_number(const fs::path& path) {
    std::ifstream file(path);
    std::int64_t number = 0;
    return file >> number ? number : kNoLimit;
}

std::int64_t kernel_available(const fs::path& root) {
    std::ifstream file(root / "proc/meminfo");
    for (std::string line; std::getline(file, line);) {
        std::istringstream words(line);
        std::string key;
        std::int64_t kib = 0;
        if (words >> key >> kib && key == "MemAvailable:") return kib * 1024;
    }
    return kNoLimit;
}

// Limit minus use of the control group and all above it: any of them may be the narrowest. Page cache that the group
// could drop counts as used here, so "inactive_file" is added back.
std::int64_t group_left(const fs::path& root) {
    std::ifstream file(root / "proc/self/cgroup");
    std::int64_t left = kNoLimit;
    for (std::string line; std::getline(file, line);) {
        if (line.rfind("0::", 0) != 0) continue;
        for (fs::path group = line.substr(3); group.has_relative_path() || group == "/"; group = group.parent_path()) {
            const fs::path folder = root / "sys/fs/cgroup" / group.relative_path();
            const std::int64_t limit = read_number(folder / "memory.max");
            const std::int64_t used = read_number(folder / "memory.current");
            if (limit != kNoLimit && used != kNoLimit) {
                std::int64_t cache = 0;
                std::ifstream stat(folder / "memory.stat");
                std::string key;
                for (std::int64_t value = 0; stat >> key >> value;) {
                    if (key == "inactive_file") cache = value;
                }
                left = std::min(left, std::max<std::int64_t>(0, limit - used + cache));
            }
            if (group == "/") break;
        }
    }
    return left;
}

}  // namespace

std::int64_t available_memory_bytes(const fs::path& root) {
    const std::int64_t bytes = std::min(kernel_available(root), group_left(root));
    return bytes == kNoLimit ? std::int64_t{1} << 30 : bytes;  // nothing known: assume little
}

std::int64_t pool_blocks(const PoolNeed& need) {
    if (need.block_bytes == 0) return need.useful_blocks;
    const std::int64_t fit = need.budget_bytes / need.block_bytes;
    if (fit < 1) {
        fail(ErrorKind::usage,
             "The KV pool of {} bytes does not hold one block of {} bytes. Give {} more, or spread the model over more "
             "ranks.",
             need.budget_bytes, need.block_bytes, need.budget_given ? "--kv-memory" : "the job");
    }
    return std::min(fit, need.useful_blocks);
}

}  // namespace argosy
