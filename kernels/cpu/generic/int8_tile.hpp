// The innermost int8 product: a register tile of rows x panels. Per block of K one exact sum of products of codes, then
// acc = fma(sum, x_scale * w_scale, acc), block after block (rule R9).
//
// D brings the instruction set's dot product: 4 codes of x, the same in all lanes, with 4 codes of each of 16 outputs.
// Rows of codes are read where they stand: a record has few bytes, and few rows make a tile. A tile holds its sums
// twice, as integers of the block under way and as floats, so it is half as high as a tile of floats.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/generic/leaf_walk.hpp"
#include "kernels/cpu/generic/panel_chain.hpp"
#include "kernels/cpu/int8_blocks.hpp"

namespace argosy {

// Sums of one step of a tile: 4 codes of each row with 4 codes of each output.
template <class D, int kRows, int kPanels>
[[gnu::always_inline]] static inline void int8_step(typename D::Sum (&sum)[kRows][kPanels],
                                                    const std::int8_t* const (&code)[kRows], std::int64_t codes,
                                                    const std::byte* const (&weights)[kPanels], std::int64_t bytes) {
    typename D::Weights w[kPanels];
#pragma GCC unroll 8
    for (int p = 0; p < kPanels; ++p) w[p] = D::load(weights[p] + bytes);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
        const typename D::Codes x = D::broadcast(code[r] + codes);
#pragma GCC unroll 8
        for (int p = 0; p < kPanels; ++p) sum[r][p] = D::dot(sum[r][p], w[p], x);
    }
}

// A block's sum for row r and panel p, scaled, joins the chain.
template <class V, class D, int kRows, int kPanels>
[[gnu::always_inline]] static inline void int8_join(V (&acc)[kRows][kPanels], const typename D::Sum& sum, int r, int p,
                                                    const std::byte* const* row, std::int64_t block, const V& w_scale) {
    const V scale = vmul(V::set(reinterpret_cast<const float*>(row[r])[block]), w_scale);
    acc[r][p] = vfma(D::to_f32(sum), scale, acc[r][p]);
}

// One block of one tile for an instruction set that sums a panel at a time (D::block_sums), from rows made wider. One
// row is not worth the making.
template <class V, class D, int kRows, int kPanels>
[[gnu::always_inline]] static inline void int8_wide_block(V (&acc)[kRows][kPanels], const std::byte* const* row,
                                                          const Int8RowShape& shape, std::int64_t block,
                                                          const std::int8_t* const (&code)[kRows], std::int64_t& codes,
                                                          const std::byte* (&panel)[kPanels], std::int64_t padded) {
    const std::int64_t steps = padded / 4;
    typename D::WideRows wide;
    for (int r = 0; r < kRows; ++r) D::widen(code[r] + codes, steps, wide, r);
    for (int p = 0; p < kPanels; ++p) {
        typename D::Sum sum[kRows];
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r)
            sum[r] = D::set(reinterpret_cast<const std::int32_t*>(row[r])[shape.blocks + block]);
        D::template block_sums<kRows>(sum, wide, panel[p] + 64, steps);
        const V w_scale = V::load(reinterpret_cast<const float*>(panel[p]));
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r) int8_join<V, D, kRows, kPanels>(acc, sum[r], r, p, row, block, w_scale);
        panel[p] += 64 + 64 * steps;
    }
    codes += padded;
}

// One block of one tile: panel[p] moves on to the next block, `codes` counts the codes read of every row. A whole block
// takes a fixed number of steps, four at a time, whose end the processor foresees.
template <class V, class D, int kRows, int kPanels>
[[gnu::always_inline]] static inline void int8_block(V (&acc)[kRows][kPanels], const std::byte* const* row,
                                                     const Int8RowShape& shape, std::int64_t block,
                                                     const std::int8_t* const (&code)[kRows], std::int64_t& codes,
                                                     const std::byte* (&panel)[kPanels], std::int64_t padded) {
    if constexpr (kRows > 1 && requires { typename D::WideRows; })
        return int8_wide_block<V, D, kRows, kPanels>(acc, row, shape, block, code, codes, panel, padded);
    constexpr int kSteps = 4;
    typename D::Sum sum[kRows][kPanels];
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
        const std::int32_t correction = reinterpret_cast<const std::int32_t*>(row[r])[shape.blocks + block];
#pragma GCC unroll 8
        for (int p = 0; p < kPanels; ++p) sum[r][p] = D::set(correction);
    }
    const std::byte* weights[kPanels];
#pragma GCC unroll 8
    for (int p = 0; p < kPanels; ++p) weights[p] = panel[p] + 64;
    std::int64_t left = padded;
    for (; left >= 4 * kSteps; left -= 4 * kSteps, codes += 4 * kSteps) {
#pragma GCC unroll 4
        for (int i = 0; i < kSteps; ++i)
            int8_step<D, kRows, kPanels>(sum, code, codes + 4 * i, weights, static_cast<std::int64_t>(64) * i);
#pragma GCC unroll 8
        for (int p = 0; p < kPanels; ++p) weights[p] += 64 * kSteps;
    }
    for (; left > 0; left -= 4, codes += 4) {
        int8_step<D, kRows, kPanels>(sum, code, codes, weights, 0);
#pragma GCC unroll 8
        for (int p = 0; p < kPanels; ++p) weights[p] += 64;
    }
#pragma GCC unroll 8
    for (int p = 0; p < kPanels; ++p) {
        const V w_scale = V::load(reinterpret_cast<const float*>(panel[p]));
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r) int8_join<V, D, kRows, kPanels>(acc, sum[r][p], r, p, row, block, w_scale);
        panel[p] = weights[p];
    }
}

// All of K for one tile; `run` is the whole walk. stack is [kStackDepth][kPanels][kRows][16]; the result stands at its
// begin. `ahead.lines` cache lines are asked for with every block.
template <class V, class D, int kRows, int kPanels>
[[gnu::noinline]] static void int8_tile(const ChainRun& run, const std::byte* const* row, const Int8RowShape& shape,
                                        const std::byte* const* panel_begin, float* stack, FetchAhead& ahead) {
    constexpr int kFloats = kPanels * kRows * 16;
    V acc[kRows][kPanels];
    const std::int8_t* code[kRows];
    const std::byte* panel[kPanels];
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) code[r] = reinterpret_cast<const std::int8_t*>(row[r] + shape.codes_offset);
#pragma GCC unroll 8
    for (int p = 0; p < kPanels; ++p) panel[p] = panel_begin[p];
    std::int64_t block = 0;
    std::int64_t codes = 0;
    for (int i = 0; i < run.parts; ++i) {
        const ChainPart& part = run.part[i];
        const float* left = stack + (part.top + part.joins) * kFloats;
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
            for (int p = 0; p < kPanels; ++p) acc[r][p] = part.fresh ? V::zero() : V::load(left + (p * kRows + r) * 16);
        }
        for (std::int64_t k = 0; k < part.columns; k += kInt8Block, ++block) {
            for (int line = 0; line < ahead.lines; ++line, ahead.next += 64) __builtin_prefetch(ahead.next, 0, 2);
            const std::int64_t count = part.columns - k < kInt8Block ? part.columns - k : kInt8Block;
            int8_block<V, D, kRows, kPanels>(acc, row, shape, block, code, codes, panel, int8_padded(count));
        }
        for (int join = 0; join < part.joins; ++join) {
            left -= kFloats;
#pragma GCC unroll 8
            for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
                for (int p = 0; p < kPanels; ++p) acc[r][p] = vadd(V::load(left + (p * kRows + r) * 16), acc[r][p]);
            }
        }
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
            for (int p = 0; p < kPanels; ++p) acc[r][p].store(stack + part.top * kFloats + (p * kRows + r) * 16);
        }
    }
    if (ahead.lines > 0 && ahead.next >= ahead.end) start_next_range(ahead);
}

// Panels of a tile of that many rows: at least two, so that a gate and its up panel come together.
template <class D>
constexpr int int8_tile_panels(int rows) {
    const int most = D::kTileUnits / rows;
    return most >= 8 ? 8 : most >= 4 ? 4 : 2;
}

// int8_tile for `rows` rows and as many of `panels` panels as a tile takes; returns that number.
template <class V, class D, int kRows>
static int int8_panels(int rows, const ChainRun& run, const std::byte* const* row, const Int8RowShape& shape,
                       const std::byte* const* panel, int panels, float* stack, FetchAhead& ahead) {
    if (rows == kRows) {
        constexpr int kMost = int8_tile_panels<D>(kRows);
        if (kMost >= 8 && panels >= 8) {
            int8_tile<V, D, kRows, kMost >= 8 ? 8 : 1>(run, row, shape, panel, stack, ahead);
            return 8;
        }
        if (kMost >= 4 && panels >= 4) {
            int8_tile<V, D, kRows, kMost >= 4 ? 4 : 1>(run, row, shape, panel, stack, ahead);
            return 4;
        }
        if (panels >= 2) {
            int8_tile<V, D, kRows, 2>(run, row, shape, panel, stack, ahead);
            return 2;
        }
        int8_tile<V, D, kRows, 1>(run, row, shape, panel, stack, ahead);
        return 1;
    }
    if constexpr (kRows > 1) {
        return int8_panels<V, D, kRows - 1>(rows, run, row, shape, panel, panels, stack, ahead);
    }
    return panels;
}

}  // namespace argosy
