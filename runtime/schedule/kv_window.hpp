// How many KV blocks a sequence holds in the layers that see a window of it, and in those that see all of it. Pure.
#pragma once

#include <cstdint>
#include <span>

namespace argosy {

// Blocks of so many tokens.
std::int64_t blocks_for(std::int64_t tokens);

// The first block that a row at `position` reads in layers that see `window` tokens, itself included; 0: all, so block
// 0. Example: blocks of 16 tokens, window 20, position 40: keys 21 .. 40, so block 1.
int first_block_seen(int window, std::int64_t position);

// The most blocks that a sequence holds at once in such layers until `tokens` of its tokens are stored, in steps of up
// to step_rows of its rows: step_rows + window - 1 adjacent tokens, wherever they begin within a block.
// Example: window 20, a row a step: 20 tokens touch 3 blocks at most.
std::int64_t most_blocks(int window, std::int64_t tokens, std::int64_t step_rows);

// The same over groups of layers, windows[g] each.
std::int64_t most_blocks(std::span<const int> windows, std::int64_t tokens, std::int64_t step_rows);

}  // namespace argosy
