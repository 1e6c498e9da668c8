// Paged attention (rule R5): tasks of (span, run of query heads on one KV head, block of queries), segments of 64 keys
// merged in order.
//
// The queries of a task stand row after row, heads within a row. All tiles of a task pass over one segment while it is
// in cache; when there are several tiles, a bf16 segment is decoded once for all of them. Adjacent spans of one row
// each that begin with the same KV blocks are one task for the segments that they share, then go on each with its own:
// which queries a segment meets together shows in no result.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "kernels/cpu/generic/attention_cut.hpp"
#include "kernels/cpu/generic/attention_segment.hpp"
#include "kernels/cpu/generic/parallel_tasks.hpp"
#include "kernels/cpu/kv_block.hpp"

namespace argosy {

// Asks for what a task reads first: its queries and the keys of its first segment. Without that a task of few keys
// waits for memory longer than it computes.
ARGOSY_INLINE void fetch_task(const AttentionArgs& args, const AttentionTask& task) {
    const KvSpec& spec = args.kv.spec;
    const auto fetch = [](const void* from, std::int64_t bytes) {
        for (std::int64_t i = 0; i < bytes; i += 64) __builtin_prefetch(static_cast<const std::byte*>(from) + i);
    };
    const int begin = task.first_segment(args);
    const int keys = task.keys(task.count - 1) - begin;
    const int blocks = keys >= kSegmentKeys ? kSegmentBlocks : (keys + kKvBlockTokens - 1) / kKvBlockTokens;
    for (int b = 0; b < blocks; ++b) {
        fetch(args.kv.base + task.span->blocks[begin / kKvBlockTokens + b] * args.kv.block_stride_bytes +
                  kv_key_offset(spec, task.run.kv_head),
              kKvBlockTokens * spec.head_dim * kv_element_bytes(spec));
    }
    const bool adjacent = args.rows_by_head == 0;  // the heads of a row
    for (int i = 0; i < task.count; i += adjacent ? task.run.count : 1) {
        fetch(args.q + task.place(args, i) * args.head_dim,
              std::int64_t{adjacent ? task.run.count : 1} * args.head_dim * 4);
    }
}

// A tile of queries [first, first + queries) of a task, with its part of the buffers q and o.
template <class V, class Dot>
static TileState begin_tile(const AttentionArgs& args, const AttentionTask& task, int first, int queries, float* q,
                            float* o) {
    TileState tile;
    tile.first = first;
    tile.queries = queries;
    tile.q = q;
    tile.o = o;
    if (args.window > 0) start_empty<V>(tile, kv_output_stride(args.kv.spec));
    for (int i = 0; i < queries; ++i, q += kQueryStride) {
        const float* from = args.q + task.place(args, first + i) * args.head_dim;
        if constexpr (!std::is_void_v<Dot>) {
            quantise_query<V>(from, args.head_dim, args.scale, q);
        } else {
            std::memcpy(q, from, static_cast<std::size_t>(args.head_dim) * sizeof(float));
            for (std::int64_t d = args.head_dim; d < kv_value_stride(args.kv.spec); ++d) q[d] = 0;  // latents' rounding
        }
    }
    return tile;
}

template <class V>
static void end_tile(const AttentionArgs& args, const AttentionTask& task, const TileState& tile) {
    const std::int64_t stride = kv_output_stride(args.kv.spec);
    const int value_dim = kv_value_dim(args.kv.spec);
    for (int i = 0; i < tile.queries; ++i) {
        float* from = tile.o + i * stride;
        float l = tile.l[i];
        if (args.sink != nullptr) l = merge_sink<V>(args.sink[task.head(tile.first + i)], tile.m[i], l, stride, from);
        const V sum = V::set(l);
        float* out = args.out + task.place(args, tile.first + i) * value_dim;
        int d = 0;
        for (; d + 16 <= value_dim; d += 16) vdiv(V::load(from + d), sum).store(out + d);
        if (d < value_dim) vdiv(V::load(from + d), sum).store_first(out + d, value_dim - d);
    }
}

// `after` is the task that the same thread runs next; count 0: none.
template <class V, class Dot>
[[gnu::noinline]] static void attention_task(const AttentionArgs& args, const AttentionTask& task,
                                             const AttentionTask& after) {
    static_assert(V::kQueryRows <= kTileQueries);
    alignas(64) float q[kTaskQueries * kQueryStride];  // or CodeQuery
    alignas(64) float o[kTaskQueries * kHeadDimMax];
    alignas(64) float decoded[2 * kSegmentKeys * kHeadDimMax];
    const std::int64_t stride = kv_output_stride(args.kv.spec);

    TileState tile[kTilesMax<V>];
    const int tiles = (task.count + V::kQueryRows - 1) / V::kQueryRows;
    for (int t = 0; t < tiles; ++t) {
        const int first = task.count * t / tiles;
        tile[t] = begin_tile<V, Dot>(args, task, first, task.count * (t + 1) / tiles - first, q + first * kQueryStride,
                                     o + first * stride);
    }
    const bool bf16 = args.kv.spec.dtype == DType::bf16;
    const bool decode = bf16 && tiles > 1;
    const int keys_end = task.keys(task.count - 1);
    for (int begin = task.first_segment(args); begin < keys_end; begin += kSegmentKeys) {
        const SegmentBlocks segment = segment_blocks<V>(args, task, begin, keys_end, decode ? decoded : nullptr);
        if (begin + kSegmentKeys >= keys_end && after.count > 0) fetch_task(args, after);
        for (int t = 0; t < tiles; ++t) {
            tile_segment<V, Dot>(args, task, tile[t], segment, begin);
        }
    }
    for (int t = 0; t < tiles; ++t) end_tile<V>(args, task, tile[t]);
}

// Tasks of one span and several KV heads, each of them a single tile: `runs` adjacent ones. A block holds all heads
// side by side, so that memory is read in long stretches, where head after head would come back to each block.
template <class V, class Dot>
[[gnu::noinline]] static void short_tasks(const AttentionArgs& args, const AttentionTask* task, int runs,
                                          const AttentionTask& after) {
    static_assert(kTilesMax<V> * V::kQueryRows <= kTaskQueries);
    alignas(64) float q[kTaskQueries * kQueryStride];  // or CodeQuery
    alignas(64) float o[kTaskQueries * kHeadDimMax];
    const std::int64_t stride = kv_output_stride(args.kv.spec);
    TileState tile[kTilesMax<V>];
    int queries = 0;
    for (int r = 0; r < runs; ++r) {
        tile[r] = begin_tile<V, Dot>(args, task[r], 0, task[r].count, q + queries * kQueryStride, o + queries * stride);
        queries += task[r].count;
    }
    const int keys_end = task[0].keys(task[0].count - 1);
    for (int begin = task[0].first_segment(args); begin < keys_end; begin += kSegmentKeys) {
        if (begin + kSegmentKeys >= keys_end && after.count > 0) fetch_task(args, after);
        for (int r = 0; r < runs; ++r) {
            SegmentBlocks segment = segment_blocks<V>(args, task[r], begin, keys_end, nullptr);
            const bool last = r + 1 == runs;
            set_next_keys(args, task[last ? 0 : r + 1], last ? begin + kSegmentKeys : begin, keys_end, segment);
            tile_segment<V, Dot>(args, task[r], tile[r], segment, begin);
        }
    }
    for (int r = 0; r < runs; ++r) end_tile<V>(args, task[r], tile[r]);
}

// The queries of one span of a shared task, on from key `begin`; tile holds them, and what is known of them so far.
template <class V, class Dot>
static void finish_span(const AttentionArgs& args, const AttentionTask& task, TileState& tile, int begin) {
    const int keys_end = task.keys(0);
    for (; begin < keys_end; begin += kSegmentKeys) {
        const SegmentBlocks segment = segment_blocks<V>(args, task, begin, keys_end, nullptr);
        tile_segment<V, Dot>(args, task, tile, segment, begin);
    }
    end_tile<V>(args, task, tile);
}

// `task` holds the queries of `spans` spans, of one row each, whose first `shared_keys` keys, whole segments of them,
// are the same.
template <class V, class Dot>
[[gnu::noinline]] static void shared_task(const AttentionArgs& args, const AttentionTask& task, int spans,
                                          int shared_keys) {
    alignas(64) float q[kTaskQueries * kQueryStride];  // or CodeQuery
    alignas(64) float o[kTaskQueries * kHeadDimMax];
    alignas(64) float decoded[2 * kSegmentKeys * kHeadDimMax];
    const std::int64_t stride = kv_output_stride(args.kv.spec);
    const int heads = task.run.count;
    const int spans_per_tile = V::kQueryRows / heads > 1 ? V::kQueryRows / heads : 1;
    TileState tile[kTaskQueries];
    int tiles = 0;
    for (int s = 0; s < spans; s += spans_per_tile, ++tiles) {
        const int here = spans - s < spans_per_tile ? spans - s : spans_per_tile;
        tile[tiles] = begin_tile<V, Dot>(args, task, s * heads, here * heads, q + s * heads * kQueryStride,
                                         o + s * heads * stride);
    }
    const bool bf16 = args.kv.spec.dtype == DType::bf16;
    for (int begin = 0; begin < shared_keys; begin += kSegmentKeys) {
        const SegmentBlocks segment = segment_blocks<V>(args, task, begin, shared_keys, bf16 ? decoded : nullptr);
        for (int t = 0; t < tiles; ++t) tile_segment<V, Dot>(args, task, tile[t], segment, begin);
    }
    for (int s = 0; s < spans; ++s) {
        const TileState& shared = tile[s / spans_per_tile];
        const int first = s % spans_per_tile * heads;  // query of the tile
        AttentionTask own = task;
        own.span = task.span + s;
        own.count = heads;
        own.row_each = false;
        TileState alone;
        alone.queries = heads;
        alone.q = shared.q + first * kQueryStride;
        alone.o = shared.o + first * stride;
        for (int i = 0; i < heads; ++i) {
            alone.m[i] = shared.m[first + i];
            alone.l[i] = shared.l[first + i];
        }
        finish_span<V, Dot>(args, own, alone, shared_keys);
    }
}

// With Dot for K and V kept as codes, and for no others.
template <class V, class Dot = void>
static void attention_op(const AttentionArgs& args, const Stream& stream) {
    const AttentionCut cut = attention_cut<V>(args, stream);
    parallel_tasks_ahead(stream, cut.tasks, [&](std::int64_t index, std::int64_t next) {
        AttentionTask task[kTilesMax<V>];
        task[0] = attention_task_at(args, cut, index);
        if (task[0].count == 0) return;
        const SharedSpans shared = shared_spans(args, cut, task[0]);
        if (shared.spans == 0) return;
        if (shared.spans > 1) {
            task[0].row_each = true;
            task[0].count = shared.spans * task[0].run.count;
            return shared_task<V, Dot>(args, task[0], shared.spans, shared.blocks * kKvBlockTokens);
        }
        const AttentionTask after = attention_task_at(args, cut, next);
        if (!is_short<V>(args, cut, task[0])) return attention_task<V, Dot>(args, task[0], after);
        const auto run = static_cast<int>(index % cut.runs);
        if (run % cut.runs_together > 0) return;  // came along
        int runs = 1;
        for (; runs < cut.runs_together && run + runs < cut.runs; ++runs)
            task[runs] = attention_task_at(args, cut, index + runs);
        short_tasks<V, Dot>(args, task, runs, after);
    });
}

}  // namespace argosy
