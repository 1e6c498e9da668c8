// fp4 in the form E2M1 of the OCP Microscaling specification 1.0: 1 sign, 2 exponent and 1 mantissa bit, bias 1: 0,
// 0.5, 1, 1.5, 2, 3, 4, 6 and their negatives. Two codes share a byte, the first in its low half. A code means nothing
// without the scale of its block: MXFP4 has one E8M0 for 32 codes, NVFP4 one E4M3 for 16 and an f32 for the matrix.
#pragma once

#include <cstdint>

#include "kernels/base/inline.hpp"

namespace argosy {

inline constexpr float kE2m1Max = 6.0F;
inline constexpr int kMxfp4Block = 32;
inline constexpr int kNvfp4Block = 16;

// Exact. Reads the lower four bits.
ARGOSY_INLINE float decode_e2m1(std::uint8_t code) {
    const std::uint32_t sign = static_cast<std::uint32_t>(code & 8U) << 28;
    const std::uint32_t magnitude = code & 7U;
    const std::uint32_t normal = (magnitude << 22) + (126U << 23);
    const std::uint32_t bits = magnitude < 2 ? magnitude * 0x3f000000U : normal;
    return __builtin_bit_cast(float, bits | sign);
}

// To nearest even; beyond 6 to 6. NaN has no code and becomes 6 with its sign, as infinity does.
ARGOSY_INLINE std::uint8_t encode_e2m1(float value) {
    const std::uint32_t all = __builtin_bit_cast(std::uint32_t, value);
    const std::uint32_t sign = (all >> 28) & 8U;
    const std::uint32_t bits = all & 0x7fffffffU;
    // Adding 2^22 puts units of 0.5 into the last place of an f32, so the addition rounds to nearest even.
    const std::uint32_t denormal =
        __builtin_bit_cast(std::uint32_t, __builtin_bit_cast(float, bits) + 0x1p22F) - (149U << 23);
    const std::uint32_t normal = (bits - (126U << 23) + 0x1fffffU + ((bits >> 22) & 1U)) >> 22;
    const std::uint32_t magnitude = bits < (127U << 23) ? denormal : normal;
    return static_cast<std::uint8_t>(sign | (magnitude > 7U ? 7U : magnitude));
}

}  // namespace argosy
