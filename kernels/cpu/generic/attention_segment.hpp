// One segment of keys for one tile of a task's queries: scores, softmax, weighted sum of values, and the merge with
// what the segments before gave (rule R5).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "kernels/cpu/generic/attention_codes.hpp"
#include "kernels/cpu/generic/attention_cut.hpp"
#include "kernels/cpu/generic/attention_latents.hpp"
#include "kernels/cpu/generic/attention_tile.hpp"
#include "kernels/cpu/kv_block.hpp"

namespace argosy {

// What is known so far of a tile's queries: largest score, sum of exponentials, weighted sum of values.
struct TileState {
    float m[kTileQueries];
    float l[kTileQueries];
    float* o = nullptr;        // [queries][stride]
    const float* q = nullptr;  // [queries][kQueryStride]
    int first = 0;             // query of the task
    int queries = 0;
};

// The blocks of one segment for one head, the form of what is read there, and the keys of the segment that the same
// task reads next.
struct SegmentBlocks {
    const std::byte* key[kSegmentBlocks];
    const std::byte* value[kSegmentBlocks];
    const std::byte* next_key[kSegmentBlocks];
    int blocks = 0;
    DType dtype = DType::f32;
};

// Keys of a segment that a tile's queries see: query i's [from[i], end[i]). Later rows see later keys, so the queries
// that see any are those from `first` to `last`: of those before it the keys have ended, of those behind it, where
// there is a window, they have not begun.
struct SegmentKeys {
    int from[kTileQueries] = {};
    int end[kTileQueries] = {};
    int first = 0;
    int last = 0;
};

// Nothing known yet: what comes first is merged as it is, since exp(0) is 1 and what is added are zeros.
template <class V>
static void start_empty(TileState& tile, std::int64_t stride) {
    V::set(-__builtin_inff()).store(tile.m);
    V::zero().store(tile.l);
    for (std::int64_t d = 0; d < tile.queries * stride; d += 16) V::zero().store(tile.o + d);
}

// A key of that score whose value is zero, as one more segment: o [stride] is scaled, the new l returned.
template <class V>
static float merge_sink(float sink, float m, float l, std::int64_t stride, float* o) {
    const float most = vmax(m, sink);
    const float a = exp_lanes(m - most);
    const V a_lanes = V::set(a);
    for (std::int64_t d = 0; d < stride; d += 16) vmul(V::load(o + d), a_lanes).store(o + d);
    return l * a + exp_lanes(sink - most);
}

// New sums into the old: M = max(m, m'), a = exp(m - M), b = exp(m' - M), l = l' b + l a, o = o' b + o a; queries
// without keys in the segment stay.
template <class V>
static void merge_segment(TileState& tile, const float* next_m, const float* next_l, const float* next_o,
                          std::int64_t stride, const SegmentKeys& keys) {
    const V m = V::load(tile.m);
    const V m_next = V::load(next_m);
    const V most = vmax(m, m_next);
    float a[kTileQueries];
    float b[kTileQueries];
    const V a_lanes = exp_lanes(vsub(m, most));
    const V b_lanes = exp_lanes(vsub(m_next, most));
    a_lanes.store(a);
    b_lanes.store(b);
    const auto ended = V::first(keys.first);
    const auto begun = V::first(keys.last);
    const auto changed = [&](V before, V after) { return vselect(ended, before, vselect(begun, after, before)); };
    const V l = V::load(tile.l);
    changed(l, vfma(V::load(next_l), b_lanes, vmul(l, a_lanes))).store(tile.l);
    changed(m, most).store(tile.m);
    for (int i = keys.first; i < keys.last; ++i) {
        const V a_i = V::set(a[i]);
        const V b_i = V::set(b[i]);
        float* o = tile.o + i * stride;
        const float* from = next_o + i * stride;
        for (std::int64_t d = 0; d < stride; d += 16)
            vfma(V::load(from + d), b_i, vmul(V::load(o + d), a_i)).store(o + d);
    }
}

// One segment alone, for a tile's queries: largest scores m, sums l of exponentials, weighted sums o of values.
struct SegmentSums {
    alignas(64) float m[kTileQueries] = {};
    alignas(64) float l[kTileQueries] = {};
    float* o = nullptr;
};

// Scores of keys before the first that a query sees become such that their weights are zero: a value of theirs, which
// is finite, then changes no bit of a sum that begins with +0. They are read only where another row of the tile sees
// them.
ARGOSY_INLINE void hide_keys(float* score, int from) {
    for (int key = 0; key < from; ++key) score[key] = -__builtin_inff();
}

template <class V, class Kv>
static void attend_segment(const AttentionArgs& args, const TileState& tile, const SegmentBlocks& segment,
                           const SegmentKeys& keys, SegmentSums& sums) {
    const std::int64_t stride = kv_output_stride(args.kv.spec);
    const std::int64_t row_stride = kv_value_stride(args.kv.spec);
    alignas(64) float p[kTileQueries * kSegmentKeys];
    if (args.kv.spec.latent_dim > 0) {
        score_latents_of<V, Kv, V::kQueryRows>(tile.queries, tile.q, segment.key, segment.blocks, row_stride,
                                               args.scale, p);
    } else {
        score_segment_of<V, Kv, V::kQueryRows>(tile.queries, tile.q, segment.key, segment.value, segment.blocks,
                                               args.head_dim, args.scale, p);
    }
    for (int i = keys.first; i < keys.last; ++i) {
        hide_keys(p + i * kSegmentKeys, keys.from[i]);
        softmax_segment<V>(p + i * kSegmentKeys, keys.end[i], sums.m + i, sums.l + i);
    }
    // Keys that all queries with keys see to the end of; from the first that any of them sees.
    const int from = keys.from[keys.first];
    const int common = keys.end[keys.first];
    for (int i = 0; i < tile.queries; ++i) {
        if (i == keys.first) i = keys.last;
        for (int key = from; key < common && i < tile.queries; ++key) p[i * kSegmentKeys + key] = 0;  // sums not used
    }
    float* o = sums.o;
    value_segment_of<V, Kv, V::kQueryRows>(tile.queries, p, segment.value, segment.next_key, row_stride, stride, from,
                                           common, o);
    for (int i = keys.first; i < keys.last;
         ++i) {  // keys that only later rows see, where the causal edge crosses the tile
        for (int key = common; key < keys.end[i]; ++key) {
            const std::byte* v = segment.value[key / kKvBlockTokens];
            const V weight = V::set(p[i * kSegmentKeys + key]);
            for (std::int64_t d = 0; d < stride; d += 16) {
                vfma(weight, Kv::template load<V>(v, (key % kKvBlockTokens) * row_stride + d),
                     V::load(o + i * stride + d))
                    .store(o + i * stride + d);
            }
        }
    }
}

// The same of keys and values kept as codes.
template <class V, class Dot>
static void attend_segment_codes(const AttentionArgs& args, const TileState& tile, const SegmentBlocks& segment,
                                 const SegmentKeys& keys, SegmentSums& sums) {
    const KvSpec& spec = args.kv.spec;
    const std::int64_t stride = kv_value_stride(spec);
    alignas(64) float score[kTileQueries * kSegmentKeys];
    score_codes<V, Dot, V::kQueryRows>(tile.queries, tile.q, segment.key, segment.value, segment.blocks,
                                       kv_elements_bytes(spec, kv_key_stride(spec)), score);
    const float* value_scale[kSegmentBlocks];
    for (int b = 0; b < kSegmentBlocks; ++b)
        value_scale[b] = reinterpret_cast<const float*>(segment.value[b] + kv_elements_bytes(spec, stride));
    SegmentWeights p;
    for (int i = 0; i < tile.queries; ++i) {
        if (i >= keys.first && i < keys.last) {
            hide_keys(score + i * kSegmentKeys, keys.from[i]);
            softmax_codes<V>(score + i * kSegmentKeys, keys.from[i], keys.end[i], value_scale, sums.m + i, sums.l + i,
                             p.code + i * kSegmentKeys, p.scale + i);
        } else {
            std::memset(p.code + i * kSegmentKeys, 0, kSegmentKeys);
            p.scale[i] = 0;
        }
    }
    const int fours = (keys.end[keys.last - 1] + 3) / 4;
    value_codes<V, Dot, V::kQueryRows>(tile.queries, p, segment.value, segment.next_key, stride, fours, sums.o);
}

// Which keys of the segment at `begin` a tile's queries see.
ARGOSY_INLINE SegmentKeys segment_keys(const AttentionArgs& args, const AttentionTask& task, const TileState& tile,
                                       int begin) {
    const auto within = [&](int key) {
        return key <= begin ? 0 : key - begin < kSegmentKeys ? key - begin : kSegmentKeys;
    };
    SegmentKeys keys;
    for (int i = 0; i < tile.queries; ++i) {
        keys.from[i] = within(task.first_key(args, tile.first + i));
        keys.end[i] = within(task.keys(tile.first + i));
        if (keys.end[i] == 0) ++keys.first;
        if (keys.from[i] < kSegmentKeys) ++keys.last;
    }
    return keys;
}

// One tile over the segment that begins at key `begin`. Dot: products of codes, where K and V are kept as such; void:
// they are not.
template <class V, class Dot>
static void tile_segment(const AttentionArgs& args, const AttentionTask& task, TileState& tile,
                         const SegmentBlocks& segment, int begin) {
    const SegmentKeys keys = segment_keys(args, task, tile, begin);
    if (keys.first >= keys.last) return;
    const bool first = begin == 0 && args.window == 0;
    alignas(64) float later[kTileQueries * kHeadDimMax];
    SegmentSums sums;
    sums.o = first ? tile.o : later;
    if constexpr (!std::is_void_v<Dot>) {
        attend_segment_codes<V, Dot>(args, tile, segment, keys, sums);
    } else if (segment.dtype == DType::bf16) {
        attend_segment<V, KvBf16>(args, tile, segment, keys, sums);
    } else {
        attend_segment<V, KvF32>(args, tile, segment, keys, sums);
    }
    if (first) {
        V::load(sums.m).store(tile.m);
        V::load(sums.l).store(tile.l);
    } else {
        merge_segment<V>(tile, sums.m, sums.l, sums.o, kv_output_stride(args.kv.spec), keys);
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
    segment.dtype = decoded == nullptr ? spec.dtype : DType::f32;
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
        if (spec.latent_dim > 0) {
            float* rows = decoded + b * 16 * stride;
            for (int i = 0; i < 16 * stride; i += 16) KvBf16::load<V>(segment.key[b], i).store(rows + i);
            segment.key[b] = segment.value[b] = reinterpret_cast<const std::byte*>(rows);
            continue;
        }
        float* keys = decoded + b * 16 * (spec.head_dim + stride);
        float* values = keys + 16 * spec.head_dim;
        for (int i = 0; i < 16 * spec.head_dim; i += 16) KvBf16::load<V>(segment.key[b], i).store(keys + i);
        for (int i = 0; i < 16 * stride; i += 16) KvBf16::load<V>(segment.value[b], i).store(values + i);
        segment.key[b] = reinterpret_cast<const std::byte*>(keys);
        segment.value[b] = reinterpret_cast<const std::byte*>(values);
    }
    return segment;
}

}  // namespace argosy
