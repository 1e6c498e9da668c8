// The loops of attention over keys and values kept as codes of int8 (rule R13): scores and weighted sums of values are
// exact integers, so any order gives the same bits.
//
// A query head is quantised once per task. The weights of a segment's keys take the scale of their values before they
// are quantised, since a sum over keys in integers can have no factor by key: o[d] = sum p[j] * (scale[j] * code[j][d])
// = sum (p[j] * scale[j]) * code[j][d].
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/base/elementary.hpp"
#include "kernels/cpu/generic/attention_tile.hpp"
#include "kernels/cpu/generic/int8_rows.hpp"
#include "kernels/cpu/kv_block.hpp"

namespace argosy {

// A query as codes; stands where a query of f32 would.
struct CodeQuery {
    alignas(64) std::int8_t code[kHeadDimMax];
    float scale;              // of a code, times the factor of all scores
    std::int32_t correction;  // keys stand as code + 128: what the 128 add, taken away
};
inline constexpr std::int64_t kCodeQueryStride = kQueryStride * sizeof(float);
static_assert(sizeof(CodeQuery) <= kCodeQueryStride);

ARGOSY_INLINE const CodeQuery& code_query(const float* q, int i) {
    return *reinterpret_cast<const CodeQuery*>(reinterpret_cast<const std::byte*>(q) + i * kCodeQueryStride);
}

template <class V>
static void quantise_query(const float* x, int head_dim, float scale, float* q) {
    auto* to = reinterpret_cast<CodeQuery*>(q);
    quantise_block<V>(
        x, head_dim, [&](int at) { return to->code + at; }, &to->scale, &to->correction);
    to->scale *= scale;
}

// score[q][block * 16 + lane] for kBlocks blocks; q [kQueries] CodeQuery, key[b] as in kv_block.hpp, its scales
// `key_bytes` behind; fetch[b] is what is read next, as long as key[b].
template <class V, class Dot, int kQueries, int kBlocks>
[[gnu::noinline]] static void score_codes_tile(const float* q, const std::byte* const* key,
                                               const std::byte* const* fetch, std::int64_t key_bytes, float* score) {
    typename Dot::Sum acc[kQueries][kBlocks];
    const auto* code = reinterpret_cast<const std::int8_t*>(q);
#pragma GCC unroll 16
    for (int i = 0; i < kQueries; ++i) {
#pragma GCC unroll 4
        for (int b = 0; b < kBlocks; ++b) acc[i][b] = Dot::set(code_query(q, i).correction);
    }
    for (std::int64_t at = 0; at < key_bytes; at += 64, code += 4) {
        typename Dot::Weights k[kBlocks];
#pragma GCC unroll 4
        for (int b = 0; b < kBlocks; ++b) k[b] = Dot::load(key[b] + at);
        if (tile_fetches<V>(kQueries)) {
#pragma GCC unroll 4
            for (int b = 0; b < kBlocks; ++b) __builtin_prefetch(fetch[b] + at);
        }
#pragma GCC unroll 16
        for (int i = 0; i < kQueries; ++i) {
            const typename Dot::Codes four = Dot::broadcast(code + i * kCodeQueryStride);
#pragma GCC unroll 4
            for (int b = 0; b < kBlocks; ++b) acc[i][b] = Dot::dot(acc[i][b], k[b], four);
        }
    }
#pragma GCC unroll 4
    for (int b = 0; b < kBlocks; ++b) {
        const V key_scale = V::load(reinterpret_cast<const float*>(key[b] + key_bytes));
#pragma GCC unroll 16
        for (int i = 0; i < kQueries; ++i) {
            const V scale = vmul(key_scale, V::set(code_query(q, i).scale));
            vmul(Dot::to_f32(acc[i][b]), scale).store(score + i * kSegmentKeys + b * kKvBlockTokens);
        }
    }
}

// Weights of one query's keys in a segment, as codes without sign, zeros behind the last key.
struct SegmentWeights {
    alignas(64) std::uint8_t code[kTileQueries * kSegmentKeys];
    float scale[kTileQueries];
};

// Scores of one query become weights; returns m and the sum of the exponentials through m, l, as softmax_segment does.
// value_scale[b] are the scales of block b's values.
template <class V>
[[gnu::always_inline]] static inline void softmax_codes(float* score, int from, int keys,
                                                        const float* const* value_scale, float* m, float* l,
                                                        std::uint8_t* code, float* scale) {
    softmax_segment<V>(score, keys, m, l);
    V largest = V::zero();
    for (int first = 0; first < keys; first += 16) {
        V weight = vmul(V::load(score + first), V::load(value_scale[first / kKvBlockTokens]));
        if (keys - first < 16) weight = vselect(V::first(keys - first), weight, V::zero());
        if (first < from) weight = vselect(V::first(from - first < 16 ? from - first : 16), V::zero(), weight);
        largest = vmax(weight, largest);
        weight.store(score + first);
    }
    const Int8Scale by = uint8_scale(max_lanes(largest));
    *scale = by.scale;
    const V inverse = V::set(by.inverse);
    const V shift = V::set(kInt8Shift);
    for (int first = 0; first < kSegmentKeys; first += 16) {
        const V weight = first < keys ? V::load(score + first) : V::zero();
        store_low_bytes(vadd(vmul(weight, inverse), shift), reinterpret_cast<std::int8_t*>(code + first));
    }
}

// o[q][c * 16 + lane] = scale[q] * sum of code[q][key] * v[key][c * 16 + lane] over `fours` times four keys. `value`
// are the segment's blocks at the head and the first of those dimensions, `fetch` what is read next.
template <class V, class Dot, int kQueries, int kColumns>
[[gnu::noinline]] static void value_codes_tile(const SegmentWeights& p, const std::byte* const* value,
                                               const std::byte* const* fetch, std::int64_t stride, int fours, float* o,
                                               std::int64_t o_stride) {
    typename Dot::Sum acc[kQueries][kColumns];
#pragma GCC unroll 16
    for (int i = 0; i < kQueries; ++i) {
#pragma GCC unroll 4
        for (int c = 0; c < kColumns; ++c) acc[i][c] = Dot::set(0);
    }
    for (int j = 0; j < fours; ++j) {
        const std::int64_t at = j % 4 * stride * 4;
        const std::byte* row = value[j / 4] + at;
        if (tile_fetches<V>(kQueries)) {
#pragma GCC unroll 4
            for (int c = 0; c < kColumns; ++c) __builtin_prefetch(fetch[j / 4] + at + c * 64);
        }
        typename Dot::SignedWeights v[kColumns];
#pragma GCC unroll 4
        for (int c = 0; c < kColumns; ++c) v[c] = Dot::load_signed(row + c * 64);
#pragma GCC unroll 16
        for (int i = 0; i < kQueries; ++i) {
            const typename Dot::Codes four = Dot::broadcast_unsigned(p.code + i * kSegmentKeys + j * 4);
#pragma GCC unroll 4
            for (int c = 0; c < kColumns; ++c) acc[i][c] = Dot::dot_signed(acc[i][c], v[c], four);
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < kQueries; ++i) {
        const V scale = V::set(p.scale[i]);
#pragma GCC unroll 4
        for (int c = 0; c < kColumns; ++c) vmul(Dot::to_f32(acc[i][c]), scale).store(o + i * o_stride + c * 16);
    }
}

template <class V, class Dot, int kQueries>
static void score_codes(int queries, const float* q, const std::byte* const* key, const std::byte* const* fetch,
                        int blocks, std::int64_t key_bytes, float* score) {
    if (queries == kQueries) {
        constexpr int kWidth = tile_width<V>(kQueries);
        for (int b = 0; b < blocks; b += kWidth)
            score_codes_tile<V, Dot, kQueries, kWidth>(q, key + b, fetch + b, key_bytes, score + b * kKvBlockTokens);
        return;
    }
    if constexpr (kQueries > 1) score_codes<V, Dot, kQueries - 1>(queries, q, key, fetch, blocks, key_bytes, score);
}

template <class V, class Dot, int kQueries>
static void value_codes(int queries, const SegmentWeights& p, const std::byte* const* value,
                        const std::byte* const* fetch, std::int64_t stride, int fours, float* o) {
    if (queries == kQueries) {
        constexpr int kWidth = tile_width<V>(kQueries);
        const int vectors = static_cast<int>(stride / 16);
        for (int c = 0; c < vectors;) {
            const SegmentPointers from = segment_pointers(value, c * 64);
            const SegmentPointers later = segment_pointers(fetch, c * 64);
            if (kWidth > 1 && vectors - c >= kWidth) {
                value_codes_tile<V, Dot, kQueries, kWidth>(p, from.block, later.block, stride, fours, o + c * 16,
                                                           stride);
                c += kWidth;
            } else {
                value_codes_tile<V, Dot, kQueries, 1>(p, from.block, later.block, stride, fours, o + c * 16, stride);
                c += 1;
            }
        }
        return;
    }
    if constexpr (kQueries > 1) value_codes<V, Dot, kQueries - 1>(queries, p, value, fetch, stride, fours, o);
}

}  // namespace argosy
