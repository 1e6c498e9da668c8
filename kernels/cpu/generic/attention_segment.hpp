// One segment of keys for one tile of a task's queries: scores, softmax, weighted sum of values, and the merge with
// what the segments before gave (rule R5).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "kernels/cpu/generic/attention_codes.hpp"
#include "kernels/cpu/generic/attention_cut.hpp"
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

// One segment alone, for a tile's queries: largest scores m, sums l of exponentials, weighted sums o of values.
struct SegmentSums {
    alignas(64) float m[kTileQueries] = {};
    alignas(64) float l[kTileQueries] = {};
    float* o = nullptr;
};

// keys[i] are query i's keys of the segment: rising, since later rows see more; the first `idle` queries have none.
template <class V, class Kv>
static void attend_segment(const AttentionArgs& args, const TileState& tile, const SegmentBlocks& segment,
                           const int (&keys)[kTileQueries], int idle, SegmentSums& sums) {
    const std::int64_t stride = kv_value_stride(args.kv.spec);
    alignas(64) float p[kTileQueries * kSegmentKeys];
    score_segment_of<V, Kv, V::kQueryRows>(tile.queries, tile.q, segment.key, segment.value, segment.blocks,
                                           args.head_dim, args.scale, p);
    for (int i = idle; i < tile.queries; ++i) softmax_segment<V>(p + i * kSegmentKeys, keys[i], sums.m + i, sums.l + i);
    const int common = keys[idle];
    for (int i = 0; i < idle; ++i) {
        for (int key = 0; key < common; ++key) p[i * kSegmentKeys + key] = 0;  // their sums are not used
    }
    float* o = sums.o;
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
}

// The same of keys and values kept as codes.
template <class V, class Dot>
static void attend_segment_codes(const AttentionArgs& args, const TileState& tile, const SegmentBlocks& segment,
                                 const int (&keys)[kTileQueries], int idle, SegmentSums& sums) {
    const KvSpec& spec = args.kv.spec;
    const std::int64_t stride = kv_value_stride(spec);
    alignas(64) float score[kTileQueries * kSegmentKeys];
    score_codes<V, Dot, V::kQueryRows>(tile.queries, tile.q, segment.key, segment.value, segment.blocks,
                                       kv_elements_bytes(spec, kv_key_stride(spec)), score);
    const float* value_scale[kSegmentBlocks];
    for (int b = 0; b < kSegmentBlocks; ++b)
        value_scale[b] = reinterpret_cast<const float*>(segment.value[b] + kv_elements_bytes(spec, stride));
    SegmentWeights p;
    std::memset(p.code, 0, static_cast<std::size_t>(idle) * kSegmentKeys);
    for (int i = 0; i < idle; ++i) p.scale[i] = 0;
    for (int i = idle; i < tile.queries; ++i) {
        softmax_codes<V>(score + i * kSegmentKeys, keys[i], value_scale, sums.m + i, sums.l + i,
                         p.code + i * kSegmentKeys, p.scale + i);
    }
    const int fours = (keys[tile.queries - 1] + 3) / 4;
    value_codes<V, Dot, V::kQueryRows>(tile.queries, p, segment.value, segment.next_key, stride, fours, sums.o);
}

// One tile over the segment that begins at key `begin`. Dot: products of codes, where K and V are kept as such; void:
// they are not.
template <class V, class Dot>
static void tile_segment(const AttentionArgs& args, const AttentionTask& task, TileState& tile,
                         const SegmentBlocks& segment, int begin) {
    int keys[kTileQueries] = {};
    int idle = 0;  // queries whose keys ended before this segment
    for (int i = 0; i < tile.queries; ++i) {
        const int left = task.keys(tile.first + i) - begin;
        keys[i] = left < kSegmentKeys ? left : kSegmentKeys;
        if (left <= 0) ++idle;
    }
    if (idle == tile.queries) return;
    alignas(64) float later[kTileQueries * kHeadDimMax];
    SegmentSums sums;
    sums.o = begin == 0 ? tile.o : later;
    if constexpr (!std::is_void_v<Dot>) {
        attend_segment_codes<V, Dot>(args, tile, segment, keys, idle, sums);
    } else if (segment.dtype == DType::bf16) {
        attend_segment<V, KvBf16>(args, tile, segment, keys, idle, sums);
    } else {
        attend_segment<V, KvF32>(args, tile, segment, keys, idle, sums);
    }
    if (begin == 0) {
        V::load(sums.m).store(tile.m);
        V::load(sums.l).store(tile.l);
    } else {
        merge_segment<V>(tile, sums.m, sums.l, sums.o, kv_value_stride(args.kv.spec), idle);
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
