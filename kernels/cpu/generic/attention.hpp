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

#include "kernels/cpu/generic/attention_tile.hpp"
#include "kernels/cpu/generic/parallel_tasks.hpp"
#include "kernels/cpu/kv_block.hpp"

namespace argosy {

// Adjacent query heads that read one KV head.
struct HeadRun {
    int first = 0;
    int count = 0;
    int kv_head = 0;
};

ARGOSY_INLINE int kv_head_of(const AttentionArgs& args, int head) {
    return args.q_to_kv != nullptr ? args.q_to_kv[head] : head / (args.q_heads / args.kv.spec.kv_heads);
}
ARGOSY_INLINE HeadRun next_head_run(const AttentionArgs& args, int first) {
    HeadRun run{first, 1, kv_head_of(args, first)};
    while (first + run.count < args.q_heads && kv_head_of(args, first + run.count) == run.kv_head) ++run.count;
    return run;
}

// Queries [query, query + count) of one span and run; query i is row i / run.count, head run.first + i % run.count. Of
// several spans, of one row each, the rows are theirs in turn.
struct AttentionTask {
    const AttentionSpan* span = nullptr;
    HeadRun run;
    int query = 0;
    int count = 0;
    bool row_each = false;  // span[row] has row `row`

    [[gnu::always_inline]] int row(int i) const { return (query + i) / run.count; }
    [[gnu::always_inline]] int keys(int i) const {
        return row_each ? span[row(i)].first_position + 1 : span->first_position + row(i) + 1;
    }
    [[gnu::always_inline]] std::int64_t offset(const AttentionArgs& args, int i) const {
        const int at = row_each ? span[row(i)].row_begin : span->row_begin + row(i);
        return (static_cast<std::int64_t>(at) * args.q_heads + run.first + (query + i) % run.count) * args.head_dim;
    }
};

// What is known so far of a tile's queries: largest score, sum of exponentials, weighted sum of values.
struct TileState {
    float m[kTileQueries];
    float l[kTileQueries];
    float* o = nullptr;        // [queries][stride]
    const float* q = nullptr;  // [queries][kQueryStride]
    int first = 0;             // query of the task
    int queries = 0;
};

// The blocks of one segment for one head, and the keys of the segment that the same task reads next.
struct SegmentBlocks {
    const std::byte* key[kSegmentBlocks];
    const std::byte* value[kSegmentBlocks];
    const std::byte* next_key[kSegmentBlocks];
    int blocks = 0;
};

// New sums into the old: M = max(m, m'), a = exp(m - M), b = exp(m' - M), l = l' b + l a, o = o' b + o a; queries
// without keys in the segment stay.
template <class V>
static void merge_segment(TileState& tile, const float* next_m, const float* next_l, const float* next_o,
                          std::int64_t stride, int idle) {
    const V m = V::load(tile.m);
    const V m_next = V::load(next_m);
    const V most = vmax(m, m_next);
    float a[kTileQueries];
    float b[kTileQueries];
    const V a_lanes = exp_lanes(vsub(m, most));
    const V b_lanes = exp_lanes(vsub(m_next, most));
    a_lanes.store(a);
    b_lanes.store(b);
    const auto stay = V::first(idle);
    vselect(stay, V::load(tile.l), vfma(V::load(next_l), b_lanes, vmul(V::load(tile.l), a_lanes))).store(tile.l);
    vselect(stay, m, most).store(tile.m);
    for (int i = idle; i < tile.queries; ++i) {
        const V a_i = V::set(a[i]);
        const V b_i = V::set(b[i]);
        float* o = tile.o + i * stride;
        const float* from = next_o + i * stride;
        for (std::int64_t d = 0; d < stride; d += 16)
            vfma(V::load(from + d), b_i, vmul(V::load(o + d), a_i)).store(o + d);
    }
}

// One tile over the segment that begins at key `begin`.
template <class V, class Kv>
static void tile_segment(const AttentionArgs& args, const AttentionTask& task, TileState& tile,
                         const SegmentBlocks& segment, int begin) {
    const std::int64_t stride = kv_value_stride(args.kv.spec);
    int keys[kTileQueries] = {};  // of this segment, by query: rising, since later rows see more
    int idle = 0;                 // queries whose keys ended before this segment
    for (int i = 0; i < tile.queries; ++i) {
        const int left = task.keys(tile.first + i) - begin;
        keys[i] = left < kSegmentKeys ? left : kSegmentKeys;
        if (left <= 0) ++idle;
    }
    if (idle == tile.queries) return;

    alignas(64) float p[kTileQueries * kSegmentKeys];
    score_segment_of<V, Kv, V::kQueryRows>(tile.queries, tile.q, segment.key, segment.value, segment.blocks,
                                           args.head_dim, args.scale, p);
    alignas(64) float m[kTileQueries] = {};
    alignas(64) float l[kTileQueries] = {};
    for (int i = idle; i < tile.queries; ++i) softmax_segment<V>(p + i * kSegmentKeys, keys[i], m + i, l + i);

    alignas(64) float later[kTileQueries * kHeadDimMax];
    float* o = begin == 0 ? tile.o : later;
    const int common = keys[idle];
    for (int i = 0; i < idle; ++i) {
        for (int key = 0; key < common; ++key) p[i * kSegmentKeys + key] = 0;  // their sums are not used
    }
    value_segment_of<V, Kv, V::kQueryRows>(tile.queries, p, segment.value, segment.next_key, stride, common, o);
    for (int i = idle; i < tile.queries;
         ++i) {  // keys that only later rows see, where the causal edge crosses the tile
        for (int key = common; key < keys[i]; ++key) {
            const std::byte* v = segment.value[key / kKvBlockTokens];
            const V weight = V::set(p[i * kSegmentKeys + key]);
            for (std::int64_t d = 0; d < stride; d += 16) {
                vfma(weight, Kv::template load<V>(v, (key % kKvBlockTokens) * stride + d), V::load(o + i * stride + d))
                    .store(o + i * stride + d);
            }
        }
    }
    if (begin == 0) {
        V::load(m).store(tile.m);
        V::load(l).store(tile.l);
    } else {
        merge_segment<V>(tile, m, l, o, stride, idle);
    }
}

// The keys that are read after a segment: of `task`, from key `begin` on; where there are none, of its first block,
// which does no harm.
ARGOSY_INLINE void set_next_keys(const AttentionArgs& args, const AttentionTask& task, int begin, int keys_end,
                                 SegmentBlocks& segment) {
    const int blocks_end = (keys_end + kKvBlockTokens - 1) / kKvBlockTokens;
    for (int b = 0; b < kSegmentBlocks; ++b) {
        const int next = begin / kKvBlockTokens + b;
        segment.next_key[b] = args.kv.base +
                              task.span->blocks[next < blocks_end ? next : 0] * args.kv.block_stride_bytes +
                              kv_key_offset(args.kv.spec, task.run.kv_head);
    }
}

template <class V>
static SegmentBlocks segment_blocks(const AttentionArgs& args, const AttentionTask& task, int begin, int keys_end,
                                    float* decoded) {
    SegmentBlocks segment;
    const KvSpec& spec = args.kv.spec;
    const int left = keys_end - begin;
    segment.blocks = left >= kSegmentKeys ? kSegmentBlocks : (left + kKvBlockTokens - 1) / kKvBlockTokens;
    const std::int64_t stride = kv_value_stride(spec);
    set_next_keys(args, task, begin + kSegmentKeys, keys_end, segment);
    for (int b = 0; b < kSegmentBlocks; ++b) {
        if (b >= segment.blocks) {
            segment.key[b] = segment.key[0];
            segment.value[b] = segment.value[0];
            continue;
        }
        const std::byte* block =
            args.kv.base + task.span->blocks[begin / kKvBlockTokens + b] * args.kv.block_stride_bytes;
        segment.key[b] = block + kv_key_offset(spec, task.run.kv_head);
        segment.value[b] = block + kv_value_offset(spec, task.run.kv_head);
        if (decoded == nullptr) continue;
        float* keys = decoded + b * 16 * (spec.head_dim + stride);
        float* values = keys + 16 * spec.head_dim;
        for (int i = 0; i < 16 * spec.head_dim; i += 16) KvBf16::load<V>(segment.key[b], i).store(keys + i);
        for (int i = 0; i < 16 * stride; i += 16) KvBf16::load<V>(segment.value[b], i).store(values + i);
        segment.key[b] = reinterpret_cast<const std::byte*>(keys);
        segment.value[b] = reinterpret_cast<const std::byte*>(values);
    }
    return segment;
}

// Asks for what a task reads first: its queries and the keys of its first segment. Without that a task of few keys
// waits for memory longer than it computes.
ARGOSY_INLINE void fetch_task(const AttentionArgs& args, const AttentionTask& task) {
    const KvSpec& spec = args.kv.spec;
    const auto fetch = [](const void* from, std::int64_t bytes) {
        for (std::int64_t i = 0; i < bytes; i += 64) __builtin_prefetch(static_cast<const std::byte*>(from) + i);
    };
    const int keys = task.keys(task.count - 1);
    const int blocks = keys >= kSegmentKeys ? kSegmentBlocks : (keys + kKvBlockTokens - 1) / kKvBlockTokens;
    for (int b = 0; b < blocks; ++b) {
        fetch(args.kv.base + task.span->blocks[b] * args.kv.block_stride_bytes + kv_key_offset(spec, task.run.kv_head),
              kKvBlockTokens * spec.head_dim * kv_element_bytes(spec));
    }
    for (int i = 0; i < task.count; i += task.run.count)
        fetch(args.q + task.offset(args, i), std::int64_t{task.run.count} * args.head_dim * 4);
}

// A tile of queries [first, first + queries) of a task, with its part of the buffers q and o.
ARGOSY_INLINE TileState begin_tile(const AttentionArgs& args, const AttentionTask& task, int first, int queries,
                                   float* q, float* o) {
    TileState tile;
    tile.first = first;
    tile.queries = queries;
    tile.q = q;
    tile.o = o;
    for (int i = 0; i < queries; ++i, q += kQueryStride) {
        std::memcpy(q, args.q + task.offset(args, first + i), static_cast<std::size_t>(args.head_dim) * sizeof(float));
    }
    return tile;
}

template <class V>
static void end_tile(const AttentionArgs& args, const AttentionTask& task, const TileState& tile) {
    const std::int64_t stride = kv_value_stride(args.kv.spec);
    for (int i = 0; i < tile.queries; ++i) {
        const V sum = V::set(tile.l[i]);
        float* out = args.out + task.offset(args, tile.first + i);
        const float* from = tile.o + i * stride;
        int d = 0;
        for (; d + 16 <= args.head_dim; d += 16) vdiv(V::load(from + d), sum).store(out + d);
        if (d < args.head_dim) vdiv(V::load(from + d), sum).store_first(out + d, args.head_dim - d);
    }
}

template <class V>
constexpr int kTilesMax = (kTaskQueries + V::kQueryRows - 1) / V::kQueryRows;

// `after` is the task that the same thread runs next; count 0: none.
template <class V>
[[gnu::noinline]] static void attention_task(const AttentionArgs& args, const AttentionTask& task,
                                             const AttentionTask& after) {
    static_assert(V::kQueryRows <= kTileQueries);
    alignas(64) float q[kTaskQueries * kQueryStride];
    alignas(64) float o[kTaskQueries * kHeadDimMax];
    alignas(64) float decoded[2 * kSegmentKeys * kHeadDimMax];
    const std::int64_t stride = kv_value_stride(args.kv.spec);

    TileState tile[kTilesMax<V>];
    const int tiles = (task.count + V::kQueryRows - 1) / V::kQueryRows;
    for (int t = 0; t < tiles; ++t) {
        const int first = task.count * t / tiles;
        tile[t] = begin_tile(args, task, first, task.count * (t + 1) / tiles - first, q + first * kQueryStride,
                             o + first * stride);
    }
    const bool bf16 = args.kv.spec.dtype == DType::bf16;
    const bool decode = bf16 && tiles > 1;
    const int keys_end = task.keys(task.count - 1);
    for (int begin = 0; begin < keys_end; begin += kSegmentKeys) {
        const SegmentBlocks segment = segment_blocks<V>(args, task, begin, keys_end, decode ? decoded : nullptr);
        if (begin + kSegmentKeys >= keys_end && after.count > 0) fetch_task(args, after);
        for (int t = 0; t < tiles; ++t) {
            if (bf16 && !decode) {
                tile_segment<V, KvBf16>(args, task, tile[t], segment, begin);
            } else {
                tile_segment<V, KvF32>(args, task, tile[t], segment, begin);
            }
        }
    }
    for (int t = 0; t < tiles; ++t) end_tile<V>(args, task, tile[t]);
}

// Tasks of one span and several KV heads, each of them a single tile: `runs` adjacent ones. A block holds all heads
// side by side, so that memory is read in long stretches, where head after head would come back to each block.
template <class V>
[[gnu::noinline]] static void short_tasks(const AttentionArgs& args, const AttentionTask* task, int runs,
                                          const AttentionTask& after) {
    static_assert(kTilesMax<V> * V::kQueryRows <= kTaskQueries);
    alignas(64) float q[kTaskQueries * kQueryStride];
    alignas(64) float o[kTaskQueries * kHeadDimMax];
    const std::int64_t stride = kv_value_stride(args.kv.spec);
    TileState tile[kTilesMax<V>];
    int queries = 0;
    for (int r = 0; r < runs; ++r) {
        tile[r] = begin_tile(args, task[r], 0, task[r].count, q + queries * kQueryStride, o + queries * stride);
        queries += task[r].count;
    }
    const int keys_end = task[0].keys(task[0].count - 1);
    for (int begin = 0; begin < keys_end; begin += kSegmentKeys) {
        if (begin + kSegmentKeys >= keys_end && after.count > 0) fetch_task(args, after);
        for (int r = 0; r < runs; ++r) {
            SegmentBlocks segment = segment_blocks<V>(args, task[r], begin, keys_end, nullptr);
            const bool last = r + 1 == runs;
            set_next_keys(args, task[last ? 0 : r + 1], last ? begin + kSegmentKeys : begin, keys_end, segment);
            if (args.kv.spec.dtype == DType::bf16) {
                tile_segment<V, KvBf16>(args, task[r], tile[r], segment, begin);
            } else {
                tile_segment<V, KvF32>(args, task[r], tile[r], segment, begin);
            }
        }
    }
    for (int r = 0; r < runs; ++r) end_tile<V>(args, task[r], tile[r]);
}

// The queries of one span of a shared task, on from key `begin`; tile holds them, and what is known of them so far.
template <class V>
static void finish_span(const AttentionArgs& args, const AttentionTask& task, TileState& tile, int begin) {
    const int keys_end = task.keys(0);
    for (; begin < keys_end; begin += kSegmentKeys) {
        const SegmentBlocks segment = segment_blocks<V>(args, task, begin, keys_end, nullptr);
        if (args.kv.spec.dtype == DType::bf16) {
            tile_segment<V, KvBf16>(args, task, tile, segment, begin);
        } else {
            tile_segment<V, KvF32>(args, task, tile, segment, begin);
        }
    }
    end_tile<V>(args, task, tile);
}

// `task` holds the queries of `spans` spans, of one row each, whose first `shared_keys` keys, whole segments of them,
// are the same.
template <class V>
[[gnu::noinline]] static void shared_task(const AttentionArgs& args, const AttentionTask& task, int spans,
                                          int shared_keys) {
    alignas(64) float q[kTaskQueries * kQueryStride];
    alignas(64) float o[kTaskQueries * kHeadDimMax];
    alignas(64) float decoded[2 * kSegmentKeys * kHeadDimMax];
    const std::int64_t stride = kv_value_stride(args.kv.spec);
    const int heads = task.run.count;
    const int spans_per_tile = V::kQueryRows / heads > 1 ? V::kQueryRows / heads : 1;
    TileState tile[kTaskQueries];
    int tiles = 0;
    for (int s = 0; s < spans; s += spans_per_tile, ++tiles) {
        const int here = spans - s < spans_per_tile ? spans - s : spans_per_tile;
        tile[tiles] =
            begin_tile(args, task, s * heads, here * heads, q + s * heads * kQueryStride, o + s * heads * stride);
    }
    const bool bf16 = args.kv.spec.dtype == DType::bf16;
    for (int begin = 0; begin < shared_keys; begin += kSegmentKeys) {
        const SegmentBlocks segment = segment_blocks<V>(args, task, begin, shared_keys, bf16 ? decoded : nullptr);
        for (int t = 0; t < tiles; ++t) tile_segment<V, KvF32>(args, task, tile[t], segment, begin);
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
        finish_span<V>(args, own, alone, shared_keys);
    }
}

// How an op is cut into tasks: part of the queries, span and run of heads, the last fastest.
struct AttentionCut {
    std::int64_t parts = 0;  // every span gets as many as the longest needs; those it has no queries for end at once
    int runs = 0;
    int runs_together = 1;   // of spans of few queries, where there are spans enough for all threads
    int spans_together = 1;  // of one row and a common prefix
    std::int64_t tasks = 0;
};

template <class V>
static AttentionCut attention_cut(const AttentionArgs& args, const Stream& stream) {
    AttentionCut cut;
    int heads_max = 0;
    for (int head = 0; head < args.q_heads; ++cut.runs) {
        const HeadRun run = next_head_run(args, head);
        head += run.count;
        if (run.count > heads_max) heads_max = run.count;
    }
    int rows_max = 0;
    for (int s = 0; s < args.spans; ++s) {
        if (args.span[s].rows > rows_max) rows_max = args.span[s].rows;
    }
    cut.parts = (static_cast<std::int64_t>(rows_max) * heads_max + kTaskQueries - 1) / kTaskQueries;
    cut.tasks = cut.parts * args.spans * cut.runs;
    if (args.spans >= 4 * stream.threads) cut.runs_together = kTilesMax<V> < cut.runs ? kTilesMax<V> : cut.runs;
    if (heads_max <= V::kQueryRows) {  // a span's queries are one tile
        const int most = kTaskQueries / heads_max;
        const int spread = stream.threads > 1 ? args.spans * cut.runs / (4 * stream.threads) : most;
        cut.spans_together = spread < 1 ? 1 : spread < most ? spread : most;
    }
    return cut;
}

// count 0: nothing to do, as beyond the last task.
ARGOSY_INLINE AttentionTask attention_task_at(const AttentionArgs& args, const AttentionCut& cut, std::int64_t index) {
    AttentionTask task;
    if (index >= cut.tasks) return task;
    // The longest parts, which see most keys, first.
    const std::int64_t part = cut.parts - 1 - index / cut.runs / args.spans;
    task.span = args.span + index / cut.runs % args.spans;
    task.query = static_cast<int>(part * kTaskQueries);
    int head = 0;
    for (std::int64_t r = index % cut.runs; r >= 0; --r) {
        task.run = next_head_run(args, head);
        head += task.run.count;
    }
    const int left = task.span->rows * task.run.count - task.query;
    task.count = left < 0 ? 0 : left < kTaskQueries ? left : kTaskQueries;
    return task;
}

// Whether all runs of the task's span are single tiles, which the first of runs_together takes along.
template <class V>
static bool is_short(const AttentionArgs& args, const AttentionCut& cut, const AttentionTask& task) {
    if (cut.runs_together == 1 || task.query > 0) return false;
    for (int head = 0; head < args.q_heads;) {
        const HeadRun run = next_head_run(args, head);
        if (task.span->rows * run.count > V::kQueryRows) return false;
        head += run.count;
    }
    return true;
}

// Blocks, whole segments of them, that span s shares with the one before and reads to their end; 0: it stands alone.
ARGOSY_INLINE int shared_with_previous(const AttentionArgs& args, const AttentionCut& cut, int s) {
    if (s % cut.spans_together == 0 || args.span[s].rows != 1 || args.span[s - 1].rows != 1) return 0;
    const int first = args.span[s - 1].first_position;
    const int keys = (args.span[s].first_position < first ? args.span[s].first_position : first) + 1;
    const int whole = keys / kKvBlockTokens;
    const int shared = args.span[s].shared_blocks;
    return (shared < whole ? shared : whole) / kSegmentBlocks * kSegmentBlocks;
}

// Spans from the task's on that it takes along, itself too, and the blocks they share; 0: another task takes it.
struct SharedSpans {
    int spans = 1;
    int blocks = 0;
};

ARGOSY_INLINE SharedSpans shared_spans(const AttentionArgs& args, const AttentionCut& cut, const AttentionTask& task) {
    constexpr int kBlocksMin = 2 * kSegmentBlocks;  // less is not worth it
    SharedSpans shared;
    const auto s = static_cast<int>(task.span - args.span);
    if (shared_with_previous(args, cut, s) >= kBlocksMin) return {0, 0};
    for (int next = s + 1; next < args.spans; ++next, ++shared.spans) {
        const int blocks = shared_with_previous(args, cut, next);
        if (blocks < kBlocksMin) break;
        if (shared.spans == 1 || blocks < shared.blocks) shared.blocks = blocks;
    }
    return shared;
}

template <class V>
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
            return shared_task<V>(args, task[0], shared.spans, shared.blocks * kKvBlockTokens);
        }
        const AttentionTask after = attention_task_at(args, cut, next);
        if (!is_short<V>(args, cut, task[0])) return attention_task<V>(args, task[0], after);
        const auto run = static_cast<int>(index % cut.runs);
        if (run % cut.runs_together > 0) return;  // came along
        int runs = 1;
        for (; runs < cut.runs_together && run + runs < cut.runs; ++runs)
            task[runs] = attention_task_at(args, cut, index + runs);
        short_tasks<V>(args, task, runs, after);
    });
}

}  // namespace argosy
