// Products of quantised rows with int8 panels, by AMX. Included by amx_int8.cpp alone.
//
// A tile register takes 64 codes of 16 rows, another the same columns of a panel as they stand in memory, and one
// multiplication adds all 16 x 16 sums of 64 products of codes: exact integers, and so those of any other instruction
// (rule R9). What a block has beyond multiples of 64 codes goes through narrower tiles.
//
// Sums reach vector registers through memory only, and neither the multiplications nor the stores of tiles can wait for
// that. So K is walked in runs of four blocks, and a panel's run in two phases: first the sums of all blocks, each
// stored while the next is multiplied, then acc = fma(sum, x_scale * w_scale, acc), block after block. Two tiles of
// rows share what is read of the panel, which comes from the second-level cache. A run's codes of the rows, 16 KiB, and
// its sums stay in the first-level cache for all panels of a task; with longer runs the sums' stores missed it. Where
// two tiles hold all rows of a task, memory is what it waits for: then runs are twice as long, so that panels are read
// in order, and each fetches its own continuation. Rows that are named by an index are gathered first, run by run.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/cpu/code_tiles.hpp"
#include "kernels/cpu/dot16_avx512.hpp"
#include "kernels/cpu/generic/chain_rows.hpp"
#include "kernels/cpu/generic/int8_product.hpp"
#include "kernels/cpu/tiles_amx.hpp"

namespace argosy::cpu_amx {
namespace {

using cpu_avx512::Vec16;

constexpr int kTileRows = 16;  // rows of a tile
constexpr int kRowTiles = 2;   // that share a panel
constexpr int kPassRows = kRowTiles * kTileRows;
constexpr int kRunBlocks = 4;
constexpr int kRunBlocksOnce = 8;              // where a task's weights are read once
constexpr int kRunTiles = 2 * kRunBlocksOnce;  // of codes
constexpr int kTileInts = kTileRows * kPanelOutputs;
constexpr std::int64_t kTileBytes = kTileRows * kTileCodes;

// Tile registers: two blocks' sums of both tiles of rows, their codes, the panel's. Where blocks have codes beyond
// multiples of 64, these stand in three more, and the second block's sums have none.
enum Tile { kSums0, kSums1, kSums2, kSums3, kCodes0, kCodes1, kWeights, kTailWeights };
constexpr int kTailCodes0 = kSums2;
constexpr int kTailCodes1 = kSums3;

// Codes that blocks of a matrix have beyond multiples of 64.
inline int tail_codes(const MatrixSpec& spec) {
    return common_tail(spec, [](std::int64_t columns) { return int8_padded(columns) % kTileCodes; });
}

// One block of a run.
struct RunBlock {
    int codes = 0;                  // padded
    int tile = 0;                   // its first, counted from the run's
    std::int64_t panel_offset = 0;  // from the panel's begin
};

struct BlockRun {
    ChainRun chain;
    RunBlock block[kRunBlocksOnce];
    int blocks = 0;
    int tiles = 0;
    std::int64_t first_block = 0;  // of K
    std::int64_t first_tile = 0;
    bool last = false;
};

// The next run, of at most `blocks` blocks; false behind the last one.
inline bool next_blocks(LeafWalk& walk, const MatrixSpec& spec, int blocks, BlockRun& run) {
    run.first_block += run.blocks;
    run.first_tile += run.tiles;
    run.blocks = 0;
    run.tiles = 0;
    if (!next_run(walk, spec, blocks, run.chain, kInt8Block)) return false;
    run.last = walk.leaf == leaf_parts(spec);
    std::int64_t offset = run.chain.panel_offset;
    for (int i = 0; i < run.chain.parts; ++i) {
        const std::int64_t columns = run.chain.part[i].columns;
        for (std::int64_t k = 0; k < columns; k += kInt8Block) {
            const int codes = static_cast<int>(int8_padded(columns - k < kInt8Block ? columns - k : kInt8Block));
            run.block[run.blocks++] = {codes, run.tiles, offset};
            run.tiles += (codes + kTileCodes - 1) / kTileCodes;
            offset += 64 + codes * kPanelOutputs;
        }
    }
    return true;
}

// A pass's rows of a run.
struct RunRows {
    const std::byte* code = nullptr;  // [tiles][rows][64], tiles `tile_bytes` apart
    std::int64_t tile_bytes = 0;
    const float* scale = nullptr;  // [blocks][rows], blocks `stride` apart
    const std::int32_t* correction = nullptr;
    std::int64_t stride = 0;
};

struct GatheredRows {
    alignas(4096) std::byte code[kRunTiles][kPassRows * kTileCodes];
    alignas(64) float scale[kRunBlocksOnce][kPassRows];
    alignas(64) std::int32_t correction[kRunBlocksOnce][kPassRows];
};

inline RunRows rows_at(const CodeTiles& x, const BlockRun& run, std::int64_t row) {
    return {x.code + (run.first_tile * x.stride + row) * kTileCodes, x.stride * kTileCodes,
            x.scale + run.first_block * x.stride + row, x.correction + run.first_block * x.stride + row, x.stride};
}

inline RunRows gather_rows(const CodeTiles& x, const BlockRun& run, const std::int32_t* index, int rows,
                           GatheredRows& to) {
    const RunRows from = rows_at(x, run, 0);
    for (int tile = 0; tile < run.tiles; ++tile) {
        for (int r = 0; r < rows; ++r)
            std::memcpy(to.code[tile] + r * kTileCodes, from.code + tile * from.tile_bytes + index[r] * kTileCodes,
                        kTileCodes);
    }
    for (int b = 0; b < run.blocks; ++b) {
        for (int r = 0; r < rows; ++r) {
            to.scale[b][r] = from.scale[b * from.stride + index[r]];
            to.correction[b][r] = from.correction[b * from.stride + index[r]];
        }
    }
    return {to.code[0], kPassRows * kTileCodes, to.scale[0], to.correction[0], kPassRows};
}

// Sums of products of codes of a run's blocks: sums[block][tile of rows][16 rows][16 outputs].
using RunSums = std::int32_t[kRunBlocksOnce][kRowTiles][kTileInts];

// `ahead.lines` cache lines of the next task.
[[gnu::always_inline]] inline void fetch_lines(FetchAhead& ahead) {
    for (int line = 0; line < ahead.lines; ++line, ahead.next += 64) __builtin_prefetch(ahead.next, 0, 2);
}

template <int kTiles, bool kOnce, int kSums, int kCodes0At, int kCodes1At, int kWeightsAt>
[[gnu::always_inline]] inline void add_products(const std::byte* codes, const std::byte* weights, FetchAhead& ahead) {
    if constexpr (kOnce) {
        fetch_weights_behind(weights);
    } else {
        fetch_lines(ahead);
    }
    load_tile<kWeightsAt>(weights);
    load_tile<kCodes0At>(codes);
    multiply_codes<kSums, kCodes0At, kWeightsAt>();
    if constexpr (kTiles == 2) {
        load_tile<kCodes1At>(codes + kTileBytes);
        multiply_codes<kSums + 1, kCodes1At, kWeightsAt>();
    }
}

// One block's sums into tiles kSums and, of two tiles of rows, kSums + 1.
template <int kTiles, bool kOnce, int kSums>
[[gnu::always_inline]] inline void sum_block(const RunBlock& block, const RunRows& x, const std::byte* panel,
                                             FetchAhead& ahead) {
    const std::byte* weights = panel + block.panel_offset + 64;
    const std::byte* codes = x.code + block.tile * x.tile_bytes;
    zero_tile<kSums>();
    if constexpr (kTiles == 2) zero_tile<kSums + 1>();
    int left = block.codes;
    for (; left >= kTileCodes; left -= kTileCodes, weights += kTileCodes * kPanelOutputs, codes += x.tile_bytes)
        add_products<kTiles, kOnce, kSums, kCodes0, kCodes1, kWeights>(codes, weights, ahead);
    if constexpr (kSums == kSums0) {
        if (left > 0) add_products<kTiles, kOnce, kSums, kTailCodes0, kTailCodes1, kTailWeights>(codes, weights, ahead);
    }
}

template <int kTiles, int kSums>
[[gnu::always_inline]] inline void store_sums(std::int32_t (&sums)[kRowTiles][kTileInts]) {
    store_tile<kSums>(sums[0]);
    if constexpr (kTiles == 2) store_tile<kSums + 1>(sums[1]);
}

// With every tile of weights some of the next task is asked for. tails: blocks have codes beyond multiples of 64.
template <int kTiles, bool kOnce>
[[gnu::noinline]] static void sum_run(const BlockRun& run, bool tails, const RunRows& x, const std::byte* panel,
                                      RunSums& sums, FetchAhead& ahead) {
    int b = 0;
    for (; !tails && b + 2 <= run.blocks; b += 2) {
        sum_block<kTiles, kOnce, kSums0>(run.block[b], x, panel, ahead);
        if (b > 0) store_sums<kTiles, kSums2>(sums[b - 1]);
        sum_block<kTiles, kOnce, kSums2>(run.block[b + 1], x, panel, ahead);
        store_sums<kTiles, kSums0>(sums[b]);
    }
    if (b > 0) store_sums<kTiles, kSums2>(sums[b - 1]);
    for (; b < run.blocks; ++b) {
        sum_block<kTiles, kOnce, kSums0>(run.block[b], x, panel, ahead);
        store_sums<kTiles, kSums0>(sums[b]);
    }
    if (!kOnce && ahead.lines > 0 && ahead.next >= ahead.end) start_next_range(ahead);
}

// The chains of one tile of rows over a run. Values of depth d of the stack, [kRows][16], stand kFloats * d behind
// `stack`; behind the last run the result stands at its begin.
constexpr int kFloats = kSlotsMax * kRowTiles * kTileInts;

template <int kRows>
[[gnu::noinline]] static void chain_run(const BlockRun& run, const RunRows& x, int row_tile, const std::byte* panel,
                                        const RunSums& sums, float* stack) {
    Vec16 acc[kRows];
    int b = 0;
    for (int i = 0; i < run.chain.parts; ++i) {
        const ChainPart& part = run.chain.part[i];
        const float* left = stack + (part.top + part.joins) * kFloats;
        start_chains(acc, part.fresh, left);
        for (std::int64_t k = 0; k < part.columns; k += kInt8Block, ++b) {
            const Vec16 w_scale = Vec16::load(reinterpret_cast<const float*>(panel + run.block[b].panel_offset));
            const float* x_scale = x.scale + b * x.stride + row_tile * kTileRows;
            const std::int32_t* correction = x.correction + b * x.stride + row_tile * kTileRows;
            const std::int32_t* sum = sums[b][row_tile];
            asm("" : "+r"(x_scale), "+r"(correction), "+r"(sum));  // three addresses, where GCC would keep forty
#pragma GCC unroll 16
            for (int r = 0; r < kRows; ++r) {
                const __m512i whole =
                    _mm512_add_epi32(_mm512_load_si512(sum + r * 16), _mm512_set1_epi32(correction[r]));
                acc[r] = vfma(cpu_avx512::Dot16::to_f32(whole), vmul(Vec16::set(x_scale[r]), w_scale), acc[r]);
            }
        }
        for (int join = 0; join < part.joins; ++join) {
            left -= kFloats;
            join_chains(acc, left);
        }
        store_chains(acc, stack + part.top * kFloats);
    }
}

// Rows of a tile are chained four, eight, twelve or sixteen at a time; what stands behind the last is not looked at.
inline void chain_rows(int rows, const BlockRun& run, const RunRows& x, int row_tile, const std::byte* panel,
                       const RunSums& sums, float* stack) {
    if (rows <= 4) return chain_run<4>(run, x, row_tile, panel, sums, stack);
    if (rows <= 8) return chain_run<8>(run, x, row_tile, panel, sums, stack);
    if (rows <= 12) return chain_run<12>(run, x, row_tile, panel, sums, stack);
    return chain_run<16>(run, x, row_tile, panel, sums, stack);
}

inline void shape_tiles(int rows, int tail) {
    AmxTileShapes shapes;
    const int first = rows < kTileRows ? rows : kTileRows;
    for (const int tile : {kSums0, kSums2, kCodes0}) set_shape(shapes, tile, first, 64);
    for (const int tile : {kSums1, kSums3, kCodes1}) set_shape(shapes, tile, rows - first, 64);
    set_shape(shapes, kWeights, kTileCodes / 4, 64);
    if (tail > 0) {
        set_shape(shapes, kTailCodes0, first, tail);
        set_shape(shapes, kTailCodes1, rows - first, tail);
        set_shape(shapes, kTailWeights, tail / 4, 64);
    }
    use_shapes(shapes);
}

struct PassSpace {
    GatheredRows x;
    alignas(4096) RunSums sums;
    alignas(64) float stack[kStackDepth][kSlotsMax][kRowTiles][kTileInts];
};
static_assert(sizeof PassSpace::stack == kStackDepth * kFloats * sizeof(float));

template <bool kOnce>
inline void multiply_run(const BlockRun& run, bool tails, int rows, const RunRows& x, const std::byte* panel,
                         RunSums& sums, float (*stack)[kTileInts], FetchAhead& ahead) {
    if (rows <= kTileRows) {
        sum_run<1, kOnce>(run, tails, x, panel, sums, ahead);
        chain_rows(rows, run, x, 0, panel, sums, stack[0]);
        return;
    }
    sum_run<2, kOnce>(run, tails, x, panel, sums, ahead);
    chain_rows(kTileRows, run, x, 0, panel, sums, stack[0]);
    chain_rows(rows - kTileRows, run, x, 1, panel, sums, stack[1]);
}

// Values [2 tiles][16 rows][16 outputs] of a panel, or of a gate panel and its up panel.
inline void store_slot(const ProductJob& job, const PanelBlock& block, int slot, std::int64_t row, int rows,
                       const float (*values)[kTileInts], const float (*up)[kTileInts]) {
    const std::int64_t n = job.weight[0].spec.n;
    const std::int64_t output = block.first_output + slot / (up != nullptr ? 2 : 1) * kPanelOutputs;
    const int width = n - output < kPanelOutputs ? static_cast<int>(n - output) : kPanelOutputs;
    for (int tile = 0; tile * kTileRows < rows; ++tile) {
        const int left = rows - tile * kTileRows;
        store_panel<Vec16>(job, output, width, row + tile * kTileRows, left < kTileRows ? left : kTileRows,
                           values[tile], up != nullptr ? up[tile] : nullptr);
    }
}

// Rows [row, row + rows) of a task's panels. kOnce: they are all of the task's.
template <bool kOnce>
[[gnu::noinline]] static void amx_pass(const ProductJob& job, const CodeTiles& x, const PanelBlock& block, bool tails,
                                       std::int64_t row, int rows, PassSpace& space, FetchAhead& ahead) {
    const MatrixSpec spec = decoded_spec(job.weight[0].spec);
    const int step = job.up != nullptr ? 2 : 1;
    LeafWalk walk{.from_bias = has_bias(block)};
    BlockRun run;
    for (int slot = 0; slot < block.slots; ++slot) put_bias<Vec16>(job, block, slot, 1, rows, space.stack[0][slot][0]);
    while (next_blocks(walk, spec, kOnce ? kRunBlocksOnce : kRunBlocks, run)) {
        const RunRows run_rows =
            job.row_index != nullptr ? gather_rows(x, run, job.row_index + row, rows, space.x) : rows_at(x, run, row);
        for (int slot = 0; slot < block.slots; ++slot) {
            float(*stack)[kTileInts] = space.stack[0][slot];
            multiply_run<kOnce>(run, tails, rows, run_rows, block.panel[slot], space.sums, stack, ahead);
            if (!run.last || slot % step != step - 1) continue;
            if (step == 2) {
                store_slot(job, block, slot, row, rows, stack - kRowTiles, stack);
            } else {
                store_slot(job, block, slot, row, rows, stack, nullptr);
            }
        }
    }
}

// Rows [row_begin, row_end) of one block of panels.
[[gnu::noinline]] static void amx_task(const ProductJob& job, const CodeTiles& x, const PanelBlock& block, int tail,
                                       std::int64_t row_begin, std::int64_t row_end, FetchAhead ahead) {
    PassSpace space;
    const std::int64_t all = row_end - row_begin;
    const std::int64_t passes = (all + kPassRows - 1) / kPassRows;
    if (ahead.next != nullptr && passes > 1) {  // evenly over the task's tiles of weights
        const std::int64_t tiles = passes * block.slots * x.tiles;
        const std::int64_t lines = (ahead.end - ahead.next + (ahead.then_end - ahead.then)) / 64;
        ahead.lines = static_cast<int>((lines + tiles - 1) / tiles);
    }
    for (std::int64_t row = row_begin; row < row_end; row += kPassRows) {
        const int rows = static_cast<int>(row_end - row < kPassRows ? row_end - row : kPassRows);
        shape_tiles(rows, tail);
        if (passes == 1) {
            amx_pass<true>(job, x, block, tail > 0, row, rows, space, ahead);
        } else {
            amx_pass<false>(job, x, block, tail > 0, row, rows, space, ahead);
        }
    }
    release_tiles();
}

}  // namespace
}  // namespace argosy::cpu_amx
