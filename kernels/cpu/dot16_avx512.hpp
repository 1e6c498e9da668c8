// Sixteen int8 dot products of 4 with AVX-512 VNNI. Included by avx512_int8.cpp alone.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/cpu/vec16_avx512.hpp"
#include "kernels/quant/mxfp4_int8.hpp"

namespace argosy::cpu_avx512 {
namespace {

// vpdpbusd sums 4 products of bytes into 32 bits without saturation; its first factor has no sign, its second has one.
struct Dot16 {
    using Sum = __m512i;
    using Weights = __m512i;
    using SignedWeights = __m512i;
    using Codes = __m512i;
    static constexpr int kTileRows = 7;    // with two panels 14 integer and 14 float sums, two weights and a code
    static constexpr int kTileUnits = 14;  // rows x panels that the 32 registers hold

    [[gnu::always_inline]] static Sum set(std::int32_t value) { return _mm512_set1_epi32(value); }
    [[gnu::always_inline]] static Weights load(const std::byte* p) { return _mm512_loadu_si512(p); }
    [[gnu::always_inline]] static Codes broadcast(const std::int8_t* four) {
        std::int32_t codes;
        std::memcpy(&codes, four, 4);
        return _mm512_set1_epi32(codes);
    }
    // In words: around its own intrinsic GCC 12 copies every sum twice per step, which costs a third of the speed.
    [[gnu::always_inline]] static Sum dot(Sum sum, Weights w, Codes x) {
        asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(w), "v"(x));
        return sum;
    }

    // The same with signed weights and codes without sign.
    [[gnu::always_inline]] static SignedWeights load_signed(const std::byte* p) { return load(p); }
    [[gnu::always_inline]] static Codes broadcast_unsigned(const std::uint8_t* four) {
        std::int32_t codes;
        std::memcpy(&codes, four, 4);
        return _mm512_set1_epi32(codes);
    }
    [[gnu::always_inline]] static Sum dot_signed(Sum sum, SignedWeights w, Codes x) {
        asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(x), "v"(w));
        return sum;
    }
    [[gnu::always_inline]] static Vec16 to_f32(Sum sum) { return {_mm512_cvtepi32_ps(sum)}; }

    // The tables of outputs q, 4 + q, 8 + q and 12 + q, one in each 128 bits.
    [[gnu::always_inline]] static __m512i quarter_tables(const std::uint8_t* table) {
        const auto one = [&](int output) {
            return _mm_load_si128(reinterpret_cast<const __m128i*>(kMxfp4CodeTables.code[table[output]]));
        };
        const __m512i low = _mm512_inserti32x4(_mm512_castsi128_si512(one(0)), one(4), 1);
        return _mm512_inserti32x4(_mm512_inserti32x4(low, one(8), 2), one(12), 3);
    }
    // Four quarters of 16 columns as four times 4 columns of all outputs.
    [[gnu::always_inline]] static void interleave(const __m512i (&quarter)[4], std::byte* to) {
        const __m512i low01 = _mm512_unpacklo_epi32(quarter[0], quarter[1]);
        const __m512i high01 = _mm512_unpackhi_epi32(quarter[0], quarter[1]);
        const __m512i low23 = _mm512_unpacklo_epi32(quarter[2], quarter[3]);
        const __m512i high23 = _mm512_unpackhi_epi32(quarter[2], quarter[3]);
        _mm512_storeu_si512(to, _mm512_unpacklo_epi64(low01, low23));
        _mm512_storeu_si512(to + 64, _mm512_unpackhi_epi64(low01, low23));
        _mm512_storeu_si512(to + 128, _mm512_unpacklo_epi64(high01, high23));
        _mm512_storeu_si512(to + 192, _mm512_unpackhi_epi64(high01, high23));
    }
    [[gnu::always_inline]] static void decode_mxfp4(const std::uint8_t* table, const std::byte* from, std::byte* to) {
        const __m512i half = _mm512_set1_epi8(15);
        __m512i low[4];
        __m512i high[4];
#pragma GCC unroll 4
        for (int q = 0; q < 4; ++q) {
            const __m512i codes = _mm512_loadu_si512(from + 64 * q);
            const __m512i tables = quarter_tables(table + q);
            low[q] = _mm512_shuffle_epi8(tables, _mm512_and_si512(codes, half));
            high[q] = _mm512_shuffle_epi8(tables, _mm512_and_si512(_mm512_srli_epi16(codes, 4), half));
        }
        interleave(low, to);
        interleave(high, to + 256);
    }
};

}  // namespace
}  // namespace argosy::cpu_avx512
