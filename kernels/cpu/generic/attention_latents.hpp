// Scores over latents, which stand token by token: 16 dimensions of one key are 16 lanes, joined at the end as rule R6
// joins those of a row.
#pragma once

#include <cstdint>

#include "kernels/cpu/generic/attention_tile.hpp"

namespace argosy {

// The sums of kQueries queries with kKeys adjacent keys before their lanes are joined, to lanes[query][key][16]; q is
// [kQueries][kQueryStride], zeros behind head_dim, keys are rows of `stride` elements.
template <class V, class Kv, int kQueries, int kKeys>
[[gnu::noinline]] static void sum_latents(const float* q, const std::byte* key, std::int64_t stride, float* lanes) {
    V acc[kQueries][kKeys];
#pragma GCC unroll 16
    for (int i = 0; i < kQueries; ++i) {
#pragma GCC unroll 4
        for (int j = 0; j < kKeys; ++j) acc[i][j] = V::zero();
    }
    for (std::int64_t d = 0; d < stride; d += 16) {
        V k[kKeys];
#pragma GCC unroll 4
        for (int j = 0; j < kKeys; ++j) k[j] = Kv::template load<V>(key, j * stride + d);
#pragma GCC unroll 16
        for (int i = 0; i < kQueries; ++i) {
            const V value = V::load(q + i * kQueryStride + d);
#pragma GCC unroll 4
            for (int j = 0; j < kKeys; ++j) acc[i][j] = vfma(value, k[j], acc[i][j]);
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < kQueries; ++i) {
#pragma GCC unroll 4
        for (int j = 0; j < kKeys; ++j) acc[i][j].store(lanes + (i * kKvBlockTokens + j) * 16);
    }
}

// score[q][block * 16 + key] of a block's 16 keys from their lanes.
template <class V>
static void join_latents(int queries, const float* lanes, float scale, float* score) {
    const V factor = V::set(scale);
    for (int i = 0; i < queries; ++i, lanes += kKvBlockTokens * 16) {
        V of_key[kKvBlockTokens];
#pragma GCC unroll 16
        for (int j = 0; j < kKvBlockTokens; ++j) of_key[j] = V::load(lanes + j * 16);
        vmul(sum_lanes_16(of_key), factor).store(score + i * kSegmentKeys);
    }
}

// The 16 keys of a block, for kQueries queries.
template <class V, class Kv, int kQueries>
[[gnu::always_inline]] static inline void score_block(const float* q, const std::byte* key, std::int64_t stride,
                                                      float scale, float* score) {
    constexpr int kKeys = tile_width<V>(kQueries);
    alignas(64) float lanes[kQueries * kKvBlockTokens * 16];
    for (int j = 0; j < kKvBlockTokens; j += kKeys)
        sum_latents<V, Kv, kQueries, kKeys>(q, key + j * stride * Kv::kBytes, stride, lanes + j * 16);
    join_latents<V>(kQueries, lanes, scale, score);
}

// All keys of a segment's blocks. Of many queries one half passes before the other: so long are they that all would not
// stay in the first-level cache.
template <class V, class Kv, int kQueries>
static void score_latents_of(int queries, const float* q, const std::byte* const* key, int blocks, std::int64_t stride,
                             float scale, float* score) {
    if (queries == kQueries) {
        constexpr int kFirst = kQueries > 6 ? (kQueries + 1) / 2 : kQueries;
        for (int b = 0; b < blocks; ++b)
            score_block<V, Kv, kFirst>(q, key[b], stride, scale, score + b * kKvBlockTokens);
        if constexpr (kFirst < kQueries) {
            for (int b = 0; b < blocks; ++b)
                score_block<V, Kv, kQueries - kFirst>(q + kFirst * kQueryStride, key[b], stride, scale,
                                                      score + kFirst * kSegmentKeys + b * kKvBlockTokens);
        }
        return;
    }
    if constexpr (kQueries > 1) score_latents_of<V, Kv, kQueries - 1>(queries, q, key, blocks, stride, scale, score);
}

}  // namespace argosy
