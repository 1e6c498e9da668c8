// Sixteen products of bf16 pairs with AVX512-BF16. Included by avx512_bf16.cpp alone.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/cpu/vec16_avx512.hpp"

namespace argosy::cpu_avx512 {
namespace {

// vdpbf16ps adds the product of the upper halves, then that of the lower ones, each with one rounding, denormals taken
// and given as zeros whatever MXCSR says: rule R11 is what it does.
struct Pairs16 {
    static constexpr bool kTiles = false;
    using Weights = __m512i;
    using Pair = __m512i;

    [[gnu::always_inline]] static Weights load(const std::byte* p) { return _mm512_loadu_si512(p); }
    [[gnu::always_inline]] static Pair broadcast(const float* pair) {
        std::int32_t bits;
        std::memcpy(&bits, pair, 4);
        return _mm512_set1_epi32(bits);
    }
    // In words for GCC's sake, as Dot16::dot.
    [[gnu::always_inline]] static Vec16 dot(Vec16 sum, Weights w, Pair x) {
        asm("vdpbf16ps %2, %1, %0" : "+v"(sum.v) : "v"(w), "v"(x));
        return sum;
    }
    // 16 values as bf16, side by side; vcvtneps2bf16 takes denormals for zeros.
    [[gnu::always_inline]] static void store(Vec16 values, float* to) {
        const __m256bh codes = _mm512_cvtneps_pbh(values.v);
        std::memcpy(to, &codes, sizeof codes);
    }
};

}  // namespace
}  // namespace argosy::cpu_avx512
