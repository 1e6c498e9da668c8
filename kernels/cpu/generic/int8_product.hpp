// Products of quantised rows with int8 weights, by group of rows; cut into tasks as products of floats are.
#pragma once

#include <omp.h>

#include <cstdint>

#include "kernels/cpu/generic/int8_rows.hpp"
#include "kernels/cpu/generic/int8_tile.hpp"
#include "kernels/cpu/generic/mxfp4_decode.hpp"
#include "kernels/cpu/generic/product.hpp"

namespace argosy {

inline constexpr int kInt8TilePanels = 8;  // of any tile
inline constexpr int kInt8TileRows = 8;    // of any dot product's tile

// Records that the next tile reads, asked for part by part while this one computes.
struct RecordsAhead {
    const std::byte* record[kInt8TileRows];
    int rows = 0;
    std::int64_t lines = 0;  // of each
};

// The part that slots [from, to) of `slots` stand for.
ARGOSY_INLINE void fetch_records(const RecordsAhead& ahead, int from, int to, int slots) {
    const std::int64_t begin = ahead.lines * from / slots;
    const std::int64_t end = ahead.lines * to / slots;
    for (int r = 0; r < ahead.rows; ++r) {
        for (std::int64_t line = begin; line < end; ++line) __builtin_prefetch(ahead.record[r] + line * 64, 0, 2);
    }
}

// The record of a job's row.
ARGOSY_INLINE const std::byte* record_of(const ProductJob& job, const Int8Rows& x, std::int64_t row) {
    return x.data + (job.row_index != nullptr ? job.row_index[row] : row) * x.shape.row_bytes;
}

// Rows [row, row + rows) of a task's panels; the next `rows_after` rows are asked for meanwhile.
template <class V, class D>
static void int8_product_tile(const ProductJob& job, const Int8Rows& x, const ChainRun& run, const PanelBlock& block,
                              std::int64_t row, int rows, int rows_after, FetchAhead& ahead) {
    alignas(64) float stack[kStackDepth * kInt8TilePanels * kInt8TileRows * 16];
    const std::byte* record[kInt8TileRows];
    for (int r = 0; r < rows; ++r) record[r] = record_of(job, x, row + r);
    RecordsAhead after;
    for (; after.rows < rows_after; ++after.rows) after.record[after.rows] = record_of(job, x, row + rows + after.rows);
    after.lines = x.shape.row_bytes / 64;
    const std::int64_t n = job.weight[0].spec.n;
    const int step = job.up != nullptr ? 2 : 1;
    for (int slot = 0; slot < block.slots;) {
        put_bias<V>(job, block, slot, tile_slots(block, slot), rows, stack);
        const int taken = int8_panels<V, D, D::kTileRows>(rows, run, record, x.shape, block.panel + slot,
                                                          block.slots - slot, stack, ahead);
        for (int p = 0; p < taken; p += step) {
            const std::int64_t output = block.first_output + (slot + p) / step * kPanelOutputs;
            const std::int64_t width = n - output;
            const float* values = stack + static_cast<std::int64_t>(p) * rows * 16;
            store_panel<V>(job, output, width < kPanelOutputs ? static_cast<int>(width) : kPanelOutputs, row, rows,
                           values, step == 2 ? values + rows * 16 : nullptr);
        }
        fetch_records(after, slot, slot + taken, block.slots);
        slot += taken;
    }
}

// Rows [row_begin, row_end) of one block of panels.
template <class V, class D>
[[gnu::noinline]] static void int8_product_task(const ProductJob& job, const Int8Rows& x, const PanelBlock& block,
                                                std::int64_t row_begin, std::int64_t row_end, FetchAhead ahead) {
    static_assert(D::kTileRows <= kInt8TileRows && int8_tile_panels<D>(1) <= kInt8TilePanels);
    const MatrixSpec spec = decoded_spec(job.weight[0].spec);
    const std::int64_t all = row_end - row_begin;
    const std::int64_t tiles = (all + D::kTileRows - 1) / D::kTileRows;
    const bool decoded = job.weight[0].spec.dtype == DType::mxfp4_int8;     // and so not waiting for memory
    if (ahead.next != nullptr && (decoded || all >= kFetchRows * tiles)) {  // evenly over the task's blocks
        const int panels = int8_tile_panels<D>(static_cast<int>((all + tiles - 1) / tiles));
        const std::int64_t blocks = tiles * ((block.slots + panels - 1) / panels) * x.shape.blocks;
        const std::int64_t lines = (ahead.end - ahead.next + (ahead.then_end - ahead.then)) / 64;
        ahead.lines = static_cast<int>((lines + blocks - 1) / blocks);
    }
    LeafWalk walk{.from_bias = has_bias(block)};
    ChainRun run;
    next_run(walk, spec, spec.k + kRunParts, run);  // in one: rows are not copied
    for (std::int64_t t = 0; t < tiles; ++t) {
        const std::int64_t row = row_begin + all * t / tiles;
        const int rows = static_cast<int>(row_begin + all * (t + 1) / tiles - row);
        const int rows_after = t + 1 < tiles ? static_cast<int>(row_begin + all * (t + 2) / tiles - row) - rows : 0;
        int8_product_tile<V, D>(job, x, run, block, row, rows, rows_after, ahead);
    }
}

// The panels of a task from now on stand decoded, where this thread keeps such; decoded: [threads] times decoded_bytes.
template <class D>
static void decode_panels(const MatrixSpec& spec, std::byte* decoded, PanelBlock& block) {
    static_assert(kDecodedPanels == kSlotsMax);
    std::byte* to = decoded + omp_get_thread_num() * decoded_bytes(spec);
    const std::int64_t bytes = panel_bytes(decoded_spec(spec));
    for (int slot = 0; slot < block.slots; ++slot, to += bytes) {
        decode_panel<D>(spec, block.panel[slot], to);
        block.panel[slot] = to;
    }
}

// A dot product whose instruction set multiplies mxfp4 without decoding it first brings `few_rows_task`, for tasks of
// at most kFewRows rows.
template <class V, class D, class Finish = NoFinish>
static void run_int8_product(const ProductJob& job, const Int8Rows& x, const Stream& stream,
                             const Finish& finish = {}) {
    const MatrixSpec& spec = job.weight[0].spec;
    for_product_tasks(
        job, D::kTileRows, panel_bytes(decoded_spec(spec)), stream,
        [&](const ProductTask& task, const FetchAhead& next) {
            PanelBlock block = panel_block(job, task);
            bool few = false;
            if constexpr (requires { D::kFewRows; }) few = task.row_end - task.row_begin <= D::kFewRows;
            const bool mxfp4 = spec.dtype == DType::mxfp4_int8;
            if (mxfp4 && !few) decode_panels<D>(spec, x.decoded, block);
            run_task(job, task, next, finish_rows(D::kTileRows), finish,
                     [&](const ProductJob& part, std::int64_t begin, std::int64_t end, const FetchAhead& ahead) {
                         if constexpr (requires { D::kFewRows; }) {
                             if (mxfp4 && few)
                                 return D::few_rows_task(part, x, block, begin, static_cast<int>(end - begin));
                         }
                         int8_product_task<V, D>(part, x, block, begin, end, ahead);
                     });
        });
}

}  // namespace argosy
