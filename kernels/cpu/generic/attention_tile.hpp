// The three loops of attention over one segment of keys for a tile of queries: scores, softmax, weighted sum of values
// (rule R5).
//
// A tile's queries are any mix of adjacent rows and of query heads that share one KV head: each loaded K or V vector
// serves all of them. Scores have 16 keys as lanes and one chain over d; outputs have 16 dimensions as lanes and one
// chain over keys in order.
#pragma once

#include <cstdint>

#include "kernels/base/elementary.hpp"
#include "kernels/base/inline.hpp"
#include "kernels/cpu/generic/attention_limits.hpp"
#include "kernels/cpu/generic/panel_chain.hpp"
#include "kernels/ops.hpp"

namespace argosy {

inline constexpr int kSegmentKeys = 64;  // keys are cut at absolute multiples of this
inline constexpr int kSegmentBlocks = kSegmentKeys / kKvBlockTokens;

// KV elements as stored.
struct KvF32 {
    static constexpr std::int64_t kBytes = 4;
    template <class V>
    [[gnu::always_inline]] static V load(const std::byte* p, std::int64_t element) {
        return V::load(reinterpret_cast<const float*>(p) + element);
    }
};
struct KvBf16 {
    static constexpr std::int64_t kBytes = 2;
    template <class V>
    [[gnu::always_inline]] static V load(const std::byte* p, std::int64_t element) {
        return V::load_bf16(reinterpret_cast<const std::uint16_t*>(p) + element);
    }
};

// Tiles of few queries wait for memory: while they read one segment's keys they ask for its values, and while they read
// its values for the next segment's keys. Blocks stand anywhere, so that no hardware sees what comes.
template <class V>
constexpr bool tile_fetches(int queries) {
    return 2 * queries <= V::kQueryRows;
}

// score[q][block * 16 + lane] = q . k * scale for kBlocks blocks. q is [kQueries][kQueryStride], so that one pointer
// and constant offsets reach all rows; key[b] a head's [head_dim][16]; fetch[b] is what is read next, as long as
// key[b].
template <class V, class Kv, int kQueries, int kBlocks>
[[gnu::noinline]] static void score_tile(const float* q, const std::byte* const* key, const std::byte* const* fetch,
                                         int head_dim, float scale, float* score) {
    V acc[kQueries][kBlocks];
#pragma GCC unroll 16
    for (int i = 0; i < kQueries; ++i) {
#pragma GCC unroll 4
        for (int b = 0; b < kBlocks; ++b) acc[i][b] = V::zero();
    }
    for (int d = 0; d < head_dim; ++d) {
        V k[kBlocks];
#pragma GCC unroll 4
        for (int b = 0; b < kBlocks; ++b) k[b] = Kv::template load<V>(key[b], d * 16);
        if (tile_fetches<V>(kQueries) && d * 16 * Kv::kBytes % 64 == 0) {
#pragma GCC unroll 4
            for (int b = 0; b < kBlocks; ++b) __builtin_prefetch(fetch[b] + d * 16 * Kv::kBytes);
        }
#pragma GCC unroll 16
        for (int i = 0; i < kQueries; ++i) {
            const V value = V::set(q[i * kQueryStride + d]);
#pragma GCC unroll 4
            for (int b = 0; b < kBlocks; ++b) acc[i][b] = vfma(value, k[b], acc[i][b]);
        }
    }
    const V factor = V::set(scale);
#pragma GCC unroll 16
    for (int i = 0; i < kQueries; ++i) {
#pragma GCC unroll 4
        for (int b = 0; b < kBlocks; ++b) vmul(acc[i][b], factor).store(score + i * kSegmentKeys + b * 16);
    }
}

// o[q][c * 16 + lane] = sum of p[q][key] * v[key][c * 16 + lane], keys [from, keys) of the segment in order, for
// kColumns vectors of dimensions. `value` are the segment's blocks at the head and the first of those dimensions,
// `fetch` what is read next; o has row stride `o_stride` floats.
template <class V, class Kv, int kQueries, int kColumns>
[[gnu::noinline]] static void value_tile(const float* p, const std::byte* const* value, const std::byte* const* fetch,
                                         std::int64_t stride, int from, int keys, float* o, std::int64_t o_stride) {
    V acc[kQueries][kColumns];
#pragma GCC unroll 16
    for (int i = 0; i < kQueries; ++i) {
#pragma GCC unroll 4
        for (int c = 0; c < kColumns; ++c) acc[i][c] = V::zero();
    }
    for (int first = from; first < keys;) {
        const int block = first / kKvBlockTokens;
        const int end = keys < (block + 1) * kKvBlockTokens ? keys : (block + 1) * kKvBlockTokens;
        const std::int64_t skipped = first % kKvBlockTokens * stride * Kv::kBytes;
        const std::byte* row = value[block] + skipped;
        const std::byte* later = fetch[block] + skipped;
        for (; first < end; ++first, row += stride * Kv::kBytes, later += stride * Kv::kBytes) {
            if (tile_fetches<V>(kQueries)) {
#pragma GCC unroll 4
                for (int line = 0; line < kColumns * 16 * Kv::kBytes; line += 64) __builtin_prefetch(later + line);
            }
            V v[kColumns];
#pragma GCC unroll 4
            for (int c = 0; c < kColumns; ++c) v[c] = Kv::template load<V>(row, c * 16);
#pragma GCC unroll 16
            for (int i = 0; i < kQueries; ++i) {
                const V weight = V::set(p[i * kSegmentKeys + first]);
#pragma GCC unroll 4
                for (int c = 0; c < kColumns; ++c) acc[i][c] = vfma(weight, v[c], acc[i][c]);
            }
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < kQueries; ++i) {
#pragma GCC unroll 4
        for (int c = 0; c < kColumns; ++c) acc[i][c].store(o + i * o_stride + c * 16);
    }
}

// A segment's blocks from the same place of each on.
struct SegmentPointers {
    const std::byte* block[kSegmentBlocks];
};
ARGOSY_INLINE SegmentPointers segment_pointers(const std::byte* const* block, std::int64_t bytes) {
    SegmentPointers at;
    for (int b = 0; b < kSegmentBlocks; ++b) at.block[b] = block[b] + bytes;
    return at;
}

// Blocks, or vectors of dimensions, that a tile of that many queries takes at once.
template <class V>
constexpr int tile_width(int queries) {
    return tile_panels<V>(queries) > 4 ? 4 : tile_panels<V>(queries);
}

// All four blocks of a segment (of which the first `blocks` exist; key[] repeats one that does for the rest).
template <class V, class Kv, int kQueries>
[[gnu::always_inline]] static inline void score_segment(const float* q, const std::byte* const* key,
                                                        const std::byte* const* fetch, int blocks, int head_dim,
                                                        float scale, float* score) {
    constexpr int kWidth = tile_width<V>(kQueries);
    for (int b = 0; b < blocks; b += kWidth)
        score_tile<V, Kv, kQueries, kWidth>(q, key + b, fetch + b, head_dim, scale, score + b * 16);
}

template <class V, class Kv, int kQueries>
[[gnu::always_inline]] static inline void value_segment(const float* p, const std::byte* const* value,
                                                        const std::byte* const* fetch, std::int64_t stride,
                                                        std::int64_t o_stride, int first, int keys, float* o) {
    constexpr int kWidth = tile_width<V>(kQueries);
    const int vectors = static_cast<int>(o_stride / 16);
    for (int c = 0; c < vectors;) {
        const SegmentPointers from = segment_pointers(value, c * 16 * Kv::kBytes);
        const SegmentPointers later = segment_pointers(fetch, c * 16 * Kv::kBytes);
        const int left = vectors - c;
        if (kWidth >= 4 && left >= 4) {
            value_tile<V, Kv, kQueries, kWidth >= 4 ? 4 : 1>(p, from.block, later.block, stride, first, keys,
                                                             o + c * 16, o_stride);
            c += 4;
        } else if (kWidth >= 2 && left >= 2) {
            value_tile<V, Kv, kQueries, kWidth >= 2 ? 2 : 1>(p, from.block, later.block, stride, first, keys,
                                                             o + c * 16, o_stride);
            c += 2;
        } else {
            value_tile<V, Kv, kQueries, 1>(p, from.block, later.block, stride, first, keys, o + c * 16, o_stride);
            c += 1;
        }
    }
}

// The same by a number of queries that is known at run time only.
template <class V, class Kv, int kQueries>
static void score_segment_of(int queries, const float* q, const std::byte* const* key, const std::byte* const* fetch,
                             int blocks, int head_dim, float scale, float* score) {
    if (queries == kQueries) return score_segment<V, Kv, kQueries>(q, key, fetch, blocks, head_dim, scale, score);
    if constexpr (kQueries > 1)
        score_segment_of<V, Kv, kQueries - 1>(queries, q, key, fetch, blocks, head_dim, scale, score);
}
template <class V, class Kv, int kQueries>
static void value_segment_of(int queries, const float* p, const std::byte* const* value, const std::byte* const* fetch,
                             std::int64_t stride, std::int64_t o_stride, int from, int keys, float* o) {
    if (queries == kQueries) return value_segment<V, Kv, kQueries>(p, value, fetch, stride, o_stride, from, keys, o);
    if constexpr (kQueries > 1)
        value_segment_of<V, Kv, kQueries - 1>(queries, p, value, fetch, stride, o_stride, from, keys, o);
}

// Scores of one query become exp(score - m); keys beyond `keys` take no part. Returns m and the sum of the exponentials
// through m, l.
template <class V>
[[gnu::always_inline]] static inline void softmax_segment(float* score, int keys, float* m, float* l) {
    V most = V::set(-__builtin_inff());
    int first = 0;
    for (; first + 16 <= keys; first += 16) most = vmax(V::load(score + first), most);
    if (first < keys) most = vselect(V::first(keys - first), vmax(V::load(score + first), most), most);
    *m = max_lanes(most);
    const V top = V::set(*m);
    V sum = V::zero();
    for (first = 0; first + 16 <= keys; first += 16) {
        const V p = exp_lanes(vsub(V::load(score + first), top));
        sum = vadd(sum, p);
        p.store(score + first);
    }
    if (first < keys) {
        const V p = vselect(V::first(keys - first), exp_lanes(vsub(V::load(score + first), top)), V::zero());
        sum = vadd(sum, p);
        p.store(score + first);
    }
    *l = sum_lanes(sum);
}

}  // namespace argosy
