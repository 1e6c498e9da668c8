// The innermost product: a register tile of rows x panels, each output lane one FMA chain in order over k (rule R3).
//
// The rows of x stand copied as [k/16][rows][16], so that one pointer and constant offsets reach all of them whatever
// their stride, and gathered rows cost what adjacent ones do. A weight is decoded once per k for all rows of the tile.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/base/inline.hpp"
#include "kernels/base/lanes.hpp"

namespace argosy {

inline constexpr int kChainBlock = 16;  // columns of x that stand together

// Panel weights as stored: the vectors of step k and k + 1 from the panel's bytes at an even k.
struct PanelF32 {
    static constexpr std::int64_t kPairBytes = 128;
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
    static constexpr std::int64_t kPairBytes = 64;
    template <class V>
    [[gnu::always_inline]] static V even(const std::byte* pair) {
        return V::low_bf16(reinterpret_cast<const std::uint32_t*>(pair));
    }
    template <class V>
    [[gnu::always_inline]] static V odd(const std::byte* pair) {
        return V::high_bf16(reinterpret_cast<const std::uint32_t*>(pair));
    }
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

// Continues the chains over `columns` columns: x is [columns/16][kRows][16], panel[p] the panel's bytes at the first
// column, tile [kPanels][kRows][16] holds the chains' values between calls. `fresh` starts them at 0. columns is even
// except in the last call.
template <class V, class Weights, int kRows, int kPanels>
[[gnu::noinline]] static void chain_tile(const float* x, const std::byte* const* panel, std::int64_t columns,
                                         bool fresh, float* tile, FetchAhead& ahead) {
    V acc[kRows][kPanels];
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
        for (int p = 0; p < kPanels; ++p) acc[r][p] = fresh ? V::zero() : V::load(tile + (p * kRows + r) * 16);
    }
    const std::byte* pair[kPanels];
#pragma GCC unroll 8
    for (int p = 0; p < kPanels; ++p) pair[p] = panel[p];

    V w[kPanels];
    std::int64_t k = 0;
    const std::byte* fetch = ahead.next;
    const int lines = ahead.lines;
    for (; k + kChainBlock <= columns; k += kChainBlock) {
        for (int line = 0; line < lines; ++line, fetch += 64) __builtin_prefetch(fetch, 0, 2);
#pragma GCC unroll 2
        for (int step = 0; step < kChainBlock; step += 2) {
#pragma GCC unroll 8
            for (int p = 0; p < kPanels; ++p) w[p] = Weights::template even<V>(pair[p]);
            chain_step<V, kRows, kPanels>(acc, w, x + step);
#pragma GCC unroll 8
            for (int p = 0; p < kPanels; ++p) w[p] = Weights::template odd<V>(pair[p]);
            chain_step<V, kRows, kPanels>(acc, w, x + step + 1);
#pragma GCC unroll 8
            for (int p = 0; p < kPanels; ++p) pair[p] += Weights::kPairBytes;
        }
        x += kRows * kChainBlock;
    }
    ahead.next = fetch;
    if (lines > 0 && fetch >= ahead.end) start_next_range(ahead);
    for (; k < columns; k += 2) {
#pragma GCC unroll 8
        for (int p = 0; p < kPanels; ++p) w[p] = Weights::template even<V>(pair[p]);
        chain_step<V, kRows, kPanels>(acc, w, x);
        if (k + 1 == columns) break;  // an odd last k stands alone
#pragma GCC unroll 8
        for (int p = 0; p < kPanels; ++p) {
            w[p] = Weights::template odd<V>(pair[p]);
            pair[p] += Weights::kPairBytes;
        }
        chain_step<V, kRows, kPanels>(acc, w, x + 1);
        x += 2;
    }
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
        for (int p = 0; p < kPanels; ++p) acc[r][p].store(tile + (p * kRows + r) * 16);
    }
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
static int chain_panels(int rows, const float* x, const std::byte* const* panel, int panels, std::int64_t columns,
                        bool fresh, float* tile, FetchAhead& ahead) {
    if (rows == kRows) {
        constexpr int kMost = tile_panels<V>(kRows);
        if (kMost >= 8 && panels >= 8) {
            chain_tile<V, Weights, kRows, kMost >= 8 ? 8 : 1>(x, panel, columns, fresh, tile, ahead);
            return 8;
        }
        if (kMost >= 4 && panels >= 4) {
            chain_tile<V, Weights, kRows, kMost >= 4 ? 4 : 1>(x, panel, columns, fresh, tile, ahead);
            return 4;
        }
        if (kMost >= 2 && panels >= 2) {
            chain_tile<V, Weights, kRows, kMost >= 2 ? 2 : 1>(x, panel, columns, fresh, tile, ahead);
            return 2;
        }
        chain_tile<V, Weights, kRows, 1>(x, panel, columns, fresh, tile, ahead);
        return 1;
    }
    if constexpr (kRows > 1)
        return chain_panels<V, Weights, kRows - 1>(rows, x, panel, panels, columns, fresh, tile, ahead);
    return panels;
}

}  // namespace argosy
