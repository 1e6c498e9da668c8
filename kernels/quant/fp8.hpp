// fp8 in the form E4M3 of "FP8 Formats for Deep Learning" (Micikevicius et al. 2022): 1 sign, 4 exponent and 3 mantissa
// bits, bias 7, no infinity, NaN where all seven lower bits are set; largest number 448. And E8M0 of the OCP
// Microscaling specification 1.0: a power of two.
#pragma once

#include <cstdint>

#include "kernels/base/inline.hpp"

namespace argosy {

inline constexpr float kE4m3Max = 448.0F;

// Exact; every E4M3 is an f32.
ARGOSY_INLINE float decode_e4m3(std::uint8_t code) {
    const std::uint32_t sign = static_cast<std::uint32_t>(code & 0x80U) << 24;
    const std::uint32_t magnitude = code & 0x7fU;
    // m * 2^-9 below the first normal number, 2^-6.
    const float denormal = static_cast<float>(magnitude) * 0x1p-9F;
    const std::uint32_t normal = magnitude == 0x7fU ? 0x7fc00000U : (magnitude << 20) + (120U << 23);
    const std::uint32_t bits = magnitude < 8 ? __builtin_bit_cast(std::uint32_t, denormal) : normal;
    return __builtin_bit_cast(float, bits | sign);
}

// To nearest even; what rounds beyond 448, infinity included, becomes 448; NaN stays NaN. (The saturating conversion:
// quantisers scale first, and a value just outside must not become NaN.)
ARGOSY_INLINE std::uint8_t encode_e4m3(float value) {
    const std::uint32_t all = __builtin_bit_cast(std::uint32_t, value);
    const std::uint32_t sign = (all >> 24) & 0x80U;
    const std::uint32_t bits = all & 0x7fffffffU;
    if (bits > 0x7f800000U) return static_cast<std::uint8_t>(sign | 0x7fU);
    // Adding 2^14 puts units of 2^-9 into the last place of an f32, so the addition rounds to nearest even.
    const std::uint32_t denormal =
        __builtin_bit_cast(std::uint32_t, __builtin_bit_cast(float, bits) + 0x1p14F) - (141U << 23);
    const std::uint32_t normal = (bits - (120U << 23) + 0x7ffffU + ((bits >> 20) & 1U)) >> 20;
    const std::uint32_t magnitude = bits < (121U << 23) ? denormal : normal;
    return static_cast<std::uint8_t>(sign | (magnitude > 0x7eU ? 0x7eU : magnitude));
}

// 2^(code - 127); 255 is NaN. Exact: 2^-127 is a denormal f32.
ARGOSY_INLINE float decode_e8m0(std::uint8_t code) {
    const std::uint32_t bits = code == 255 ? 0x7fc00000U
                               : code == 0 ? 0x00400000U
                                           : static_cast<std::uint32_t>(code) << 23;
    return __builtin_bit_cast(float, bits);
}

}  // namespace argosy
