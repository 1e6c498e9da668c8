// Sixteen int8 dot products of 4 with AVX-512 VNNI. Included by avx512_int8.cpp alone.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/cpu/vec16_avx512.hpp"

namespace argosy::cpu_avx512 {
namespace {

// vpdpbusd sums 4 products of bytes into 32 bits without saturation; its first factor has no sign, its second has one.
struct Dot16 {
    using Sum = __m512i;
    using Weights = __m512i;
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
    [[gnu::always_inline]] static Vec16 to_f32(Sum sum) { return {_mm512_cvtepi32_ps(sum)}; }
};

}  // namespace
}  // namespace argosy::cpu_avx512
