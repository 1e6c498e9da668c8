// Products of rounded rows with panels of bf16, by AMX. Included by amx_bf16_tiles.cpp alone.
//
// A tile register takes 32 columns of 16 rows, another the same columns of a panel as they stand in memory, and one
// multiplication sums 16 x 16 x 32 products in the order of rule R12. A leaf's sums stay in registers until it ends, or
// until the run does: up to four tiles of rows, for which a panel's columns are read once from the second-level cache.
// A run is so long that the rows' columns of it stay in the first-level cache while all panels of the task pass; rows
// that are named by an index are gathered first.
//
// Tiles of rows are always 16 high: what stands in the last behind the rows is multiplied too, and never stored.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/cpu/bf16_rows.hpp"
#include "kernels/cpu/generic/leaf_walk.hpp"
#include "kernels/cpu/generic/product_task.hpp"
#include "kernels/cpu/tiles_amx.hpp"
#include "kernels/cpu/vec16_avx512.hpp"
#include "kernels/quant/bf16.hpp"

namespace argosy::cpu_amx {
namespace {

using cpu_avx512::Vec16;

constexpr int kTileRows = 16;
constexpr int kRowTilesMax = 4;  // that share a panel
constexpr int kPassRows = kRowTilesMax * kTileRows;
constexpr int kRunTiles = 32;  // tiles of rows of a run: 32 KiB
constexpr int kTileFloats = kTileRows * kPanelOutputs;

// Tile registers: the sums of four tiles of rows, a tile of rows, one of the panel; columns of a leaf beyond multiples
// of 32 in the last two.
enum Tile { kSums0, kSums1, kSums2, kSums3, kRows, kWeights, kLastRows, kLastWeights };

// Pairs of columns that leaves have beyond multiples of 32 columns.
inline int last_pairs(const MatrixSpec& spec) {
    return common_tail(spec, [](std::int64_t columns) { return (columns % kTileColumns + 1) / 2; });
}

inline void shape_tiles(int last_pairs) {
    AmxTileShapes shapes;
    for (const int tile : {kSums0, kSums1, kSums2, kSums3, kRows}) set_shape(shapes, tile, kTileRows, 64);
    set_shape(shapes, kWeights, kTileColumns / 2, 64);
    set_shape(shapes, kLastRows, kTileRows, last_pairs * 4);
    set_shape(shapes, kLastWeights, last_pairs, 64);
    use_shapes(shapes);
}

// Calls use.operator()<t>() for the sums of tiles of rows 0 <= t < kRowTiles.
template <int kRowTiles, class Use>
[[gnu::always_inline]] inline void for_row_tiles(const Use& use) {
    use.template operator()<0>();
    if constexpr (kRowTiles > 1) use.template operator()<1>();
    if constexpr (kRowTiles > 2) use.template operator()<2>();
    if constexpr (kRowTiles > 3) use.template operator()<3>();
}

// Values of depth d of the stack, [slots][kRowTilesMax][16 rows][16 outputs], stand kDepthFloats * d behind its begin.
constexpr int kSlotFloats = kRowTilesMax * kTileFloats;
constexpr int kDepthFloats = kSlotsMax * kSlotFloats;

struct TileSpace {
    alignas(4096) std::byte gathered[kRunTiles * kTileRows * kTileRowBytes];  // [tiles of columns][kPassRows]
    alignas(64) float sums[kSlotFloats];
    alignas(64) float stack[kStackDepth * kDepthFloats];
};

// A run's tiles of columns of a pass's rows: 16 rows stand together, tiles of columns `stride` bytes apart.
struct RunRows {
    const std::byte* data = nullptr;
    std::int64_t stride = 0;
};

inline RunRows gather_rows(const Bf16Rows& x, std::int64_t first_tile, int tiles, const std::int32_t* index, int rows,
                           std::byte* to) {
    const std::int64_t stride = (rows + kTileRows - 1) / kTileRows * kTileRows * kTileRowBytes;
    for (int tile = 0; tile < tiles; ++tile) {
        const std::byte* from = x.data + (first_tile + tile) * x.rows * kTileRowBytes;
        for (int r = 0; r < rows; ++r)
            std::memcpy(to + tile * stride + r * kTileRowBytes, from + index[r] * kTileRowBytes, kTileRowBytes);
    }
    return {to, stride};
}

// The subtrees that wait on the left join, newest first (rule R2), and the result stands at stack[part.top].
template <int kRowTiles>
inline void join_sums(const ChainPart& part, const float* sums, float* stack) {
    for (int i = 0; i < kRowTiles * kTileFloats; i += 16) {
        Vec16 value = Vec16::load(sums + i);
        for (int join = part.joins - 1; join >= 0; --join)
            value = vadd(Vec16::load(stack + (part.top + join) * kDepthFloats + i), value);
        value.store(stack + part.top * kDepthFloats + i);
    }
}

// One panel's run. With every tile of columns `ahead.lines` cache lines of the next task are asked for.
template <int kRowTiles>
[[gnu::noinline]] static void multiply_run(const ChainRun& run, const RunRows& x, const std::byte* panel, float* sums,
                                           float* stack, FetchAhead& ahead) {
    constexpr std::int64_t kTileBytes = kTileRows * kTileRowBytes;
    const std::byte* weights = panel + run.panel_offset;
    const std::byte* rows = x.data;
    for (int i = 0; i < run.parts; ++i) {
        const ChainPart& part = run.part[i];
        for_row_tiles<kRowTiles>([&]<int t>() {
            if (part.fresh) return zero_tile<kSums0 + t>();
            load_tile<kSums0 + t>(stack + (part.top + part.joins) * kDepthFloats + t * kTileFloats);
        });
        std::int64_t left = part.columns;
        for (; left >= kTileColumns; left -= kTileColumns, rows += x.stride, weights += 16 * 64) {
            for (int line = 0; line < ahead.lines; ++line, ahead.next += 64) __builtin_prefetch(ahead.next, 0, 2);
            if constexpr (kRowTiles == 1) fetch_weights_behind(weights);
            load_tile<kWeights>(weights);
            for_row_tiles<kRowTiles>([&]<int t>() {
                load_tile<kRows>(rows + t * kTileBytes);
                multiply_bf16<kSums0 + t, kRows, kWeights>();
            });
        }
        if (left > 0) {
            load_tile<kLastWeights>(weights);
            for_row_tiles<kRowTiles>([&]<int t>() {
                load_tile<kLastRows>(rows + t * kTileBytes);
                multiply_bf16<kSums0 + t, kLastRows, kLastWeights>();
            });
            rows += x.stride;
            weights += (left + 1) / 2 * 64;
        }
        float* to = part.joins > 0 ? sums : stack + part.top * kDepthFloats;
        for_row_tiles<kRowTiles>([&]<int t>() { store_tile<kSums0 + t>(to + t * kTileFloats); });
        if (part.joins > 0) join_sums<kRowTiles>(part, sums, stack);
    }
    if (ahead.lines > 0 && ahead.next >= ahead.end) start_next_range(ahead);
}

inline int tiles_of(const ChainRun& run) {
    std::int64_t tiles = 0;
    for (int i = 0; i < run.parts; ++i) tiles += (run.part[i].columns + kTileColumns - 1) / kTileColumns;
    return static_cast<int>(tiles);
}

// Rows [row, row + rows) of a task's panels.
template <int kRowTiles>
[[gnu::noinline]] static void tile_pass(const ProductJob& job, const Bf16Rows& x, const PanelBlock& block,
                                        std::int64_t row, int rows, TileSpace& space, FetchAhead& ahead) {
    const MatrixSpec& spec = job.weight[0].spec;
    LeafWalk walk{.from_bias = has_bias(block)};
    ChainRun run;
    for (int slot = 0; slot < block.slots; ++slot)
        put_bias<Vec16>(job, block, slot, 1, rows, space.stack + slot * kSlotFloats);
    std::int64_t tile = 0;  // the run's first
    while (next_run(walk, spec, kRunTiles / kRowTiles, run, kTileColumns)) {
        const int tiles = tiles_of(run);
        RunRows run_rows{x.data + (tile * x.rows + row) * kTileRowBytes, x.rows * kTileRowBytes};
        if (job.row_index != nullptr) run_rows = gather_rows(x, tile, tiles, job.row_index + row, rows, space.gathered);
        tile += tiles;
        for (int slot = 0; slot < block.slots; ++slot) {
            multiply_run<kRowTiles>(run, run_rows, block.panel[slot], space.sums, space.stack + slot * kSlotFloats,
                                    ahead);
        }
    }
    const int step = job.up != nullptr ? 2 : 1;
    for (int slot = 0; slot < block.slots; slot += step) {
        const std::int64_t output = block.first_output + slot / step * kPanelOutputs;
        const int width = spec.n - output < kPanelOutputs ? static_cast<int>(spec.n - output) : kPanelOutputs;
        const float* values = space.stack + slot * kSlotFloats;
        store_panel<Vec16>(job, output, width, row, rows, values, step == 2 ? values + kSlotFloats : nullptr);
    }
}

// Rows [row_begin, row_end) of one block of panels; last: last_pairs of the matrix.
[[gnu::noinline]] static void tile_task(const ProductJob& job, const Bf16Rows& x, const PanelBlock& block, int last,
                                        std::int64_t row_begin, std::int64_t row_end, FetchAhead ahead) {
    TileSpace space;
    const std::int64_t all = row_end - row_begin;
    const std::int64_t passes = (all + kPassRows - 1) / kPassRows;
    const std::int64_t tiles = job.weight[0].spec.k / kTileColumns;
    if (ahead.next != nullptr && tiles > 0 && all > kTileRows) {  // evenly over the task's tiles
        const std::int64_t lines = (ahead.end - ahead.next + (ahead.then_end - ahead.then)) / 64;
        const std::int64_t steps = passes * block.slots * tiles;
        ahead.lines = static_cast<int>((lines + steps - 1) / steps);
    }
    shape_tiles(last);
    for (std::int64_t row = row_begin; row < row_end; row += kPassRows) {
        const int rows = static_cast<int>(row_end - row < kPassRows ? row_end - row : kPassRows);
        if (rows <= kTileRows) {
            tile_pass<1>(job, x, block, row, rows, space, ahead);
        } else if (rows <= 2 * kTileRows) {
            tile_pass<2>(job, x, block, row, rows, space, ahead);
        } else if (rows <= 3 * kTileRows) {
            tile_pass<3>(job, x, block, row, rows, space, ahead);
        } else {
            tile_pass<4>(job, x, block, row, rows, space, ahead);
        }
    }
    release_tiles();
}

}  // namespace
}  // namespace argosy::cpu_amx
