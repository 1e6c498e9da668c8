// One task of a product: some rows of a group times a block of panels, for plain products, leaf projections (rule R2)
// and gate-up pairs.
//
// A few tiles of rows walk over K together, run by run. Of a run, the panels' part stays in the second-level cache
// while all of these tiles pass, and a tile's columns of x are copied once for all panels.
#pragma once

#include <cstdint>

#include "kernels/base/elementary.hpp"
#include "kernels/cpu/generic/panel_chain.hpp"
#include "kernels/cpu/panels.hpp"
#include "kernels/quant/bf16.hpp"

namespace argosy {

struct ProductJob {
    int groups = 1;
    const std::int32_t* group_begin = nullptr;  // [groups + 1]
    const std::int32_t* row_index = nullptr;    // [rows] row of x for an output row, or null
    const WeightMatrix* weight = nullptr;       // [groups], all of one spec
    const WeightMatrix* up = nullptr;           // [groups]: out = silu(x * weight) * (x * up); null: out = x * weight
    const float* x = nullptr;                   // [*, k]
    float* out = nullptr;                       // [rows, n], row stride out_stride floats
    std::int64_t out_stride = 0;
    std::int64_t out_group = 0;  // > 0: floats from the first row of a group to that of the next
    std::int64_t out_row = 0;    // row and output that stand at `out`
    std::int64_t out_output = 0;
    int panel_unit = 1;                     // tasks take whole multiples of that many panels of a matrix
    const float* const* bias = nullptr;     // [groups] of [n]: where the first leaf's chains start; null: at 0
    const float* const* up_bias = nullptr;  // the same of `up`
    float swiglu_limit = 0;                 // > 0: clamped_swiglu_lanes instead of silu
};

inline constexpr int kSlotsMax = 32;         // panels of one task
inline constexpr int kRowsMax = 16;          // rows of any lane type's tile
inline constexpr int kColumnsBytes = 32768;  // copied columns of x of one row tile; panels stream beside them
inline constexpr int kTilesTogether = 5;     // of rows
inline constexpr int kFetchRows = 6;         // of a tile, from which on weights are fetched ahead

// What a task works on: `slots` panels of a group, gate and up panels alternating where there are both.
struct PanelBlock {
    const std::byte* panel[kSlotsMax];
    int slots = 0;
    std::int64_t first_output = 0;
    const float* bias[2] = {};  // of the group's matrix, or gate, and of up
};

// One row's block of columns, of which there are `count`, or zeros behind them.
template <class V, class Weights>
[[gnu::always_inline]] static inline void copy_block(const float* x, std::int64_t count, float* to) {
    const V values = count >= kChainBlock ? V::load(x) : V::load_first(x, static_cast<int>(count));
    if constexpr (Weights::kPairs) {
        Weights::store(values, to);
    } else {
        values.store(to);
    }
}

// Copies a run's columns of x as chain_tile reads them: [block][rows][Weights::kBlockFloats], a part's last block
// short.
template <class V, class Weights>
static void copy_columns(const ChainRun& run, const float* const* x_row, int rows, float* to) {
    std::int64_t column = run.k_begin;
    for (int i = 0; i < run.parts; ++i) {
        for (std::int64_t k = 0; k < run.part[i].columns; k += kChainBlock, column += kChainBlock) {
            const std::int64_t left = run.part[i].columns - k;
            for (int r = 0; r < rows; ++r, to += Weights::kBlockFloats)
                copy_block<V, Weights>(x_row[r] + column, left, to);
            if (left < kChainBlock) column += left - kChainBlock;
        }
    }
}

// Whether chains of the block's panels start from a bias; then LeafWalk::from_bias says so.
ARGOSY_INLINE bool has_bias(const PanelBlock& block) { return block.bias[0] != nullptr; }

// Puts what the first chains of `slots` panels from `slot` on start from where these look for it: [slots][rows][16].
template <class V>
static void put_bias(const ProductJob& job, const PanelBlock& block, int slot, int slots, int rows, float* to) {
    if (!has_bias(block)) return;
    const int step = job.up != nullptr ? 2 : 1;
    for (int p = slot; p < slot + slots; ++p) {
        const std::int64_t output = block.first_output + p / step * kPanelOutputs;
        const std::int64_t width = job.weight[0].spec.n - output;
        const float* bias = block.bias[p % step] + output;
        const V values = width >= kPanelOutputs ? V::load(bias) : V::load_first(bias, static_cast<int>(width));
        for (int r = 0; r < rows; ++r, to += kPanelOutputs) values.store(to);
    }
}

// A panel's outputs of `rows` rows from values [rows][16]; with `up`, silu(values) * up, or the other activation.
template <class V>
static void store_panel(const ProductJob& job, std::int64_t output, int width, std::int64_t row, int rows,
                        const float* values, const float* up) {
    for (int r = 0; r < rows; ++r) {
        V value = V::load(values + r * 16);
        if (up != nullptr && job.swiglu_limit > 0) {
            value = clamped_swiglu_lanes(value, V::load(up + r * 16), V::set(job.swiglu_limit));
        } else if (up != nullptr) {
            value = vmul(silu_lanes(value), V::load(up + r * 16));
        }
        float* out = job.out + (row + r - job.out_row) * job.out_stride + (output - job.out_output);
        if (width >= kPanelOutputs) {
            value.store(out);
        } else {
            value.store_first(out, width);
        }
    }
}

// Panels from `slot` on that one tile takes at most.
ARGOSY_INLINE int tile_slots(const PanelBlock& block, int slot) {
    constexpr int kTilePanelsMax = 8;
    return block.slots - slot < kTilePanelsMax ? block.slots - slot : kTilePanelsMax;
}

// Some adjacent tiles of rows of a task, which pass together over K: what a run needs of the panels stays in the
// second-level cache for all of them, and a block may have more panels than would fit it whole.
struct RowTiles {
    std::int64_t row[kTilesTogether];
    int rows[kTilesTogether];
    int count = 0;
};

// What waits of one tile's chains: [slots][kStackDepth][rows][16], in groups as chain_tile takes them.
inline constexpr std::int64_t kTileStackFloats = std::int64_t{kSlotsMax} * kStackDepth * kRowsMax * kPanelOutputs;

// One run of K for one tile of rows, whose columns of x stand copied; `last`: its outputs are then whole.
template <class V, class Weights>
static void run_panels(const ProductJob& job, const MatrixSpec& spec, const PanelBlock& block, const ChainRun& run,
                       bool last, std::int64_t row, int rows, const float* columns, float* stacks, FetchAhead& ahead) {
    const int step = job.up != nullptr ? 2 : 1;
    const float* values[kSlotsMax];
    int stored = 0;
    for (int slot = 0; slot < block.slots;) {
        float* stack = stacks + static_cast<std::int64_t>(slot) * kStackDepth * rows * 16;
        if (run.k_begin == 0) put_bias<V>(job, block, slot, tile_slots(block, slot), rows, stack);
        const int taken = chain_panels<V, Weights, V::kTileRows>(rows, run, columns, block.panel + slot,
                                                                 block.slots - slot, stack, ahead);
        for (int p = 0; p < taken; ++p) values[slot + p] = stack + static_cast<std::int64_t>(p) * rows * 16;
        slot += taken;
        if (!last) continue;
        for (; stored + step <= slot; stored += step) {
            const std::int64_t output = block.first_output + stored / step * kPanelOutputs;
            const std::int64_t width = spec.n - output;
            store_panel<V>(job, output, width < kPanelOutputs ? static_cast<int>(width) : kPanelOutputs, row, rows,
                           values[stored], step == 2 ? values[stored + 1] : nullptr);
        }
    }
}

// stacks: kTileStackFloats for each tile.
template <class V, class Weights>
static void product_tiles(const ProductJob& job, const MatrixSpec& spec, const PanelBlock& block, const RowTiles& tiles,
                          float* stacks, FetchAhead& ahead) {
    alignas(64) float columns[kColumnsBytes / sizeof(float)];
    constexpr std::int64_t kUnit = Weights::kTiles ? kTileColumns : kChainBlock;  // a leaf is cut at multiples of it
    constexpr std::int64_t kUnitBytes = kUnit / kChainBlock * Weights::kBlockFloats * sizeof(float);
    int most_rows = 1;
    for (int t = 0; t < tiles.count; ++t) most_rows = tiles.rows[t] > most_rows ? tiles.rows[t] : most_rows;
    const std::int64_t run_blocks = kColumnsBytes / kUnitBytes / most_rows;
    LeafWalk walk{.from_bias = has_bias(block)};
    ChainRun run;
    while (next_run(walk, spec, run_blocks, run, kUnit)) {
        for (int t = 0; t < tiles.count; ++t) {
            const float* x_row[kRowsMax];
            for (int r = 0; r < tiles.rows[t]; ++r) {
                const std::int64_t row = tiles.row[t] + r;
                x_row[r] = job.x + (job.row_index != nullptr ? job.row_index[row] : row) * spec.k;
            }
            copy_columns<V, Weights>(run, x_row, tiles.rows[t], columns);
            run_panels<V, Weights>(job, spec, block, run, walk.k == spec.k, tiles.row[t], tiles.rows[t], columns,
                                   stacks + t * kTileStackFloats, ahead);
        }
    }
}

// Spreads what is to be fetched evenly over the innermost loop of a task. Tiles of few rows wait for memory in any case
// and their loop has no time to spare.
template <class V>
static void spread_fetch(FetchAhead& ahead, const MatrixSpec& spec, int slots, std::int64_t rows, std::int64_t tiles) {
    if (ahead.next == nullptr || rows < kFetchRows * tiles) return;
    const int panels = tile_panels<V>(static_cast<int>(rows / tiles));
    const std::int64_t blocks = tiles * ((slots + panels - 1) / panels) * (spec.k / kChainBlock);
    const std::int64_t lines = (ahead.end - ahead.next + (ahead.then_end - ahead.then)) / 64;
    ahead.lines = blocks == 0 ? 0 : static_cast<int>((lines + blocks - 1) / blocks);
}

// Rows [row_begin, row_end) of one block of panels.
template <class V, class Weights>
[[gnu::noinline]] static void product_task(const ProductJob& job, const MatrixSpec& spec, const PanelBlock& block,
                                           std::int64_t row_begin, std::int64_t row_end, FetchAhead ahead) {
    static_assert(V::kTileRows <= kRowsMax);
    alignas(64) float stacks[kTilesTogether * kTileStackFloats];
    // Tiles of nearly equal height: 16 rows are 8 + 8, not 12 + 4.
    const std::int64_t all = row_end - row_begin;
    const std::int64_t tiles = (all + V::kTileRows - 1) / V::kTileRows;
    spread_fetch<V>(ahead, spec, block.slots, all, tiles);
    for (std::int64_t first = 0; first < tiles; first += kTilesTogether) {
        RowTiles together;
        for (std::int64_t t = first; t < tiles && together.count < kTilesTogether; ++t, ++together.count) {
            const std::int64_t row = row_begin + all * t / tiles;
            together.row[together.count] = row;
            together.rows[together.count] = static_cast<int>(row_begin + all * (t + 1) / tiles - row);
        }
        product_tiles<V, Weights>(job, spec, block, together, stacks, ahead);
    }
}

}  // namespace argosy
