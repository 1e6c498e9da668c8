// Products of few quantised rows with mxfp4 panels (mxfp4_panels.hpp) that are decoded in registers, by AVX-512 VNNI.
// Included by avx512_int8.cpp and amx_int8.cpp alone.
//
// Few rows wait for memory, so weights are read once, as the 4 bits that they are. A shuffle gives 16 columns of four
// outputs; instead of interleaving them (Dot16::interleave), the same 16 codes of x are multiplied with all four, and a
// block's partial sums, four to an output, are added when the block ends: exact integers in any order.
#pragma once

#include <cstdint>

#include "kernels/cpu/dot16_avx512.hpp"
#include "kernels/cpu/generic/chain_rows.hpp"
#include "kernels/cpu/generic/int8_product.hpp"

namespace argosy::cpu_avx512 {
namespace {

constexpr int kFetchBytes = 2048;  // weights are asked for so far ahead: panels of a matrix are adjacent

// [row][quarter]: lane 4 j + c of quarter q holds columns 4 c to 4 c + 3 of every 16 of output 4 j + q.
template <int kRows>
using QuarterSums = __m512i[kRows][4];

template <int kRows>
[[gnu::always_inline]] inline void add_group(QuarterSums<kRows>& sums, const std::uint8_t* table,
                                             const std::byte* codes, const std::int8_t* const (&x)[kRows],
                                             std::int64_t column) {
    const __m512i half = _mm512_set1_epi8(15);
    __m512i low_x[kRows];
    __m512i high_x[kRows];
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
        const auto* at = reinterpret_cast<const __m128i*>(x[r] + column);
        low_x[r] = _mm512_broadcast_i32x4(_mm_loadu_si128(at));
        high_x[r] = _mm512_broadcast_i32x4(_mm_loadu_si128(at + 1));
    }
#pragma GCC unroll 4
    for (int q = 0; q < 4; ++q) {
        __builtin_prefetch(codes + 64 * q + kFetchBytes, 0, 3);
        const __m512i both = _mm512_loadu_si512(codes + 64 * q);
        const __m512i tables = Dot16::quarter_tables(table + q);
        const __m512i low = _mm512_shuffle_epi8(tables, _mm512_and_si512(both, half));
        const __m512i high = _mm512_shuffle_epi8(tables, _mm512_and_si512(_mm512_srli_epi16(both, 4), half));
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r) sums[r][q] = Dot16::dot(Dot16::dot(sums[r][q], low, low_x[r]), high, high_x[r]);
    }
}

// Sums of 16 outputs in order.
[[gnu::always_inline]] inline __m512i join_quarters(const __m512i (&q)[4]) {
    const __m512i sum01 = _mm512_add_epi32(_mm512_unpacklo_epi32(q[0], q[1]), _mm512_unpackhi_epi32(q[0], q[1]));
    const __m512i sum23 = _mm512_add_epi32(_mm512_unpacklo_epi32(q[2], q[3]), _mm512_unpackhi_epi32(q[2], q[3]));
    return _mm512_add_epi32(_mm512_unpacklo_epi64(sum01, sum23), _mm512_unpackhi_epi64(sum01, sum23));
}

// One block of one panel; moves `panel` and `code` on.
template <int kRows>
[[gnu::always_inline]] inline void mxfp4_block(Vec16 (&acc)[kRows], const std::byte* const* record,
                                               const Int8RowShape& shape, std::int64_t block,
                                               const std::int8_t* const (&x)[kRows], std::int64_t& column,
                                               const std::byte*& panel, int groups) {
    QuarterSums<kRows> sums;
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
        for (int q = 0; q < 4; ++q) sums[r][q] = _mm512_setzero_si512();
    }
    const auto* table = reinterpret_cast<const std::uint8_t*>(panel + 64);
    const std::byte* codes = panel + kMxfp4HeadBytes;
    for (int g = 0; g < groups; ++g, column += kMxfp4Block)
        add_group<kRows>(sums, table + g * kPanelOutputs, codes + g * kMxfp4GroupBytes, x, column);
    const Vec16 w_scale = Vec16::load(reinterpret_cast<const float*>(panel));
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
        const auto* correction = reinterpret_cast<const std::int32_t*>(record[r]) + shape.blocks + block;
        const __m512i whole = _mm512_add_epi32(join_quarters(sums[r]), _mm512_set1_epi32(*correction));
        const Vec16 scale = vmul(Vec16::set(reinterpret_cast<const float*>(record[r])[block]), w_scale);
        acc[r] = vfma(Dot16::to_f32(whole), scale, acc[r]);
    }
    panel = codes + groups * kMxfp4GroupBytes;
}

// All of K for one panel; `run` is the whole walk. stack is [kStackDepth][kRows][16]; the result stands at its begin.
template <int kRows>
[[gnu::noinline]] static void mxfp4_tile(const ChainRun& run, const std::byte* const* record, const Int8RowShape& shape,
                                         const std::byte* panel, float* stack) {
    constexpr int kFloats = kRows * 16;
    Vec16 acc[kRows];
    const std::int8_t* x[kRows];
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) x[r] = reinterpret_cast<const std::int8_t*>(record[r] + shape.codes_offset);
    std::int64_t block = 0;
    std::int64_t column = 0;
    for (int i = 0; i < run.parts; ++i) {
        const ChainPart& part = run.part[i];
        const float* left = stack + (part.top + part.joins) * kFloats;
        start_chains(acc, part.fresh, left);
        for (std::int64_t k = 0; k < part.columns; k += kInt8Block, ++block) {
            const std::int64_t count = part.columns - k < kInt8Block ? part.columns - k : kInt8Block;
            mxfp4_block<kRows>(acc, record, shape, block, x, column, panel, static_cast<int>(count / kMxfp4Block));
        }
        for (int join = 0; join < part.joins; ++join) {
            left -= kFloats;
            join_chains(acc, left);
        }
        store_chains(acc, stack + part.top * kFloats);
    }
}

constexpr int kFewRows = 4;

inline void mxfp4_panel(int rows, const ChainRun& run, const std::byte* const* record, const Int8RowShape& shape,
                        const std::byte* panel, float* stack) {
    if (rows == 1) return mxfp4_tile<1>(run, record, shape, panel, stack);
    if (rows == 2) return mxfp4_tile<2>(run, record, shape, panel, stack);
    if (rows == 3) return mxfp4_tile<3>(run, record, shape, panel, stack);
    mxfp4_tile<kFewRows>(run, record, shape, panel, stack);
}

// Up to kFewRows rows [row, row + rows) of one block of panels.
[[gnu::noinline]] static void mxfp4_task(const ProductJob& job, const Int8Rows& x, const PanelBlock& block,
                                         std::int64_t row, int rows) {
    alignas(64) float stacks[2][kStackDepth * kFewRows * 16];
    const MatrixSpec& spec = job.weight[0].spec;
    const std::byte* record[kFewRows];
    for (int r = 0; r < rows; ++r)
        record[r] = x.data + (job.row_index != nullptr ? job.row_index[row + r] : row + r) * x.shape.row_bytes;
    LeafWalk walk{.from_bias = has_bias(block)};
    ChainRun run;
    next_run(walk, spec, spec.k + kRunParts, run);
    const int step = job.up != nullptr ? 2 : 1;
    for (int slot = 0; slot < block.slots; slot += step) {
        for (int i = 0; i < step; ++i) put_bias<Vec16>(job, block, slot + i, 1, rows, stacks[i]);
        for (int i = 0; i < step; ++i) mxfp4_panel(rows, run, record, x.shape, block.panel[slot + i], stacks[i]);
        const std::int64_t output = block.first_output + slot / step * kPanelOutputs;
        const std::int64_t width = spec.n - output;
        store_panel<Vec16>(job, output, width < kPanelOutputs ? static_cast<int>(width) : kPanelOutputs, row, rows,
                           stacks[0], step == 2 ? stacks[1] : nullptr);
    }
}

// Dot16 with few rows of mxfp4 by these.
struct Mxfp4Dot16 : Dot16 {
    static constexpr std::int64_t kFewRows = cpu_avx512::kFewRows;
    static void few_rows_task(const ProductJob& job, const Int8Rows& x, const PanelBlock& block, std::int64_t row,
                              int rows) {
        mxfp4_task(job, x, block, row, rows);
    }
};

}  // namespace
}  // namespace argosy::cpu_avx512
