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

// The names of a control group's files, which differ between the two versions of the interface.
struct GroupFiles {
    const char* limit;
    const char* used;
    const char* droppable;  // key in memory.stat: page cache that counts as used and could be dropped
};
constexpr GroupFiles kVersion1{"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"};
constexpr GroupFiles kVersion2{"memory.max", "memory.current", "inactive_file"};

std::int64_t left_in(const fs::path& folder, const GroupFiles& files) {
    const std::int64_t limit = read_number(folder / files.limit);
    const std::int64_t used = read_number(folder / files.used);
    // Version 1 writes "no limit" as the largest whole number of pages.
    if (limit >= kNoLimit / 2 || used == kNoLimit) return kNoLimit;
    std::int64_t cache = 0;
    std::ifstream stat(folder / "memory.stat");
    std::string key;
    for (std::int64_t value = 0; stat >> key >> value;) {
        if (key == files.droppable) cache = value;
    }
    return std::max<std::int64_t>(0, limit - used + cache);
}

// Limit minus use of the control group and all above it: any of them may be the narrowest. In a container the group's
// path may be one that only the host knows; the mount's own top is then the container's group.
std::int64_t least_left(const fs::path& mount, const fs::path& group, const GroupFiles& files) {
    std::int64_t left = left_in(mount, files);
    fs::path folder = mount;
    for (const fs::path& part : group.relative_path()) {
        folder /= part;
        left = std::min(left, left_in(folder, files));
    }
    return left;
}

// Lines of /proc/self/cgroup: "0::/user/job" (version 2), "4:memory:/job" or "5:cpu,memory:/job" (version 1).
std::int64_t group_left(const fs::path& root) {
    const fs::path mounts = root / "sys/fs/cgroup";
    std::ifstream file(root / "proc/self/cgroup");
    std::int64_t left = kNoLimit;
    for (std::string line; std::getline(file, line);) {
        const std::size_t first = line.find(':');
        const std::size_t second = line.find(':', first + 1);
        if (second == std::string::npos) continue;
        const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
        const fs::path group = line.substr(second + 1);
        if (controllers == ",,") {
            left = std::min(
                {left, least_left(mounts, group, kVersion2), least_left(mounts / "unified", group, kVersion2)});
        } else if (controllers.find(",memory,") != std::string::npos) {
            left = std::min(left, least_left(mounts / "memory", group, kVersion1));
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
