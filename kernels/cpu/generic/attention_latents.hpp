// Scores over latents, which stand token by token: 16 dimensions of one key are 16 lanes, joined at the end as rule R6
// joins those of a row.
#pragma once

#include <cstdint>

#include "kernels/cpu/generic/attention_tile.hpp"

namespace argosy {

// score[q][first + j] for kKeys keys from `first` on; q is [kQueries][kQueryStride], zeros behind head_dim; rows of
// `stride` elements.
template <class V, class Kv, int kQueries, int kKeys>
[[gnu::noinline]] static void score_latents_tile(const float* q, const std::byte* key, std::int64_t stride, float scale,
                                                 float* score) {
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
    for (int i = 0; i < kQueries; ++i) {
        for (int j = 0; j < kKeys; ++j) score[i * kSegmentKeys + j] = sum_lanes(acc[i][j]) * scale;
    }
}

// All keys of a segment's blocks.
template <class V, class Kv, int kQueries>
static void score_latents_of(int queries, const float* q, const std::byte* const* key, int blocks, std::int64_t stride,
                             float scale, float* score) {
    if (queries == kQueries) {
        constexpr int kKeys = tile_width<V>(kQueries);
        for (int b = 0; b < blocks; ++b) {
            for (int j = 0; j < kKvBlockTokens; j += kKeys)
                score_latents_tile<V, Kv, kQueries, kKeys>(q, key[b] + j * stride * Kv::kBytes, stride, scale,
                                                           score + b * kKvBlockTokens + j);
        }
        return;
    }
    if constexpr (kQueries > 1) score_latents_of<V, Kv, kQueries - 1>(queries, q, key, blocks, stride, scale, score);
}

}  // namespace argosy
