// Products with packed weights, by group of rows: how they are cut into tasks, and the one driver that runs them.
//
// Work is cut into (group, block of panels, block of rows); no task sums what another one made, so any cut gives the
// same bits.
#pragma once

#include <cstdint>
#include <type_traits>

#include "kernels/cpu/generic/parallel_tasks.hpp"
#include "kernels/cpu/generic/product_task.hpp"
#include "kernels/cpu/mxfp4_panels.hpp"

namespace argosy {

// How a job is cut.
struct ProductCut {
    int panels_per_block = 1;  // of one matrix
    std::int64_t panel_blocks = 1;
    int row_blocks = 1;  // of every group
};

// Few panel blocks are cut by rows too: the last task that a thread waits for should be a small part of the whole, but
// a block's panels should serve several tiles. Where threads would go idle, single tiles do.
ARGOSY_INLINE int row_blocks(std::int64_t tasks, std::int64_t group_rows, int threads, int tile_rows) {
    const auto wanted = [&](std::int64_t per_thread) { return (per_thread * threads + tasks - 1) / tasks; };
    const auto most = [&](std::int64_t tiles) { return group_rows / (tiles * tile_rows); };
    std::int64_t blocks = wanted(16) < most(4) ? wanted(16) : most(4);
    if (blocks < wanted(2)) blocks = wanted(2) < most(1) ? wanted(2) : most(1);
    return blocks > 1 ? static_cast<int>(blocks) : 1;
}

// `cached`: bytes of a panel that must stay in the second-level cache, as many as its block has panels.
ARGOSY_INLINE ProductCut product_cut(const ProductJob& job, std::int64_t rows, int threads, int tile_rows,
                                     std::int64_t cached) {
    constexpr std::int64_t kCachedBytes = 768 * 1024;
    const MatrixSpec& spec = job.weight[0].spec;
    const int groups = job.groups;
    const std::int64_t panels = panel_count(spec);
    const int per_panel = job.up != nullptr ? 2 : 1;
    std::int64_t block = kSlotsMax / per_panel;
    const bool decoded = spec.dtype == DType::mxfp4_int8;  // into this thread's cache, whatever the rows
    const std::int64_t fitting = kCachedBytes / (cached * per_panel + 1);
    if ((decoded || rows > tile_rows * groups) && block > fitting) block = fitting;
    if (threads > 1) {
        const std::int64_t parts =
            rows / (static_cast<std::int64_t>(groups) * 4 * tile_rows);  // that rows can be cut in
        const std::int64_t spread =
            panels * groups * (parts > 1 ? parts : 1) / (4 * threads);  // enough tasks for all threads to end together
        if (block > spread) block = spread;
    }
    const std::int64_t least = (rows <= 2 * groups   ? 8
                                : rows <= 6 * groups ? 4
                                                     : 2) /
                               per_panel;  // a full register tile
    if (block < least) block = least;
    // Tiles take two panels at least, so an odd one would be alone.
    const int unit = job.panel_unit * per_panel % 2 == 0 ? job.panel_unit : 2 * job.panel_unit;
    const auto whole = [&](std::int64_t n) { return (n + unit - 1) / unit * unit; };
    if (whole(block) > kSlotsMax / per_panel) block = kSlotsMax / per_panel / unit * unit;
    block = whole(block);
    ProductCut cut;
    cut.panel_blocks = (panels + block - 1) / block;
    // One matrix: as many blocks as leave no thread without one in the end.
    if (groups == 1 && panels >= 4 * unit * threads)
        cut.panel_blocks = (cut.panel_blocks + threads - 1) / threads * threads;
    block = whole((panels + cut.panel_blocks - 1) / cut.panel_blocks);
    cut.panels_per_block = static_cast<int>(block);
    cut.panel_blocks = (panels + block - 1) / block;
    if (threads > 1) cut.row_blocks = row_blocks(cut.panel_blocks * groups, rows / groups, threads, tile_rows);
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
    if (job.bias != nullptr) block.bias[0] = job.bias[task.group];
    if (job.up_bias != nullptr) block.bias[1] = job.up_bias[task.group];
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

// Calls body(task, ahead) for every task that has rows; cached as in product_cut; ahead: the panels that the same
// thread works on next.
template <class Body>
static void for_product_tasks(const ProductJob& job, int tile_rows, std::int64_t cached, const Stream& stream,
                              const Body& body) {
    const std::int64_t rows = job.group_begin[job.groups] - job.group_begin[0];
    if (rows == 0 || job.weight[0].spec.n == 0) return;
    const ProductCut cut = product_cut(job, rows, stream.threads, tile_rows, cached);
    const std::int64_t tasks = job.groups * cut.panel_blocks * cut.row_blocks;
    parallel_tasks_ahead(stream, tasks, [&](std::int64_t index, std::int64_t next) {
        const ProductTask task = product_task_at(job, cut, index);
        if (task.row_begin == task.row_end) return;
        FetchAhead ahead;
        if (next < tasks) ahead = panels_to_fetch(job, task, product_task_at(job, cut, next));
        body(task, ahead);
    });
}

// Outputs stay as they are.
struct NoFinish {};

// Part `i` of `parts` of both ranges to be fetched.
ARGOSY_INLINE FetchAhead part_of(const FetchAhead& ahead, std::int64_t i, std::int64_t parts) {
    const auto line = [&](const std::byte* begin, const std::byte* end, std::int64_t at) {
        return begin == nullptr ? nullptr : begin + (end - begin) / 64 * at / parts * 64;
    };
    FetchAhead part;
    part.next = line(ahead.next, ahead.end, i);
    part.end = line(ahead.next, ahead.end, i + 1);
    part.then = line(ahead.then, ahead.then_end, i);
    part.then_end = line(ahead.then, ahead.then_end, i + 1);
    return part;
}

inline constexpr int kFinishRowsMax = 64;

// Whole tiles of rows that a finish takes at a time.
ARGOSY_INLINE constexpr int finish_rows(int tile_rows) {
    return tile_rows < kFinishRowsMax / 4 ? 4 * tile_rows : kFinishRowsMax;
}

// Some rows and outputs of a job: values [rows][stride], free to be overwritten.
struct TaskValues {
    std::int64_t row = 0;
    int rows = 0;
    std::int64_t output = 0;
    int outputs = 0;
    float* values = nullptr;
    std::int64_t stride = 0;
};

// Runs a task with run(job, row_begin, row_end, ahead). With a finish its outputs go to memory of this thread's cache,
// rows_max rows at a time, and finish(TaskValues) makes what it wants of them. Rows stand an odd number of lines apart,
// so that a panel's outputs of all rows spread over the sets of the first-level cache.
template <class Finish, class Run>
static void run_task(const ProductJob& job, const ProductTask& task, const FetchAhead& ahead, int rows_max,
                     const Finish& finish, const Run& run) {
    if constexpr (std::is_same_v<Finish, NoFinish>) {
        if (job.out_group == 0) return run(job, task.row_begin, task.row_end, ahead);
        ProductJob own = job;
        own.out = job.out + task.group * job.out_group;
        own.out_row = job.group_begin[task.group];
        run(own, task.row_begin, task.row_end, ahead);
    } else {
        alignas(64) float values[kFinishRowsMax * (kSlotsMax + 1) * kPanelOutputs];
        const std::int64_t n = job.weight[0].spec.n;
        ProductJob part = job;
        part.out = values;
        part.out_output = task.panel_begin * kPanelOutputs;
        part.out_stride = ((task.panel_end - task.panel_begin) | 1) * kPanelOutputs;
        const std::int64_t end = task.panel_end * kPanelOutputs;
        const auto outputs = static_cast<int>((end < n ? end : n) - part.out_output);
        const std::int64_t passes = (task.row_end - task.row_begin + rows_max - 1) / rows_max;
        for (std::int64_t pass = 0; pass < passes; ++pass) {
            part.out_row = task.row_begin + pass * rows_max;
            const std::int64_t rows_end = pass + 1 < passes ? part.out_row + rows_max : task.row_end;
            run(part, part.out_row, rows_end, part_of(ahead, pass, passes));
            finish(TaskValues{part.out_row, static_cast<int>(rows_end - part.out_row), part.out_output, outputs, values,
                              part.out_stride});
        }
    }
}

// With Pairs, products of bf16; void: of f32, with weights as they are kept.
template <class V, class Pairs = void, class Finish = NoFinish>
static void run_product(const ProductJob& job, const Stream& stream, const Finish& finish = {}) {
    const MatrixSpec& spec = job.weight[0].spec;
    using Weights = std::conditional_t<std::is_void_v<Pairs>, PanelF32, PanelPairs<Pairs>>;
    const std::int64_t run = kColumnsBytes / (Weights::kBlockFloats * 4) / V::kTileRows * kChainBlock;
    const std::int64_t cached = panel_part_bytes(spec.dtype, run < spec.k ? run : spec.k);
    for_product_tasks(job, V::kTileRows, cached, stream, [&](const ProductTask& task, const FetchAhead& next) {
        const PanelBlock block = panel_block(job, task);
        run_task(job, task, next, finish_rows(V::kTileRows), finish,
                 [&](const ProductJob& part, std::int64_t begin, std::int64_t end, const FetchAhead& ahead) {
                     if constexpr (!std::is_void_v<Pairs>) {
                         product_task<V, PanelPairs<Pairs>>(part, spec, block, begin, end, ahead);
                     } else if (spec.dtype == DType::bf16) {
                         product_task<V, PanelBf16>(part, spec, block, begin, end, ahead);
                     } else {
                         product_task<V, PanelF32>(part, spec, block, begin, end, ahead);
                     }
                 });
    });
}

// A plain product of one matrix: out[m][n], row stride out_stride floats; group_begin is {0, rows}.
ARGOSY_INLINE ProductJob plain_job(const WeightMatrix& weight, const std::int32_t (&group_begin)[2], const float* x,
                                   float* out, std::int64_t out_stride) {
    ProductJob job;
    job.group_begin = group_begin;
    job.weight = &weight;
    job.x = x;
    job.out = out;
    job.out_stride = out_stride;
    return job;
}

template <class V, class Pairs = void>
static void run_plain_product(const WeightMatrix& weight, int rows, const float* x, float* out, std::int64_t out_stride,
                              const Stream& stream) {
    const std::int32_t group_begin[2] = {0, rows};
    run_product<V, Pairs>(plain_job(weight, group_begin, x, out, out_stride), stream);
}

}  // namespace argosy
