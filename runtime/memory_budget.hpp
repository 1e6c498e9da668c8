// How much memory a rank may use, and how large its KV pool becomes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace argosy {

// Bytes that this node can still give: the least of what the kernel calls available and what the control groups of this
// process leave. `root` is "/" but for tests.
std::int64_t available_memory_bytes(const std::filesystem::path& root = "/");

struct PoolNeed {
    std::int64_t block_bytes = 0;    // of one block on this rank; 0: the rank holds no heads
    std::int64_t budget_bytes = 0;   // --kv-memory, or this rank's share of what is free
    std::int64_t useful_blocks = 0;  // more would stay empty
    bool budget_given = false;       // by the user
};

// Blocks of the pool: what the budget holds, not more than is useful. Error(usage) when the budget does not hold a
// single block. A rank without heads sets no limit: the result is useful_blocks.
std::int64_t pool_blocks(const PoolNeed& need);

}  // namespace argosy
