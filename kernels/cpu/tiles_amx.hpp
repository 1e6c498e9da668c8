// The tile registers of AMX: 8 of at most 16 rows of 64 bytes. Included by the sources amx_*.cpp alone.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/base/amx_tile_shapes.hpp"
#include "kernels/cpu/panels.hpp"

namespace argosy::cpu_amx {
namespace {

// What leaves have beyond whole tiles, for which there is one more shape: the one number other than 0 that
// `tail(columns)` gives for a leaf; 0 if there is none, -1 if there are several.
template <class Tail>
inline int common_tail(const MatrixSpec& spec, const Tail& tail) {
    int common = 0;
    for (int i = 0; i < leaf_parts(spec); ++i) {
        const auto here = static_cast<int>(tail(leaf_part_begin(spec, i + 1) - leaf_part_begin(spec, i)));
        if (here == 0) continue;
        if (common != 0 && common != here) return -1;
        common = here;
    }
    return common;
}

inline void set_shape(AmxTileShapes& shapes, int tile, int rows, int row_bytes) {
    const bool used = rows > 0 && row_bytes > 0;
    shapes.rows[tile] = static_cast<std::uint8_t>(used ? rows : 0);
    shapes.row_bytes[tile] = static_cast<std::uint16_t>(used ? row_bytes : 0);
}

// In words and not by intrinsics: GCC 12's own tell the compiler nothing of the memory that a tile is loaded from.
[[gnu::always_inline]] inline void use_shapes(const AmxTileShapes& shapes) {
    asm volatile("ldtilecfg %0" : : "m"(shapes));
}
// Gives the registers back, so that a thread that is interrupted has no tiles to save.
[[gnu::always_inline]] inline void release_tiles() { asm volatile("tilerelease"); }

template <int kTile>
[[gnu::always_inline]] inline void zero_tile() {
    asm volatile("tilezero %%tmm%c0" : : "i"(kTile));
}
// Rows of a tile stand 64 bytes apart in memory.
template <int kTile>
[[gnu::always_inline]] inline void load_tile(const void* from) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(from), "r"(std::int64_t{64}), "i"(kTile) : "memory");
}
template <int kTile>
[[gnu::always_inline]] inline void store_tile(void* to) {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(to), "r"(std::int64_t{64}), "i"(kTile) : "memory");
}
// Few rows wait for memory, and loads of tiles alone leave half of its speed unused: with each tile of weights the one
// four kilobytes further on is asked for. Of more rows the next task's panels are asked for instead (FetchAhead).
[[gnu::always_inline]] inline void fetch_weights_behind(const std::byte* weights) {
    constexpr int kAheadBytes = 4096;
#pragma GCC unroll 16
    for (int line = 0; line < 16; ++line) __builtin_prefetch(weights + kAheadBytes + line * 64, 0, 2);
}

// kSum[m][n] += sum over k and i < 4 of kCodes[m][4 k + i] (with sign) * kWeights[k][4 n + i] (without), in 32 bits.
template <int kSum, int kCodes, int kWeights>
[[gnu::always_inline]] inline void multiply_codes() {
    asm volatile("tdpbsud %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kSum), "i"(kCodes), "i"(kWeights));
}
// kSum[m][n] += sum over k and i < 2 of kRows[m][2 k + i] * kWeights[k][2 n + i], of bf16 in f32, in the order of rule
// R12.
template <int kSum, int kRows, int kWeights>
[[gnu::always_inline]] inline void multiply_bf16() {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kSum), "i"(kRows), "i"(kWeights));
}

}  // namespace
}  // namespace argosy::cpu_amx
