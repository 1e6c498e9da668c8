// Row limits that groups agree on, and the size of the KV pool.
#include <catch2/catch.hpp>

#include "kernels/base/error.hpp"
#include "runtime/engine.hpp"
#include "runtime/memory_budget.hpp"
#include "tests/support/shared_data.hpp"

#include <fstream>

using namespace argosy;

namespace {
StepWord word(int decode, int prefill, int waiting) {
    StepWord w;
    w.decode_rows = decode;
    w.prefill_rows = prefill;
    w.waiting = waiting;
    return w;
}
}  // namespace

TEST_CASE("prefill is held back only while some group does nothing but decode") {
    CHECK(agree_limits(std::vector{word(8, 2000, 0), word(40, 10, 0)}, 512) == StepLimits{512, -1});
    CHECK(agree_limits(std::vector{word(8, 2000, 0), word(40, 0, 3)}, 512) == StepLimits{512, -1});
    CHECK(agree_limits(std::vector{word(8, 2000, 0), word(40, 0, 0)}, 512) == StepLimits{512, 128});
    CHECK(agree_limits(std::vector{word(8, 2000, 0), word(300, 0, 0)}, 512) == StepLimits{512, 300});
    CHECK(agree_limits(std::vector{word(0, 5, 0), word(0, 0, 0)}, 512) == StepLimits{512, -1});
    CHECK(agree_limits(std::vector{word(1, 0, 0), word(0, 9, 0)}, 1) == StepLimits{1, 1});
}

TEST_CASE("the pool is what the budget holds, not more than is useful") {
    CHECK(pool_blocks({.block_bytes = 100, .budget_bytes = 1050, .useful_blocks = 50, .budget_given = true}) == 10);
    CHECK(pool_blocks({.block_bytes = 100, .budget_bytes = 100000, .useful_blocks = 50, .budget_given = false}) == 50);
    CHECK(pool_blocks({.block_bytes = 0, .budget_bytes = 0, .useful_blocks = 50, .budget_given = true}) == 50);
    CHECK_THROWS_AS(pool_blocks({.block_bytes = 100, .budget_bytes = 99, .useful_blocks = 50, .budget_given = true}),
                    Error);
}

TEST_CASE("available memory is the narrowest of the kernel and the control groups above the process") {
    const test::TempDir root;
    const auto write = [&](const char* path, const std::string& text) {
        std::filesystem::create_directories((root.path() / path).parent_path());
        std::ofstream(root.path() / path) << text;
    };
    write("proc/meminfo", "MemTotal: 9000 kB\nMemAvailable:    8000 kB\n");
    CHECK(available_memory_bytes(root.path()) == 8000 * 1024);
    write("proc/self/cgroup", "0::/job/step\n");
    write("sys/fs/cgroup/job/memory.max", "1000000\n");
    write("sys/fs/cgroup/job/memory.current", "600000\n");
    write("sys/fs/cgroup/job/memory.stat", "anon 5\ninactive_file 100000\nactive_file 7\n");
    write("sys/fs/cgroup/job/step/memory.max", "max\n");
    write("sys/fs/cgroup/job/step/memory.current", "600000\n");
    CHECK(available_memory_bytes(root.path()) == 500000);
    write("sys/fs/cgroup/job/step/memory.max", "700000\n");
    CHECK(available_memory_bytes(root.path()) == 100000);
}

TEST_CASE("control groups of version 1 limit memory too, also seen from inside a container") {
    const test::TempDir root;
    const auto write = [&](const char* path, const std::string& text) {
        std::filesystem::create_directories((root.path() / path).parent_path());
        std::ofstream(root.path() / path) << text;
    };
    write("proc/self/cgroup", "5:cpuset:/job\n4:cpu,memory:/job/step\n0::/\n");
    write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    write("sys/fs/cgroup/memory/memory.usage_in_bytes", "123456789\n");
    CHECK(available_memory_bytes(root.path()) == std::int64_t{1} << 30);  // no limit, and nothing else is known
    write("proc/meminfo", "MemAvailable:    8000 kB\n");
    CHECK(available_memory_bytes(root.path()) == 8000 * 1024);
    write("sys/fs/cgroup/memory/job/memory.limit_in_bytes", "3000000\n");
    write("sys/fs/cgroup/memory/job/memory.usage_in_bytes", "1000000\n");
    write("sys/fs/cgroup/memory/job/memory.stat", "inactive_file 7\ntotal_inactive_file 250000\n");
    CHECK(available_memory_bytes(root.path()) == 2250000);
    write("sys/fs/cgroup/memory/job/step/memory.limit_in_bytes", "900000\n");
    write("sys/fs/cgroup/memory/job/step/memory.usage_in_bytes", "400000\n");
    CHECK(available_memory_bytes(root.path()) == 500000);
    // In a container the path is the host's, and the mount's top is the container's own group.
    std::filesystem::remove_all(root.path() / "sys/fs/cgroup/memory/job");
    write("sys/fs/cgroup/memory/memory.limit_in_bytes", "130000000\n");
    CHECK(available_memory_bytes(root.path()) == 130000000 - 123456789);
    // A version 1 limit on another controller's path is none of memory's business.
    write("proc/self/cgroup", "5:cpuset:/job\n");
    CHECK(available_memory_bytes(root.path()) == 8000 * 1024);
}
