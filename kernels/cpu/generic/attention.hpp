// Paged attention (rule R5): tasks of (span, run of query heads on one KV head, block of queries), segments of 64 keys
// merged in order.
//
// The queries of a task stand row after row, heads within a row. All tiles of a task pass over one segment while it is
// in cache; when there are several tiles, a bf16 segment is decoded once for all of them.
#pragma once

#include <cstdint>

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

// Queries [query, query + count) of one span and run; query i is row i / run.count, head run.first + i % run.count.
struct AttentionTask {
    const AttentionSpan* span = nullptr;
    HeadRun run;
    int query = 0;
    int count = 0;

    [[gnu::always_inline]] int row(int i) const { return (query + i) / run.count; }
    [[gnu::always_inline]] int keys(int i) const { return span->first_position + row(i) + 1; }
    [[gnu::always_inline]] std::int64_t offset(const AttentionArgs& args, int i) const {
        return (static_cast<std::int64_t>(span->row_begin + row(i)) * args.q_heads + run.first +
                (query + i) % run.count) *
               args.head_dim;
    }
};

// What is known so far of a tile's queries: largest score, sum of exponentials, weighted sum of values.
struct TileState {
    float m[kTileQueries];
    float l[kTileQueries];
    float* o = nullptr;        // [queries][stride]
    const float* q = nullptr;  // [head_dim][queries]
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

template <class V>
static SegmentBlocks segment_blocks(const AttentionArgs& args, const AttentionTask& task, int begin, int keys_end,
                                    bool decode, float* decoded) {
    SegmentBlocks segment;
    const KvSpec& spec = args.kv.spec;
    const int left = keys_end - begin;
    segment.blocks = left >= kSegmentKeys ? kSegmentBlocks : (left + kKvBlockTokens - 1) / kKvBlockTokens;
    const std::int64_t stride = kv_value_stride(spec);
    const int blocks_end = (keys_end + kKvBlockTokens - 1) / kKvBlockTokens;
    for (int b = 0; b < kSegmentBlocks; ++b) {
        const int next = begin / kKvBlockTokens + kSegmentBlocks + b;
        segment.next_key[b] = args.kv.base +
                              task.span->blocks[next < blocks_end ? next : 0] * args.kv.block_stride_bytes +
                              kv_key_offset(spec, task.run.kv_head);
        if (b >= segment.blocks) {
            segment.key[b] = segment.key[0];
            segment.value[b] = segment.value[0];
            continue;
        }
        const std::byte* block =
            args.kv.base + task.span->blocks[begin / kKvBlockTokens + b] * args.kv.block_stride_bytes;
        segment.key[b] = block + kv_key_offset(spec, task.run.kv_head);
        segment.value[b] = block + kv_value_offset(spec, task.run.kv_head);
        if (!decode) continue;
        float* keys = decoded + b * 16 * (spec.head_dim + stride);
        float* values = keys + 16 * spec.head_dim;
        for (int i = 0; i < 16 * spec.head_dim; i += 16) KvBf16::load<V>(segment.key[b], i).store(keys + i);
        for (int i = 0; i < 16 * stride; i += 16) KvBf16::load<V>(segment.value[b], i).store(values + i);
        segment.key[b] = reinterpret_cast<const std::byte*>(keys);
        segment.value[b] = reinterpret_cast<const std::byte*>(values);
    }
    return segment;
}

template <class V>
[[gnu::noinline]] static void attention_task(const AttentionArgs& args, const AttentionTask& task) {
    constexpr int kTilesMax = (kTaskQueries + V::kQueryRows - 1) / V::kQueryRows;
    static_assert(V::kQueryRows <= kTileQueries);
    alignas(64) float q[kTaskQueries * kHeadDimMax];
    alignas(64) float o[kTaskQueries * kHeadDimMax];
    alignas(64) float decoded[2 * kSegmentKeys * kHeadDimMax];
    const std::int64_t stride = kv_value_stride(args.kv.spec);

    TileState tile[kTilesMax];
    const int tiles = (task.count + V::kQueryRows - 1) / V::kQueryRows;
    for (int t = 0; t < tiles; ++t) {
        tile[t].first = task.count * t / tiles;
        tile[t].queries = task.count * (t + 1) / tiles - tile[t].first;
        tile[t].o = o + tile[t].first * stride;
        float* to = q + tile[t].first * args.head_dim;
        tile[t].q = to;
        for (int i = 0; i < tile[t].queries; ++i) {
            const float* from = args.q + task.offset(args, tile[t].first + i);
            for (int d = 0; d < args.head_dim; ++d) to[d * tile[t].queries + i] = from[d];
        }
    }
    const bool bf16 = args.kv.spec.dtype == DType::bf16;
    const bool decode = bf16 && tiles > 1;
    const int keys_end = task.keys(task.count - 1);
    for (int begin = 0; begin < keys_end; begin += kSegmentKeys) {
        const SegmentBlocks segment = segment_blocks<V>(args, task, begin, keys_end, decode, decoded);
        for (int t = 0; t < tiles; ++t) {
            if (bf16 && !decode) {
                tile_segment<V, KvBf16>(args, task, tile[t], segment, begin);
            } else {
                tile_segment<V, KvF32>(args, task, tile[t], segment, begin);
            }
        }
    }
    for (int t = 0; t < tiles; ++t) {
        for (int i = 0; i < tile[t].queries; ++i) {
            const V sum = V::set(tile[t].l[i]);
            float* out = args.out + task.offset(args, tile[t].first + i);
            const float* from = tile[t].o + i * stride;
            int d = 0;
            for (; d + 16 <= args.head_dim; d += 16) vdiv(V::load(from + d), sum).store(out + d);
            if (d < args.head_dim) vdiv(V::load(from + d), sum).store_first(out + d, args.head_dim - d);
        }
    }
}

template <class V>
static void attention_op(const AttentionArgs& args, const Stream& stream) {
    int runs = 0;
    int rows_max = 0;
    int heads_max = 0;
    for (int head = 0; head < args.q_heads; ++runs) {
        const HeadRun run = next_head_run(args, head);
        head += run.count;
        if (run.count > heads_max) heads_max = run.count;
    }
    for (int s = 0; s < args.spans; ++s) {
        if (args.span[s].rows > rows_max) rows_max = args.span[s].rows;
    }
    // Every span gets as many tasks as the longest needs; those it has no queries for end at once.
    const std::int64_t parts = (static_cast<std::int64_t>(rows_max) * heads_max + kTaskQueries - 1) / kTaskQueries;
    parallel_tasks(stream, parts * args.spans * runs, [&](std::int64_t index) {
        AttentionTask task;
        const std::int64_t part = parts - 1 - index / runs / args.spans;  // the longest, which see most keys, first
        task.span = args.span + index / runs % args.spans;
        task.query = static_cast<int>(part * kTaskQueries);
        int head = 0;
        for (std::int64_t r = index % runs; r >= 0; --r) {
            task.run = next_head_run(args, head);
            head += task.run.count;
        }
        const int left = task.span->rows * task.run.count - task.query;
        if (left <= 0) return;
        task.count = left < kTaskQueries ? left : kTaskQueries;
        attention_task<V>(args, task);
    });
}

}  // namespace argosy
