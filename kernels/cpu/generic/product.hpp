// Products with packed weights, by group of rows: one driver for plain products, leaf projections (rule R2) and gate-up
// pairs.
//
// Work is cut into tasks of (group, block of panels, block of rows). A task's panels fit the second-level cache and
// stay there while all its row tiles pass; a row tile's columns of x are copied once for all panels of the task.
#pragma once

#include <cstdint>

#include "kernels/base/elementary.hpp"
#include "kernels/cpu/generic/panel_chain.hpp"
#include "kernels/cpu/generic/parallel_tasks.hpp"
#include "kernels/cpu/panels.hpp"

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
};

inline constexpr int kSlotsMax = 16;  // panels of one task
inline constexpr int kRowsMax = 16;   // rows of any lane type's tile
inline constexpr int kColumnsBytes =
    16384;  // copied columns of x of one row tile; panels stream beside them through the first-level cache
inline constexpr int kFetchRows = 6;  // of a tile, from which on weights are fetched ahead
inline constexpr int kLeafLevels =
    4;  // leaf values that wait for their sibling: one per level of the tree, and the newest

// What a task works on: `slots` panels of a group, gate and up panels alternating where there are both.
struct PanelBlock {
    const std::byte* panel[kSlotsMax];
    int slots = 0;
    std::int64_t first_output = 0;
};

// One leaf's chains for `rows` rows and all slots: tile[slot][row][16].
template <class V, class Weights>
static void leaf_chains(const float* const* x_row, int rows, const PanelBlock& block, std::int64_t part_offset,
                        std::int64_t k_begin, std::int64_t k_end, float* tile, FetchAhead& ahead) {
    alignas(64) float columns[kColumnsBytes / sizeof(float)];
    const std::int64_t run_max =
        static_cast<std::int64_t>(kColumnsBytes / sizeof(float)) / rows / kChainBlock * kChainBlock;
    for (std::int64_t run = k_begin; run < k_end; run += run_max) {
        const std::int64_t count = k_end - run < run_max ? k_end - run : run_max;
        float* to = columns;
        for (std::int64_t k = 0; k < count; k += kChainBlock) {
            const int width = count - k < kChainBlock ? static_cast<int>(count - k) : kChainBlock;
            for (int r = 0; r < rows; ++r, to += kChainBlock) {
                const float* from = x_row[r] + run + k;
                if (width == kChainBlock) {
                    V::load(from).store(to);
                } else {
                    V::load_first(from, width).store(to);
                }
            }
        }
        const std::byte* panel[kSlotsMax];
        const std::int64_t offset = part_offset + (run - k_begin) / 2 * Weights::kPairBytes;
        for (int s = 0; s < block.slots; ++s) panel[s] = block.panel[s] + offset;
        for (int s = 0; s < block.slots;) {
            s +=
                chain_panels<V, Weights, V::kTileRows>(rows, columns, panel + s, block.slots - s, count, run == k_begin,
                                                       tile + static_cast<std::int64_t>(s) * rows * 16, ahead);
        }
    }
}

// Rule R2: leaves in order, each joined with the subtree on its left as soon as it is whole; an absent one passes its
// sibling through. Like counting in binary: after leaf i every level whose bit of i is set holds the left half of a
// pair that is now complete. Returns where the tile stands among the levels' buffers.
template <class V, class Weights>
static float* joined_leaves(const MatrixSpec& spec, const float* const* x_row, int rows, const PanelBlock& block,
                            float* buffers, FetchAhead& ahead) {
    constexpr std::int64_t kTileFloats = static_cast<std::int64_t>(kSlotsMax) * kRowsMax * 16;
    float* waiting[kLeafLevels] = {};  // the left value of each level, null where absent
    bool in_use[kLeafLevels + 1] = {};
    const std::int64_t floats = static_cast<std::int64_t>(block.slots) * rows * 16;
    float* value = nullptr;
    std::int64_t offset = 0;
    for (int leaf = 0; leaf < leaf_parts(spec); ++leaf) {
        const std::int64_t k_begin = leaf_part_begin(spec, leaf);
        const std::int64_t k_end = leaf_part_begin(spec, leaf + 1);
        value = nullptr;
        if (k_begin < k_end) {
            int free_buffer = 0;
            while (in_use[free_buffer]) ++free_buffer;
            value = buffers + free_buffer * kTileFloats;
            in_use[free_buffer] = true;
            leaf_chains<V, Weights>(x_row, rows, block, offset, k_begin, k_end, value, ahead);
        }
        offset += panel_part_bytes(spec.dtype, k_end - k_begin);
        int level = 0;
        for (; leaf >> level & 1; ++level) {
            float* left = waiting[level];
            if (left == nullptr) continue;
            if (value != nullptr) {
                for (std::int64_t i = 0; i < floats; i += 16)
                    vadd(V::load(left + i), V::load(value + i)).store(left + i);
                in_use[(value - buffers) / kTileFloats] = false;
            }
            value = left;
        }
        if (level < kLeafLevels) waiting[level] = value;
    }
    return value;
}

template <class V>
static void store_tile(const ProductJob& job, const PanelBlock& block, std::int64_t n, std::int64_t row, int rows,
                       const float* tile) {
    const int step = job.up != nullptr ? 2 : 1;
    for (int s = 0; s < block.slots; s += step) {
        const std::int64_t output = block.first_output + static_cast<std::int64_t>(s / step) * kPanelOutputs;
        const int width = n - output < kPanelOutputs ? static_cast<int>(n - output) : kPanelOutputs;
        for (int r = 0; r < rows; ++r) {
            V value = V::load(tile + (static_cast<std::int64_t>(s) * rows + r) * 16);
            if (step == 2)
                value = vmul(silu_lanes(value), V::load(tile + (static_cast<std::int64_t>(s + 1) * rows + r) * 16));
            float* out = job.out + (row + r) * job.out_stride + output;
            if (width == kPanelOutputs) {
                value.store(out);
            } else {
                value.store_first(out, width);
            }
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
    alignas(64) float buffers[(kLeafLevels + 1) * kSlotsMax * kRowsMax * 16];
    // Tiles of nearly equal height: 16 rows are 8 + 8, not 12 + 4.
    const std::int64_t all = row_end - row_begin;
    const std::int64_t tiles = (all + V::kTileRows - 1) / V::kTileRows;
    spread_fetch<V>(ahead, spec, block.slots, all, tiles);
    for (std::int64_t t = 0; t < tiles; ++t) {
        const std::int64_t row = row_begin + all * t / tiles;
        const int rows = static_cast<int>(row_begin + all * (t + 1) / tiles - row);
        const float* x_row[kRowsMax];
        for (int r = 0; r < rows; ++r) {
            x_row[r] = job.x + (job.row_index != nullptr ? job.row_index[row + r] : row + r) * spec.k;
        }
        const float* tile = joined_leaves<V, Weights>(spec, x_row, rows, block, buffers, ahead);
        store_tile<V>(job, block, spec.n, row, rows, tile);
    }
}

// How a job is cut; any cut gives the same bits.
struct ProductCut {
    int panels_per_block = 1;  // of one matrix
    std::int64_t panel_blocks = 1;
    int row_blocks = 1;  // of every group
};

ARGOSY_INLINE ProductCut product_cut(const MatrixSpec& spec, bool paired, int groups, std::int64_t rows, int threads,
                                     int tile_rows) {
    constexpr std::int64_t kCachedBytes = 768 * 1024;
    const std::int64_t panels = panel_count(spec);
    const int per_panel = paired ? 2 : 1;
    std::int64_t block = kSlotsMax / per_panel;
    const std::int64_t fitting = kCachedBytes / (panel_bytes(spec) * per_panel + 1);
    if (rows > tile_rows * groups && block > fitting) block = fitting;
    if (threads > 1) {
        const std::int64_t spread = panels * groups / (4 * threads);  // enough tasks for all threads to end together
        if (block > spread) block = spread;
    }
    const std::int64_t least = (rows <= 2 * groups   ? 8
                                : rows <= 6 * groups ? 4
                                                     : 2) /
                               per_panel;  // a full register tile
    if (block < least) block = least;
    ProductCut cut;
    cut.panel_blocks = (panels + block - 1) / block;
    block = (panels + cut.panel_blocks - 1) / cut.panel_blocks;
    cut.panels_per_block = static_cast<int>(block);
    cut.panel_blocks = (panels + block - 1) / block;
    if (threads > 1 && cut.panel_blocks * groups < 2 * threads) {
        const std::int64_t most = rows / groups / tile_rows;
        const std::int64_t wanted = (2 * threads + cut.panel_blocks * groups - 1) / (cut.panel_blocks * groups);
        cut.row_blocks = static_cast<int>(wanted < most ? wanted : most > 1 ? most : 1);
    }
    return cut;
}

// Which group, panels of one matrix, and rows a task takes.
struct ProductTask {
    std::int64_t group = 0;
    std::int64_t panel_begin = 0;
    std::int64_t panel_end = 0;
    std::int64_t row_begin = 0;
    std::int64_t row_end = 0;
};

ARGOSY_INLINE ProductTask product_task_at(const ProductJob& job, const ProductCut& cut, std::int64_t index) {
    const std::int64_t panels = panel_count(job.weight[0].spec);
    const std::int64_t row_block = index % cut.row_blocks;
    const std::int64_t panel_block = index / cut.row_blocks % cut.panel_blocks;
    ProductTask task;
    task.group = index / cut.row_blocks / cut.panel_blocks;
    task.panel_begin = panel_block * cut.panels_per_block;
    task.panel_end =
        task.panel_begin + cut.panels_per_block < panels ? task.panel_begin + cut.panels_per_block : panels;
    const std::int64_t begin = job.group_begin[task.group];
    const std::int64_t rows = job.group_begin[task.group + 1] - begin;
    task.row_begin = begin + rows * row_block / cut.row_blocks;
    task.row_end = begin + rows * (row_block + 1) / cut.row_blocks;
    return task;
}

ARGOSY_INLINE const std::byte* panel_data(const WeightMatrix& weight, std::int64_t panel) {
    return static_cast<const std::byte*>(weight.data) + panel * panel_bytes(weight.spec);
}

ARGOSY_INLINE PanelBlock panel_block(const ProductJob& job, const ProductTask& task) {
    PanelBlock block;
    block.first_output = task.panel_begin * kPanelOutputs;
    for (std::int64_t p = task.panel_begin; p < task.panel_end; ++p) {
        block.panel[block.slots++] = panel_data(job.weight[task.group], p);
        if (job.up != nullptr) block.panel[block.slots++] = panel_data(job.up[task.group], p);
    }
    return block;
}

// The panels of task `next`, unless it reads those of `task` again or has no rows.
ARGOSY_INLINE FetchAhead panels_to_fetch(const ProductJob& job, const ProductTask& task, const ProductTask& next) {
    FetchAhead ahead;
    if (next.row_begin == next.row_end) return ahead;
    if (next.group == task.group && next.panel_begin == task.panel_begin) return ahead;
    ahead.next = panel_data(job.weight[next.group], next.panel_begin);
    ahead.end = panel_data(job.weight[next.group], next.panel_end);
    if (job.up != nullptr) {
        ahead.then = panel_data(job.up[next.group], next.panel_begin);
        ahead.then_end = panel_data(job.up[next.group], next.panel_end);
    }
    return ahead;
}

template <class V>
static void run_product(const ProductJob& job, const Stream& stream) {
    const MatrixSpec& spec = job.weight[0].spec;
    const std::int64_t rows = job.group_begin[job.groups] - job.group_begin[0];
    if (rows == 0 || spec.n == 0) return;
    const bool paired = job.up != nullptr;
    const ProductCut cut = product_cut(spec, paired, job.groups, rows, stream.threads, V::kTileRows);
    const std::int64_t tasks = job.groups * cut.panel_blocks * cut.row_blocks;
    parallel_tasks_ahead(stream, tasks, [&](std::int64_t index, std::int64_t next) {
        const ProductTask task = product_task_at(job, cut, index);
        if (task.row_begin == task.row_end) return;
        const PanelBlock block = panel_block(job, task);
        FetchAhead ahead;
        if (next < tasks) ahead = panels_to_fetch(job, task, product_task_at(job, cut, next));
        if (spec.dtype == DType::bf16) {
            product_task<V, PanelBf16>(job, spec, block, task.row_begin, task.row_end, ahead);
        } else {
            product_task<V, PanelF32>(job, spec, block, task.row_begin, task.row_end, ahead);
        }
    });
}

// A plain product of one matrix: out[m][n], row stride out_stride floats.
template <class V>
static void run_plain_product(const WeightMatrix& weight, int rows, const float* x, float* out, std::int64_t out_stride,
                              const Stream& stream) {
    const std::int32_t group_begin[2] = {0, rows};
    ProductJob job;
    job.group_begin = group_begin;
    job.weight = &weight;
    job.x = x;
    job.out = out;
    job.out_stride = out_stride;
    run_product<V>(job, stream);
}

}  // namespace argosy
