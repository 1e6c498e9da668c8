// Sixteen f32 lanes in one AVX-512 register. Included by the avx512_*.cpp files alone, so all of it has internal
// linkage.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/base/lanes.hpp"

namespace argosy::cpu_avx512 {
namespace {

struct Mask16 {
    __mmask16 bits;
};

struct Vec16 {
    __m512 v;

    static constexpr int kQueryRows = 12;  // queries of an attention tile at most
    static constexpr int kTileRows = 14;   // rows of a product's register tile at most
    static constexpr int kTileUnits =
        31;  // accumulators, a weight per panel and a value of x that the 32 registers hold

    [[gnu::always_inline]] static Vec16 zero() { return {_mm512_setzero_ps()}; }
    [[gnu::always_inline]] static Vec16 set(float value) { return {_mm512_set1_ps(value)}; }
    [[gnu::always_inline]] static Vec16 load(const float* p) { return {_mm512_loadu_ps(p)}; }
    [[gnu::always_inline]] static Vec16 load_first(const float* p, int n) {
        return {_mm512_maskz_loadu_ps(first(n).bits, p)};
    }
    [[gnu::always_inline]] void store(float* p) const { _mm512_storeu_ps(p, v); }
    [[gnu::always_inline]] void store_first(float* p, int n) const { _mm512_mask_storeu_ps(p, first(n).bits, v); }

    // 16 adjacent codes.
    [[gnu::always_inline]] static Vec16 load_bf16(const std::uint16_t* p) {
        const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
        return {_mm512_castsi512_ps(_mm512_slli_epi32(wide, 16))};
    }
    [[gnu::always_inline]] static Vec16 load_f16(const std::uint16_t* p) {
        return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
    }
    // The lower and the upper codes of 16 pairs.
    [[gnu::always_inline]] static Vec16 low_bf16(const std::uint32_t* p) {
        return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_loadu_si512(p), 16))};
    }
    [[gnu::always_inline]] static Vec16 high_bf16(const std::uint32_t* p) {
        return {_mm512_castsi512_ps(
            _mm512_and_si512(_mm512_loadu_si512(p), _mm512_set1_epi32(static_cast<int>(0xffff0000U))))};
    }

    [[gnu::always_inline]] static Mask16 first(int n) {
        return {static_cast<__mmask16>(n >= 16 ? 0xffffU : (1U << n) - 1U)};
    }
};

ARGOSY_INLINE Vec16 vadd(Vec16 a, Vec16 b) { return {_mm512_add_ps(a.v, b.v)}; }
ARGOSY_INLINE Vec16 vsub(Vec16 a, Vec16 b) { return {_mm512_sub_ps(a.v, b.v)}; }
ARGOSY_INLINE Vec16 vmul(Vec16 a, Vec16 b) { return {_mm512_mul_ps(a.v, b.v)}; }
ARGOSY_INLINE Vec16 vdiv(Vec16 a, Vec16 b) { return {_mm512_div_ps(a.v, b.v)}; }
ARGOSY_INLINE Vec16 vsqrt(Vec16 a) { return {_mm512_sqrt_ps(a.v)}; }
ARGOSY_INLINE Vec16 vfma(Vec16 a, Vec16 b, Vec16 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
ARGOSY_INLINE Vec16 vmax(Vec16 a, Vec16 b) { return {_mm512_max_ps(a.v, b.v)}; }
ARGOSY_INLINE Vec16 vmin(Vec16 a, Vec16 b) { return {_mm512_min_ps(a.v, b.v)}; }
ARGOSY_INLINE Mask16 vless(Vec16 a, Vec16 b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ)}; }
ARGOSY_INLINE Mask16 vless_equal(Vec16 a, Vec16 b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LE_OQ)}; }
ARGOSY_INLINE Vec16 vselect(Mask16 mask, Vec16 a, Vec16 b) { return {_mm512_mask_blend_ps(mask.bits, b.v, a.v)}; }
ARGOSY_INLINE std::uint32_t lane_bits(Mask16 mask) { return mask.bits; }

ARGOSY_INLINE Vec16 vscale_exponent(Vec16 a, Vec16 t) {
    const __m512i shift = _mm512_slli_epi32(_mm512_castps_si512(t.v), 23);
    return {_mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(a.v), shift))};
}
ARGOSY_INLINE Vec16 vexponent(Vec16 a, std::int32_t bias) {
    const __m512i bits = _mm512_sub_epi32(_mm512_castps_si512(a.v), _mm512_set1_epi32(bias));
    return {_mm512_cvtepi32_ps(_mm512_srai_epi32(bits, 23))};
}
ARGOSY_INLINE Vec16 vmantissa(Vec16 a, std::int32_t bias) {
    const __m512i bits = _mm512_sub_epi32(_mm512_castps_si512(a.v), _mm512_set1_epi32(bias));
    const __m512i fraction = _mm512_and_si512(bits, _mm512_set1_epi32(0x7fffff));
    return {_mm512_castsi512_ps(_mm512_add_epi32(fraction, _mm512_set1_epi32(bias)))};
}

// Truncated values, each within 0 to 65535.
ARGOSY_INLINE void store_u16(Vec16 a, std::uint16_t* p) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(_mm512_cvttps_epi32(a.v)));
}

// The lowest byte of each lane's bits.
ARGOSY_INLINE void store_low_bytes(Vec16 a, std::int8_t* p) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(_mm512_castps_si512(a.v)));
}

// Rule R6's tree over lanes: strides 8, 4, 2, 1.
ARGOSY_INLINE float sum_lanes(Vec16 a) {
    const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}
// Sixteen of them: lane i is sum_lanes(a[i]). With every stride the vectors halve in number, two standing in one; fed
// as below, their sums come out in order.
ARGOSY_INLINE Vec16 sum_lanes_16(const Vec16 (&a)[16]) {
    __m512 eight[8], four[4], two[2];
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
        const int first = 2 * i, second = 2 * i + 1;  // at e * 4 + q what is to come out at q * 4 + e
        const __m512 x = a[first % 4 * 4 + first / 4].v;
        const __m512 y = a[second % 4 * 4 + second / 4].v;
        eight[i] = _mm512_add_ps(_mm512_shuffle_f32x4(x, y, 0x44), _mm512_shuffle_f32x4(x, y, 0xEE));
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i)
        four[i] = _mm512_add_ps(_mm512_shuffle_f32x4(eight[2 * i], eight[2 * i + 1], 0x88),
                                _mm512_shuffle_f32x4(eight[2 * i], eight[2 * i + 1], 0xDD));
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i)
        two[i] = _mm512_add_ps(_mm512_shuffle_ps(four[2 * i], four[2 * i + 1], 0x44),
                               _mm512_shuffle_ps(four[2 * i], four[2 * i + 1], 0xEE));
    return {_mm512_add_ps(_mm512_shuffle_ps(two[0], two[1], 0x88), _mm512_shuffle_ps(two[0], two[1], 0xDD))};
}
ARGOSY_INLINE float max_lanes(Vec16 a) {
    const __m256 eight = _mm256_max_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
}

}  // namespace
}  // namespace argosy::cpu_avx512

namespace argosy {
template <>
struct Lanes<cpu_avx512::Vec16> {
    [[gnu::always_inline]] static cpu_avx512::Vec16 set(float value) { return cpu_avx512::Vec16::set(value); }
};
}  // namespace argosy
