// The innermost product: a register tile of rows x panels, each output lane one FMA chain in order over k (rule R3).
//
// The rows of x stand copied as [k/16][rows][16], so that one pointer and constant offsets reach all of them whatever
// their stride, and gathered rows cost what adjacent ones do. A weight is decoded once per k for all rows of the tile.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/base/inline.hpp"
#include "kernels/base/lanes.hpp"
#include "kernels/cpu/generic/leaf_walk.hpp"
#include "kernels/cpu/generic/tile_columns.hpp"

namespace argosy {

// Panel weights as stored: the vectors of step k and k + 1 from the panel's bytes at an even k.
struct PanelF32 {
    static constexpr bool kPairs = false;
    static constexpr bool kTiles = false;
    static constexpr int kBlockFloats = kChainBlock;  // of a row's block of columns, as copied
    static constexpr std::int64_t kPairBytes = 128;
    static constexpr std::int64_t kLastBytes = 64;  // of an odd last k
    template <class V>
    [[gnu::always_inline]] static V even(const std::byte* pair) {
        return V::load(reinterpret_cast<const float*>(pair));
    }
    template <class V>
    [[gnu::always_inline]] static V odd(const std::byte* pair) {
        return V::load(reinterpret_cast<const float*>(pair) + 16);
    }
};
struct PanelBf16 {
    static constexpr bool kPairs = false;
    static constexpr bool kTiles = false;
    static constexpr int kBlockFloats = kChainBlock;
    static constexpr std::int64_t kPairBytes = 64;
    static constexpr std::int64_t kLastBytes = 64;
    template <class V>
    [[gnu::always_inline]] static V even(const std::byte* pair) {
        return V::low_bf16(reinterpret_cast<const std::uint32_t*>(pair));
    }
    template <class V>
    [[gnu::always_inline]] static V odd(const std::byte* pair) {
        return V::high_bf16(reinterpret_cast<const std::uint32_t*>(pair));
    }
};

// The same bytes, multiplied in pairs with rows that are rounded when they are copied. P brings the instruction set's
// product of pairs, and kTiles: whether in the order of tiles (rule R12) or one after the other (rule R11).
template <class P>
struct PanelPairs : P {
    static constexpr bool kPairs = true;
    static constexpr int kBlockFloats = kChainBlock / 2;  // a pair takes the room of a float
    static constexpr std::int64_t kPairBytes = 64;
    static constexpr std::int64_t kLastBytes = 64;
};

// Weights of the next task, asked for while this one computes, so that memory and arithmetic work at the same time:
// the innermost loop asks for `lines` cache lines with every kChainBlock steps of k.
// Two ranges, one after the other, since gate and up panels lie apart.
struct FetchAhead {
    const std::byte* next = nullptr;
    const std::byte* end = nullptr;
    const std::byte* then = nullptr;
    const std::byte* then_end = nullptr;
    int lines = 0;  // 0: nothing left
};

ARGOSY_INLINE void start_next_range(FetchAhead& ahead) {
    ahead.next = ahead.then;
    ahead.end = ahead.then_end;
    ahead.then = nullptr;
    if (ahead.next == nullptr) ahead.lines = 0;
}

// Panels come from the second-level cache; tiles with enough arithmetic for it ask for what they read so far ahead.
inline constexpr std::int64_t kPanelAheadBytes = 1024;
inline constexpr int kPanelAheadTile = 16;  // rows x panels

// acc[r][p] = fma(x[r][k], w[p], acc[r][p]) for one k.
template <class V, int kRows, int kPanels>
[[gnu::always_inline]] static inline void chain_step(V (&acc)[kRows][kPanels], const V (&w)[kPanels], const float* x) {
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
        const V value = V::set(x[r * kChainBlock]);
#pragma GCC unroll 8
        for (int p = 0; p < kPanels; ++p) acc[r][p] = vfma(value, w[p], acc[r][p]);
    }
}

// The same for one pair of columns, of which x holds a row's in one float.
template <class V, class Weights, int kRows, int kPanels>
[[gnu::always_inline]] static inline void pair_step(V (&acc)[kRows][kPanels], const std::byte* const (&pair)[kPanels],
                                                    const float* x) {
    typename Weights::Weights w[kPanels];
#pragma GCC unroll 8
    for (int p = 0; p < kPanels; ++p) w[p] = Weights::load(pair[p]);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
        const typename Weights::Pair value = Weights::broadcast(x + r * Weights::kBlockFloats);
#pragma GCC unroll 8
        for (int p = 0; p < kPanels; ++p) acc[r][p] = Weights::dot(acc[r][p], w[p], value);
    }
}

// chain_columns for pairs; an odd last column stands beside zeros, in x and in the panel.
template <class V, class Weights, int kRows, int kPanels>
[[gnu::always_inline]] static inline void pair_columns(V (&acc)[kRows][kPanels], const float*& x,
                                                       const std::byte* (&pair)[kPanels], std::int64_t columns,
                                                       const std::byte*& fetch, int lines) {
    constexpr int kPairsOfBlock = kChainBlock / 2;
    const auto advance = [&] {
#pragma GCC unroll 8
        for (int p = 0; p < kPanels; ++p) pair[p] += Weights::kPairBytes;
    };
    std::int64_t left = (columns + 1) / 2;
    for (; left >= kPairsOfBlock; left -= kPairsOfBlock, x += kRows * Weights::kBlockFloats) {
        for (int line = 0; line < lines; ++line, fetch += 64) __builtin_prefetch(fetch, 0, 2);
#pragma GCC unroll 4
        for (int i = 0; i < kPairsOfBlock; ++i) {
            pair_step<V, Weights, kRows, kPanels>(acc, pair, x + i);
            advance();
        }
    }
    if (left == 0) return;
    for (int i = 0; i < left; ++i) {
        pair_step<V, Weights, kRows, kPanels>(acc, pair, x + i);
        advance();
    }
    x += kRows * Weights::kBlockFloats;
}

// What an instruction set has of its own for kChainBlock steps of one tile: x [kRows][16], w the panel's bytes there.
template <class V, class Weights, int kRows, int kPanels>
struct BlockSteps {
    static constexpr bool kOwn = false;
};

// One part's chains: x is [columns/16][kRows][16], pair[p] the panel's bytes at its first column; columns is even
// except where a leaf ends. `lines` cache lines from `fetch` on are asked for with every block of columns.
template <class V, class Weights, int kRows, int kPanels>
[[gnu::always_inline]] static inline void chain_columns(V (&acc)[kRows][kPanels], const float*& x,
                                                        const std::byte* (&pair)[kPanels], std::int64_t columns,
                                                        const std::byte*& fetch, int lines) {
    V w[kPanels];
    std::int64_t k = 0;
    for (; k + kChainBlock <= columns; k += kChainBlock, x += kRows * kChainBlock) {
        for (int line = 0; line < lines; ++line, fetch += 64) __builtin_prefetch(fetch, 0, 2);
        if constexpr (BlockSteps<V, Weights, kRows, kPanels>::kOwn) {
            BlockSteps<V, Weights, kRows, kPanels>::run(acc, x, pair[0]);
            pair[0] += kChainBlock / 2 * Weights::kPairBytes;
            continue;
        }
#pragma GCC unroll 2
        for (int step = 0; step < kChainBlock; step += 2) {
#pragma GCC unroll 8
            for (int p = 0; p < kPanels; ++p) {
                if (kRows * kPanels >= kPanelAheadTile) {
                    for (std::int64_t line = 0; line < Weights::kPairBytes; line += 64)
                        __builtin_prefetch(pair[p] + kPanelAheadBytes + line, 0, 3);
                }
                w[p] = Weights::template even<V>(pair[p]);
            }
            chain_step<V, kRows, kPanels>(acc, w, x + step);
#pragma GCC unroll 8
            for (int p = 0; p < kPanels; ++p) w[p] = Weights::template odd<V>(pair[p]);
            chain_step<V, kRows, kPanels>(acc, w, x + step + 1);
#pragma GCC unroll 8
            for (int p = 0; p < kPanels; ++p) pair[p] += Weights::kPairBytes;
        }
    }
    if (k == columns) return;
    for (const float* left = x; k < columns; k += 2, left += 2) {
#pragma GCC unroll 8
        for (int p = 0; p < kPanels; ++p) w[p] = Weights::template even<V>(pair[p]);
        chain_step<V, kRows, kPanels>(acc, w, left);
        const bool pair_whole = k + 1 < columns;  // an odd last k stands alone
        if (pair_whole) {
#pragma GCC unroll 8
            for (int p = 0; p < kPanels; ++p) w[p] = Weights::template odd<V>(pair[p]);
            chain_step<V, kRows, kPanels>(acc, w, left + 1);
        }
#pragma GCC unroll 8
        for (int p = 0; p < kPanels; ++p) pair[p] += pair_whole ? Weights::kPairBytes : Weights::kLastBytes;
    }
    x += kRows * kChainBlock;
}

// Walks a run's parts: chains and joins stay in registers, only values that wait are stored. stack is
// [kStackDepth][kPanels][kRows][16]; behind the last run the result stands at its begin.
template <class V, class Weights, int kRows, int kPanels>
[[gnu::noinline]] static void chain_tile(const ChainRun& run, const float* x, const std::byte* const* panel,
                                         float* stack, FetchAhead& ahead) {
    constexpr int kFloats = kPanels * kRows * 16;
    V acc[kRows][kPanels];
    const std::byte* pair[kPanels];
#pragma GCC unroll 8
    for (int p = 0; p < kPanels; ++p) pair[p] = panel[p] + run.panel_offset;
    const std::byte* fetch = ahead.next;
    const int lines = ahead.lines;
    for (int i = 0; i < run.parts; ++i) {
        const ChainPart& part = run.part[i];
        const float* left = stack + (part.top + part.joins) * kFloats;
#pragma GCC unroll 16
        for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
            for (int p = 0; p < kPanels; ++p) acc[r][p] = part.fresh ? V::zero() : V::load(left + (p * kRows + r) * 16);
        }
        if constexpr (Weights::kTiles) {
            tile_columns<V, Weights, kRows, kPanels>(acc, x, pair, part.columns);
        } else if constexpr (Weights::kPairs) {
            pair_columns<V, Weights, kRows, kPanels>(acc, x, pair, part.columns, fetch, lines);
        } else {
            chain_columns<V, Weights, kRows, kPanels>(acc, x, pair, part.columns, fetch, lines);
        }
        for (int join = 0; join < part.joins; ++join) {
            left -= kFloats;
#pragma GCC unroll 16
            for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
                for (int p = 0; p < kPanels; ++p) acc[r][p] = vadd(V::load(left + (p * kRows + r) * 16), acc[r][p]);
            }
        }
#pragma GCC unroll 16
        for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
            for (int p = 0; p < kPanels; ++p) acc[r][p].store(stack + part.top * kFloats + (p * kRows + r) * 16);
        }
    }
    ahead.next = fetch;
    if (lines > 0 && fetch >= ahead.end) start_next_range(ahead);
}

// Panels of a tile of that many rows: few rows take more panels, so that enough independent chains hide the latency of
// an FMA. Each panel takes a register per row and one for its weight.
template <class V>
constexpr int tile_panels(int rows) {
    const int most = V::kTileUnits / (rows + 1);
    return most >= 8 ? 8 : most >= 4 ? 4 : most >= 2 ? 2 : 1;
}

// chain_tile for `rows` rows and as many of `panels` panels as a tile takes; returns that number.
template <class V, class Weights, int kRows>
static int chain_panels(int rows, const ChainRun& run, const float* x, const std::byte* const* panel, int panels,
                        float* stack, FetchAhead& ahead) {
    if (rows == kRows) {
        constexpr int kMost = tile_panels<V>(kRows);
        if (kMost >= 8 && panels >= 8) {
            chain_tile<V, Weights, kRows, kMost >= 8 ? 8 : 1>(run, x, panel, stack, ahead);
            return 8;
        }
        if (kMost >= 4 && panels >= 4) {
            chain_tile<V, Weights, kRows, kMost >= 4 ? 4 : 1>(run, x, panel, stack, ahead);
            return 4;
        }
        if (kMost >= 2 && panels >= 2) {
            chain_tile<V, Weights, kRows, kMost >= 2 ? 2 : 1>(run, x, panel, stack, ahead);
            return 2;
        }
        chain_tile<V, Weights, kRows, 1>(run, x, panel, stack, ahead);
        return 1;
    }
    if constexpr (kRows > 1) return chain_panels<V, Weights, kRows - 1>(rows, run, x, panel, panels, stack, ahead);
    return panels;
}

}  // namespace argosy
