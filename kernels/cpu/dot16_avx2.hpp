// Sixteen int8 dot products of 4 with AVX2. Included by avx2_int8.cpp alone.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/cpu/block_sums_avx2.hpp"
#include "kernels/cpu/vec16_avx2.hpp"
#include "kernels/quant/mxfp4_int8.hpp"

namespace argosy::cpu_avx2 {
namespace {

// vpmaddubsw would saturate (2 * 255 * 127 does not fit 16 bits), so bytes are widened: the even and the odd ones of
// every 32-bit lane become pairs of 16 bits, whose products vpmaddwd sums exactly.
struct Dot16 {
    struct Sum {
        __m256i lo, hi;
    };
    struct Weights {
        __m256i even_lo, odd_lo, even_hi, odd_hi;
    };
    using SignedWeights = Weights;  // widened, they look the same
    struct Codes {
        __m256i even, odd;
    };
    static constexpr int kTileRows = 4;
    static constexpr int kTileUnits = 4;

    // The rows' codes of a block as block_sums takes them.
    struct alignas(32) WideRows {
        std::int32_t pair[kTileRows][kBlockSteps][2];
    };
    [[gnu::always_inline]] static void widen(const std::int8_t* code, std::int64_t steps, WideRows& rows, int row) {
        widen_codes(code, steps, rows.pair[row]);
    }
    template <int kRows>
    [[gnu::always_inline]] static void block_sums(Sum (&sum)[kRows], const WideRows& rows, const std::byte* weights,
                                                  std::int64_t steps) {
        BlockSums<Sum, kRows>::run(sum, rows.pair, weights, steps);
    }

    [[gnu::always_inline]] static Sum set(std::int32_t value) {
        return {_mm256_set1_epi32(value), _mm256_set1_epi32(value)};
    }
    [[gnu::always_inline]] static Weights load(const std::byte* p) {
        const __m256i mask = _mm256_set1_epi16(0xff);
        const __m256i lo = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
        const __m256i hi = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p) + 1);
        return {_mm256_and_si256(lo, mask), _mm256_srli_epi16(lo, 8), _mm256_and_si256(hi, mask),
                _mm256_srli_epi16(hi, 8)};
    }
    [[gnu::always_inline]] static Codes broadcast(const std::int8_t* four) {
        std::int32_t codes;
        std::memcpy(&codes, four, 4);
        const __m256i x = _mm256_set1_epi32(codes);
        return {_mm256_srai_epi16(_mm256_slli_epi16(x, 8), 8), _mm256_srai_epi16(x, 8)};
    }
    [[gnu::always_inline]] static __m256i dot_half(__m256i sum, __m256i even, __m256i odd, const Codes& x) {
        return _mm256_add_epi32(sum, _mm256_add_epi32(_mm256_madd_epi16(even, x.even), _mm256_madd_epi16(odd, x.odd)));
    }
    [[gnu::always_inline]] static Sum dot(Sum sum, const Weights& w, const Codes& x) {
        return {dot_half(sum.lo, w.even_lo, w.odd_lo, x), dot_half(sum.hi, w.even_hi, w.odd_hi, x)};
    }

    // The same with signed weights and codes without sign.
    [[gnu::always_inline]] static SignedWeights load_signed(const std::byte* p) {
        const __m256i lo = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
        const __m256i hi = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p) + 1);
        return {_mm256_srai_epi16(_mm256_slli_epi16(lo, 8), 8), _mm256_srai_epi16(lo, 8),
                _mm256_srai_epi16(_mm256_slli_epi16(hi, 8), 8), _mm256_srai_epi16(hi, 8)};
    }
    [[gnu::always_inline]] static Codes broadcast_unsigned(const std::uint8_t* four) {
        std::int32_t codes;
        std::memcpy(&codes, four, 4);
        const __m256i x = _mm256_set1_epi32(codes);
        return {_mm256_and_si256(x, _mm256_set1_epi16(0xff)), _mm256_srli_epi16(x, 8)};
    }
    [[gnu::always_inline]] static Sum dot_signed(Sum sum, const SignedWeights& w, const Codes& x) {
        return dot(sum, w, x);
    }
    [[gnu::always_inline]] static Vec16 to_f32(Sum sum) {
        return {_mm256_cvtepi32_ps(sum.lo), _mm256_cvtepi32_ps(sum.hi)};
    }

    // 16 columns of one output, 4 to each of four lines of 64 bytes.
    [[gnu::always_inline]] static void store_columns(__m128i codes, std::byte* to) {
        std::int32_t fours[4];
        _mm_storeu_si128(reinterpret_cast<__m128i*>(fours), codes);
        for (int i = 0; i < 4; ++i) std::memcpy(to + 64 * i, &fours[i], 4);
    }
    static void decode_mxfp4(const std::uint8_t* table, const std::byte* from, std::byte* to) {
        const __m128i half = _mm_set1_epi8(15);
        for (int output = 0; output < 16; ++output) {
            const std::byte* lane = from + output % 4 * 64 + output / 4 * 16;
            const __m128i codes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(lane));
            const __m128i of = _mm_load_si128(reinterpret_cast<const __m128i*>(kMxfp4CodeTables.code[table[output]]));
            store_columns(_mm_shuffle_epi8(of, _mm_and_si128(codes, half)), to + 4 * output);
            store_columns(_mm_shuffle_epi8(of, _mm_and_si128(_mm_srli_epi16(codes, 4), half)), to + 256 + 4 * output);
        }
    }
};

}  // namespace
}  // namespace argosy::cpu_avx2
