// Products of many quantised rows with int8 panels, by AMX. Included by amx_int8.cpp alone.
//
// A tile register takes 64 codes of 16 rows, another the same columns of a panel as they stand in memory, and one
// multiplication adds all 16 x 16 sums of 64 products of codes: exact integers, and so those of any other instruction
// (rule R9). What a block has beyond multiples of 64 codes goes through narrower tiles.
//
// Sums reach vector registers through memory only, and neither the multiplications nor the stores of tiles can wait for
// that. So K is walked in runs of four blocks, and a panel's run in two phases: first the sums of all blocks, then
// acc = fma(sum, x_scale * w_scale, acc), block after block. Two tiles of rows share what is read of the panel, which
// comes from the second-level cache; the rows' codes are copied, chunk by chunk of four runs, for all panels of a task.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/cpu/dot16_avx512.hpp"
#include "kernels/cpu/generic/chain_rows.hpp"
#include "kernels/cpu/generic/int8_product.hpp"
#include "kernels/cpu/tiles_amx.hpp"

namespace argosy::cpu_amx {
namespace {

using cpu_avx512::Vec16;

constexpr int kTileCodes = 64;  // columns of a tile
constexpr int kTileRows = 16;   // rows of a tile
constexpr int kRowTiles = 2;    // that share a panel
constexpr int kPassRows = kRowTiles * kTileRows;
constexpr int kRunBlocks = 4;
constexpr int kChunkRuns = 4;
constexpr int kChunkBlocks = kChunkRuns * kRunBlocks;
constexpr int kTileInts = kTileRows * kPanelOutputs;

// Tile registers: the sums of both tiles of rows, their codes, the panel's; codes beyond multiples of 64 in the last.
enum Tile { kSums0, kSums1, kCodes0, kCodes1, kWeights, kTailCodes0, kTailCodes1, kTailWeights };

// Codes that blocks of a matrix have beyond multiples of 64.
inline int tail_codes(const MatrixSpec& spec) {
    return common_tail(spec, [](std::int64_t columns) { return int8_padded(columns) % kTileCodes; });
}

// A chunk's part of up to 32 rows. Tile t of a block holds its codes 64 t to 64 t + 63.
struct ChunkRows {
    alignas(4096) std::int8_t code[kRowTiles][kChunkBlocks * 2][kTileRows * kTileCodes];
    alignas(64) float scale[kChunkBlocks][kPassRows];
    alignas(64) std::int32_t correction[kChunkBlocks][kPassRows];
};

// One block of a chunk.
struct ChunkBlock {
    int codes = 0;                  // padded
    int first_tile = 0;             // in ChunkRows
    std::int64_t panel_offset = 0;  // from the panel's begin
};

struct Chunk {
    int runs = 0;
    ChainRun run[kChunkRuns];
    int run_begin[kChunkRuns + 1] = {};  // a run's first block
    ChunkBlock block[kChunkBlocks];
    std::int64_t first_block = 0;  // in a row's record
    std::int64_t first_code = 0;
};

inline void add_blocks(const ChainRun& run, Chunk& chunk, int& tile) {
    int& blocks = chunk.run_begin[chunk.runs + 1];
    blocks = chunk.run_begin[chunk.runs];
    std::int64_t offset = run.panel_offset;
    for (int i = 0; i < run.parts; ++i) {
        const std::int64_t columns = run.part[i].columns;
        for (std::int64_t k = 0; k < columns; k += kInt8Block) {
            const int codes = static_cast<int>(int8_padded(columns - k < kInt8Block ? columns - k : kInt8Block));
            chunk.block[blocks++] = {codes, tile, offset};
            tile += (codes + kTileCodes - 1) / kTileCodes;
            offset += 64 + codes * kPanelOutputs;
        }
    }
    ++chunk.runs;
}

// The next chunk; false behind the last one.
inline bool next_chunk(LeafWalk& walk, const MatrixSpec& spec, Chunk& chunk) {
    const int walked = chunk.run_begin[chunk.runs];
    for (int b = 0; b < walked; ++b) chunk.first_code += chunk.block[b].codes;
    chunk.first_block += walked;
    chunk.runs = 0;
    int tile = 0;
    while (chunk.runs < kChunkRuns && next_run(walk, spec, kRunBlocks, chunk.run[chunk.runs], kInt8Block))
        add_blocks(chunk.run[chunk.runs], chunk, tile);
    return chunk.runs > 0;
}

inline void copy_rows(const Chunk& chunk, const Int8RowShape& shape, const std::byte* const* record, int rows,
                      ChunkRows& to) {
    constexpr int kTileBytes = kTileRows * kTileCodes;
    const int blocks = chunk.run_begin[chunk.runs];
    for (int r = 0; r < rows; ++r) {
        const auto* scale = reinterpret_cast<const float*>(record[r]) + chunk.first_block;
        const auto* correction = reinterpret_cast<const std::int32_t*>(record[r]) + shape.blocks + chunk.first_block;
        const std::byte* code = record[r] + shape.codes_offset + chunk.first_code;
        std::int8_t* tile = to.code[r / kTileRows][0] + r % kTileRows * kTileCodes;
        for (int b = 0; b < blocks; ++b) {
            to.scale[b][r] = scale[b];
            to.correction[b][r] = correction[b];
            int left = chunk.block[b].codes;
            for (; left >= kTileCodes; left -= kTileCodes, code += kTileCodes, tile += kTileBytes)
                std::memcpy(tile, code, kTileCodes);
            if (left == 0) continue;
            std::memcpy(tile, code, static_cast<std::size_t>(left));
            code += left;
            tile += kTileBytes;
        }
    }
}

// Sums of products of codes of a run's blocks: sums[block][tile of rows][16 rows][16 outputs].
using RunSums = std::int32_t[kRunBlocks][kRowTiles][kTileInts];

template <int kTiles, int kCodes0At, int kCodes1At, int kWeightsAt>
[[gnu::always_inline]] inline void add_products(const ChunkRows& x, int tile, const std::byte* weights) {
    if constexpr (kTiles == 1) fetch_weights_behind(weights);
    load_tile<kWeightsAt>(weights);
    load_tile<kCodes0At>(x.code[0][tile]);
    multiply_codes<kSums0, kCodes0At, kWeightsAt>();
    if constexpr (kTiles == 2) {
        load_tile<kCodes1At>(x.code[1][tile]);
        multiply_codes<kSums1, kCodes1At, kWeightsAt>();
    }
}

// With every block `ahead.lines` cache lines of the next task are asked for.
template <int kTiles>
[[gnu::noinline]] static void sum_run(const Chunk& chunk, int run, const ChunkRows& x, const std::byte* panel,
                                      RunSums& sums, FetchAhead& ahead) {
    const int begin = chunk.run_begin[run];
    for (int b = begin; b < chunk.run_begin[run + 1]; ++b) {
        for (int line = 0; line < ahead.lines; ++line, ahead.next += 64) __builtin_prefetch(ahead.next, 0, 2);
        const ChunkBlock& block = chunk.block[b];
        const std::byte* weights = panel + block.panel_offset + 64;
        int tile = block.first_tile;
        zero_tile<kSums0>();
        if constexpr (kTiles == 2) zero_tile<kSums1>();
        int left = block.codes;
        for (; left >= kTileCodes; left -= kTileCodes, weights += kTileCodes * kPanelOutputs, ++tile)
            add_products<kTiles, kCodes0, kCodes1, kWeights>(x, tile, weights);
        if (left > 0) add_products<kTiles, kTailCodes0, kTailCodes1, kTailWeights>(x, tile, weights);
        store_tile<kSums0>(sums[b - begin][0]);
        if constexpr (kTiles == 2) store_tile<kSums1>(sums[b - begin][1]);
    }
    if (ahead.lines > 0 && ahead.next >= ahead.end) start_next_range(ahead);
}

// The chains of one tile of rows over a run. Values of depth d of the stack, [kRows][16], stand kFloats * d behind
// `stack`; behind the last run the result stands at its begin.
constexpr int kFloats = kSlotsMax * kRowTiles * kTileInts;

template <int kRows>
[[gnu::noinline]] static void chain_run(const Chunk& chunk, int run, const ChunkRows& x, int row_tile,
                                        const std::byte* panel, const RunSums& sums, float* stack) {
    Vec16 acc[kRows];
    const int begin = chunk.run_begin[run];
    int b = begin;
    for (int i = 0; i < chunk.run[run].parts; ++i) {
        const ChainPart& part = chunk.run[run].part[i];
        const float* left = stack + (part.top + part.joins) * kFloats;
        start_chains(acc, part.fresh, left);
        for (std::int64_t k = 0; k < part.columns; k += kInt8Block, ++b) {
            const Vec16 w_scale = Vec16::load(reinterpret_cast<const float*>(panel + chunk.block[b].panel_offset));
            const float* x_scale = x.scale[b] + row_tile * kTileRows;
            const std::int32_t* correction = x.correction[b] + row_tile * kTileRows;
            const std::int32_t* sum = sums[b - begin][row_tile];
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
inline void chain_rows(int rows, const Chunk& chunk, int run, const ChunkRows& x, int row_tile, const std::byte* panel,
                       const RunSums& sums, float* stack) {
    if (rows <= 4) return chain_run<4>(chunk, run, x, row_tile, panel, sums, stack);
    if (rows <= 8) return chain_run<8>(chunk, run, x, row_tile, panel, sums, stack);
    if (rows <= 12) return chain_run<12>(chunk, run, x, row_tile, panel, sums, stack);
    return chain_run<16>(chunk, run, x, row_tile, panel, sums, stack);
}

inline void shape_tiles(int rows, int tail) {
    AmxTileShapes shapes;
    const int first = rows < kTileRows ? rows : kTileRows;
    for (const int tile : {kSums0, kCodes0}) set_shape(shapes, tile, first, 64);
    for (const int tile : {kSums1, kCodes1}) set_shape(shapes, tile, rows - first, 64);
    set_shape(shapes, kWeights, kTileCodes / 4, 64);
    set_shape(shapes, kTailCodes0, first, tail);
    set_shape(shapes, kTailCodes1, rows - first, tail);
    set_shape(shapes, kTailWeights, tail / 4, 64);
    use_shapes(shapes);
}

struct PassSpace {
    ChunkRows x;
    alignas(4096) RunSums sums;
    alignas(64) float stack[kStackDepth][kSlotsMax][kRowTiles][kTileInts];
};
static_assert(sizeof PassSpace::stack == kStackDepth * kFloats * sizeof(float));

inline void multiply_run(const Chunk& chunk, int run, int rows, const std::byte* panel, PassSpace& space,
                         float (*stack)[kTileInts], FetchAhead& ahead) {
    if (rows <= kTileRows) {
        sum_run<1>(chunk, run, space.x, panel, space.sums, ahead);
        chain_rows(rows, chunk, run, space.x, 0, panel, space.sums, stack[0]);
        return;
    }
    sum_run<2>(chunk, run, space.x, panel, space.sums, ahead);
    chain_rows(kTileRows, chunk, run, space.x, 0, panel, space.sums, stack[0]);
    chain_rows(rows - kTileRows, chunk, run, space.x, 1, panel, space.sums, stack[1]);
}

// Rows [row, row + rows) of a task's panels.
inline void amx_pass(const ProductJob& job, const Int8Rows& x, const PanelBlock& block, std::int64_t row, int rows,
                     PassSpace& space, FetchAhead& ahead) {
    const MatrixSpec spec = decoded_spec(job.weight[0].spec);
    const std::byte* record[kPassRows];
    for (int r = 0; r < rows; ++r) {
        record[r] = x.data + (job.row_index != nullptr ? job.row_index[row + r] : row + r) * x.shape.row_bytes;
    }
    const int tiles = (rows + kTileRows - 1) / kTileRows;
    LeafWalk walk;
    Chunk chunk;
    while (next_chunk(walk, spec, chunk)) {
        copy_rows(chunk, x.shape, record, rows, space.x);
        for (int slot = 0; slot < block.slots; ++slot) {
            for (int run = 0; run < chunk.runs; ++run)
                multiply_run(chunk, run, rows, block.panel[slot], space, space.stack[0][slot], ahead);
        }
    }
    const int step = job.up != nullptr ? 2 : 1;
    for (int slot = 0; slot < block.slots; slot += step) {
        const std::int64_t output = block.first_output + slot / step * kPanelOutputs;
        const int width = spec.n - output < kPanelOutputs ? static_cast<int>(spec.n - output) : kPanelOutputs;
        for (int tile = 0; tile < tiles; ++tile) {
            const int left = rows - tile * kTileRows;
            store_panel<Vec16>(job, output, width, row + tile * kTileRows, left < kTileRows ? left : kTileRows,
                               space.stack[0][slot][tile], step == 2 ? space.stack[0][slot + 1][tile] : nullptr);
        }
    }
}

// Rows [row_begin, row_end) of one block of panels; false, and nothing done, where tiles cannot do it.
[[gnu::noinline]] static bool amx_task(const ProductJob& job, const Int8Rows& x, const PanelBlock& block,
                                       std::int64_t row_begin, std::int64_t row_end, FetchAhead ahead) {
    const int tail = tail_codes(job.weight[0].spec);
    if (tail < 0) return false;
    PassSpace space;
    std::memset(space.sums, 0, sizeof space.sums);
    const std::int64_t all = row_end - row_begin;
    const std::int64_t passes = (all + kPassRows - 1) / kPassRows;
    if (ahead.next != nullptr && all > kTileRows) {  // evenly over the task's blocks
        const std::int64_t blocks = passes * block.slots * x.shape.blocks;
        const std::int64_t lines = (ahead.end - ahead.next + (ahead.then_end - ahead.then)) / 64;
        ahead.lines = static_cast<int>((lines + blocks - 1) / blocks);
    }
    for (std::int64_t row = row_begin; row < row_end; row += kPassRows) {
        const int rows = static_cast<int>(row_end - row < kPassRows ? row_end - row : kPassRows);
        shape_tiles(rows, tail);
        amx_pass(job, x, block, row, rows, space, ahead);
    }
    release_tiles();
    return true;
}

}  // namespace
}  // namespace argosy::cpu_amx
