// Sixteen f32 lanes in two AVX2 registers. Included by the avx2_*.cpp files alone, so all of it has internal linkage.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/base/lanes.hpp"

namespace argosy::cpu_avx2 {
namespace {

struct Mask16 {
    __m256 lo, hi;
};

struct Vec16 {
    __m256 lo, hi;

    static constexpr int kQueryRows = 6;  // queries of an attention tile at most
    static constexpr int kTileRows = 6;   // rows of a product's register tile at most
    static constexpr int kTileUnits = 7;  // accumulators and a weight per panel that the 16 registers hold, in pairs

    [[gnu::always_inline]] static Vec16 zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
    [[gnu::always_inline]] static Vec16 set(float value) { return {_mm256_set1_ps(value), _mm256_set1_ps(value)}; }
    [[gnu::always_inline]] static Vec16 load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
    [[gnu::always_inline]] static Vec16 load_first(const float* p, int n) {
        const Mask16 mask = first(n);
        return {_mm256_maskload_ps(p, _mm256_castps_si256(mask.lo)),
                _mm256_maskload_ps(p + 8, _mm256_castps_si256(mask.hi))};
    }
    [[gnu::always_inline]] void store(float* p) const {
        _mm256_storeu_ps(p, lo);
        _mm256_storeu_ps(p + 8, hi);
    }
    [[gnu::always_inline]] void store_first(float* p, int n) const {
        const Mask16 mask = first(n);
        _mm256_maskstore_ps(p, _mm256_castps_si256(mask.lo), lo);
        _mm256_maskstore_ps(p + 8, _mm256_castps_si256(mask.hi), hi);
    }

    // 16 adjacent codes.
    [[gnu::always_inline]] static Vec16 load_bf16(const std::uint16_t* p) {
        const __m256i a = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
        const __m256i b = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 8)));
        return {_mm256_castsi256_ps(_mm256_slli_epi32(a, 16)), _mm256_castsi256_ps(_mm256_slli_epi32(b, 16))};
    }
    [[gnu::always_inline]] static Vec16 load_f16(const std::uint16_t* p) {
        return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))),
                _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 8)))};
    }
    // The lower and the upper codes of 16 pairs.
    [[gnu::always_inline]] static Vec16 low_bf16(const std::uint32_t* p) {
        const auto* pairs = reinterpret_cast<const __m256i*>(p);
        return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_loadu_si256(pairs), 16)),
                _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_loadu_si256(pairs + 1), 16))};
    }
    [[gnu::always_inline]] static Vec16 high_bf16(const std::uint32_t* p) {
        const __m256 mask = _mm256_castsi256_ps(_mm256_set1_epi32(static_cast<int>(0xffff0000U)));
        const auto* pairs = reinterpret_cast<const float*>(p);
        return {_mm256_and_ps(mask, _mm256_loadu_ps(pairs)), _mm256_and_ps(mask, _mm256_loadu_ps(pairs + 8))};
    }

    [[gnu::always_inline]] static Mask16 first(int n) {
        const __m256i count = _mm256_set1_epi32(n);
        return {_mm256_castsi256_ps(_mm256_cmpgt_epi32(count, _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7))),
                _mm256_castsi256_ps(_mm256_cmpgt_epi32(count, _mm256_setr_epi32(8, 9, 10, 11, 12, 13, 14, 15)))};
    }
};

ARGOSY_INLINE Vec16 vadd(Vec16 a, Vec16 b) { return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)}; }
ARGOSY_INLINE Vec16 vsub(Vec16 a, Vec16 b) { return {_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)}; }
ARGOSY_INLINE Vec16 vmul(Vec16 a, Vec16 b) { return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)}; }
ARGOSY_INLINE Vec16 vdiv(Vec16 a, Vec16 b) { return {_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)}; }
ARGOSY_INLINE Vec16 vsqrt(Vec16 a) { return {_mm256_sqrt_ps(a.lo), _mm256_sqrt_ps(a.hi)}; }
ARGOSY_INLINE Vec16 vfma(Vec16 a, Vec16 b, Vec16 c) {
    return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}
ARGOSY_INLINE Vec16 vmax(Vec16 a, Vec16 b) { return {_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)}; }
ARGOSY_INLINE Vec16 vmin(Vec16 a, Vec16 b) { return {_mm256_min_ps(a.lo, b.lo), _mm256_min_ps(a.hi, b.hi)}; }
ARGOSY_INLINE Mask16 vless(Vec16 a, Vec16 b) {
    return {_mm256_cmp_ps(a.lo, b.lo, _CMP_LT_OQ), _mm256_cmp_ps(a.hi, b.hi, _CMP_LT_OQ)};
}
ARGOSY_INLINE Mask16 vless_equal(Vec16 a, Vec16 b) {
    return {_mm256_cmp_ps(a.lo, b.lo, _CMP_LE_OQ), _mm256_cmp_ps(a.hi, b.hi, _CMP_LE_OQ)};
}
ARGOSY_INLINE Vec16 vselect(Mask16 mask, Vec16 a, Vec16 b) {
    return {_mm256_blendv_ps(b.lo, a.lo, mask.lo), _mm256_blendv_ps(b.hi, a.hi, mask.hi)};
}
ARGOSY_INLINE std::uint32_t lane_bits(Mask16 mask) {
    return static_cast<std::uint32_t>(_mm256_movemask_ps(mask.lo)) |
           static_cast<std::uint32_t>(_mm256_movemask_ps(mask.hi)) << 8;
}

ARGOSY_INLINE __m256 scale_exponent_half(__m256 a, __m256 t) {
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(a), _mm256_slli_epi32(_mm256_castps_si256(t), 23)));
}
ARGOSY_INLINE __m256i unbias_half(__m256 a, std::int32_t bias) {
    return _mm256_sub_epi32(_mm256_castps_si256(a), _mm256_set1_epi32(bias));
}
ARGOSY_INLINE __m256 mantissa_half(__m256 a, std::int32_t bias) {
    const __m256i fraction = _mm256_and_si256(unbias_half(a, bias), _mm256_set1_epi32(0x7fffff));
    return _mm256_castsi256_ps(_mm256_add_epi32(fraction, _mm256_set1_epi32(bias)));
}
ARGOSY_INLINE Vec16 vscale_exponent(Vec16 a, Vec16 t) {
    return {scale_exponent_half(a.lo, t.lo), scale_exponent_half(a.hi, t.hi)};
}
ARGOSY_INLINE Vec16 vexponent(Vec16 a, std::int32_t bias) {
    return {_mm256_cvtepi32_ps(_mm256_srai_epi32(unbias_half(a.lo, bias), 23)),
            _mm256_cvtepi32_ps(_mm256_srai_epi32(unbias_half(a.hi, bias), 23))};
}
ARGOSY_INLINE Vec16 vmantissa(Vec16 a, std::int32_t bias) {
    return {mantissa_half(a.lo, bias), mantissa_half(a.hi, bias)};
}

// Truncated values, each within 0 to 65535.
ARGOSY_INLINE void store_u16(Vec16 a, std::uint16_t* p) {
    const __m256i packed =
        _mm256_packus_epi32(_mm256_cvttps_epi32(a.lo), _mm256_cvttps_epi32(a.hi));  // halves interleaved by four
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_permute4x64_epi64(packed, 0xd8));
}

// The lowest byte of each lane's bits.
ARGOSY_INLINE void store_low_bytes(Vec16 a, std::int8_t* p) {
    const __m256i mask = _mm256_set1_epi32(0xff);
    const __m256i words = _mm256_packus_epi32(_mm256_and_si256(_mm256_castps_si256(a.lo), mask),
                                              _mm256_and_si256(_mm256_castps_si256(a.hi), mask));
    const __m256i in_order = _mm256_permute4x64_epi64(words, 0xd8);
    const __m128i bytes = _mm_packus_epi16(_mm256_castsi256_si128(in_order), _mm256_extracti128_si256(in_order, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), bytes);
}

// Rule R6's tree over lanes: strides 8, 4, 2, 1.
ARGOSY_INLINE float sum_lanes(Vec16 a) {
    const __m256 eight = _mm256_add_ps(a.lo, a.hi);
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}
// Lane i is sum_lanes(a[i]).
ARGOSY_INLINE Vec16 sum_lanes_16(const Vec16 (&a)[16]) {
    float sums[16];
    for (int i = 0; i < 16; ++i) sums[i] = sum_lanes(a[i]);
    return Vec16::load(sums);
}
ARGOSY_INLINE float max_lanes(Vec16 a) {
    const __m256 eight = _mm256_max_ps(a.lo, a.hi);
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
}

}  // namespace
}  // namespace argosy::cpu_avx2

namespace argosy {
template <>
struct Lanes<cpu_avx2::Vec16> {
    [[gnu::always_inline]] static cpu_avx2::Vec16 set(float value) { return cpu_avx2::Vec16::set(value); }
};
}  // namespace argosy
