// One lane: float as the narrowest lane type. The functions here are the model of what every lane type offers to
// kernels/base/elementary.hpp.
//
// A wider lane type is a struct (so that its functions are found by argument-dependent lookup) in namespace argosy with
//
//   vadd vsub vmul vdiv vfma(a, b, c)    one IEEE operation per lane, to nearest even; vfma rounds once
//   vless(a, b)  vless_equal(a, b)       a mask per lane; false where a or b is NaN
//   vselect(mask, a, b)                  a where the mask is set, else b
//   vmax(a, b)  vmin(a, b)               a > b ? a : b and a < b ? a : b: b where either is NaN (as the x86
//   instructions do) vscale_exponent(a, t)                a * 2^n by adding n to the exponent field, where t = 1.5 *
//   2^23 + n: see exp_lanes vexponent(a, bias)                   (bits(a) - bias) >> 23 (arithmetic), converted to f32
//   vmantissa(a, bias)                   ((bits(a) - bias) & 0x7fffff) + bias, taken as f32
//   Lanes<V>::set(float)                 the same value in every lane
//
// All are ARGOSY_INLINE (or always_inline members), so that no copy of them is shared between files of different
// instruction sets.
#pragma once

#include <cstdint>

#include "kernels/base/fma.hpp"
#include "kernels/base/inline.hpp"

namespace argosy {

template <class V>
struct Lanes;

template <>
struct Lanes<float> {
    [[gnu::always_inline]] static float set(float value) { return value; }
};

ARGOSY_INLINE float vadd(float a, float b) { return a + b; }
ARGOSY_INLINE float vsub(float a, float b) { return a - b; }
ARGOSY_INLINE float vmul(float a, float b) { return a * b; }
ARGOSY_INLINE float vdiv(float a, float b) { return a / b; }
ARGOSY_INLINE float vfma(float a, float b, float c) { return fma_f32(a, b, c); }
ARGOSY_INLINE bool vless(float a, float b) { return a < b; }
ARGOSY_INLINE bool vless_equal(float a, float b) { return a <= b; }
ARGOSY_INLINE float vselect(bool mask, float a, float b) { return mask ? a : b; }
ARGOSY_INLINE float vmax(float a, float b) { return a > b ? a : b; }
ARGOSY_INLINE float vmin(float a, float b) { return a < b ? a : b; }

ARGOSY_INLINE float vscale_exponent(float a, float t) {
    // The low 9 bits of t's pattern are n modulo 512, and the pattern of 1.5 * 2^23 has none of them: the shift leaves
    // n * 2^23.
    const std::uint32_t shift = __builtin_bit_cast(std::uint32_t, t) << 23;
    return __builtin_bit_cast(float, __builtin_bit_cast(std::uint32_t, a) + shift);
}
ARGOSY_INLINE float vexponent(float a, std::int32_t bias) {
    const std::uint32_t bits = __builtin_bit_cast(std::uint32_t, a) - static_cast<std::uint32_t>(bias);
    return static_cast<float>(static_cast<std::int32_t>(bits) >> 23);
}
ARGOSY_INLINE float vmantissa(float a, std::int32_t bias) {
    const std::uint32_t bits = __builtin_bit_cast(std::uint32_t, a) - static_cast<std::uint32_t>(bias);
    return __builtin_bit_cast(float, (bits & 0x7fffffU) + static_cast<std::uint32_t>(bias));
}

}  // namespace argosy
