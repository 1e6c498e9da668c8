// Blocks of windows, by formula.
#include "runtime/schedule/kv_window.hpp"

#include <algorithm>

#include "kernels/ops.hpp"

namespace argosy {

std::int64_t blocks_for(std::int64_t tokens) { return (tokens + kKvBlockTokens - 1) / kKvBlockTokens; }

int first_block_seen(int window, std::int64_t position) {
    if (window == 0 || position < window) return 0;
    return static_cast<int>((position - window + 1) / kKvBlockTokens);
}

std::int64_t most_blocks(int window, std::int64_t tokens, std::int64_t step_rows) {
    const std::int64_t all = blocks_for(tokens);
    if (window == 0) return all;
    return std::min(all, blocks_for(step_rows + window - 2) + 1);
}

std::int64_t most_blocks(std::span<const int> windows, std::int64_t tokens, std::int64_t step_rows) {
    std::int64_t blocks = 0;
    for (const int window : windows) blocks += most_blocks(window, tokens, step_rows);
    return blocks;
}

}  // namespace argosy
