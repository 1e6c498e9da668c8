// f16: IEEE 754 half precision (1 sign, 5 exponent, 10 mantissa bits), denormals included.
#pragma once

#include <cstdint>

#include "kernels/base/inline.hpp"

namespace argosy {

// Exact; every f16 is an f32.
ARGOSY_INLINE float decode_f16(std::uint16_t code) {
    const std::uint32_t sign = static_cast<std::uint32_t>(code & 0x8000U) << 16;
    const std::uint32_t magnitude = static_cast<std::uint32_t>(code & 0x7fffU) << 13;
    const std::uint32_t exponent = magnitude & 0x0f800000U;
    // A denormal m * 2^-24 is (2^-14 + m * 2^-24) - 2^-14, and both sides of the subtraction are normal f32.
    const float denormal = __builtin_bit_cast(float, magnitude + (113U << 23)) - 0x1p-14F;
    const std::uint32_t normal =
        magnitude + (exponent == 0x0f800000U ? 224U << 23 : 112U << 23);  // infinity and NaN keep all ones
    const std::uint32_t bits = exponent == 0 ? __builtin_bit_cast(std::uint32_t, denormal) : normal;
    return __builtin_bit_cast(float, bits | sign);
}

// To nearest even; 65520 and beyond to infinity; NaN stays NaN (made quiet, sign and upper payload kept).
ARGOSY_INLINE std::uint16_t encode_f16(float value) {
    const std::uint32_t all = __builtin_bit_cast(std::uint32_t, value);
    const std::uint32_t sign = (all >> 16) & 0x8000U;
    const std::uint32_t bits = all & 0x7fffffffU;
    const std::uint32_t special = bits > 0x7f800000U ? 0x7e00U | ((bits >> 13) & 0x3ffU) : 0x7c00U;
    // Adding 0.5 puts units of 2^-24 into the last place of an f32, so the addition itself rounds a denormal to nearest
    // even.
    const std::uint32_t denormal =
        __builtin_bit_cast(std::uint32_t, __builtin_bit_cast(float, bits) + 0.5F) - 0x3f000000U;
    const std::uint32_t normal = (bits - (112U << 23) + 0xfffU + ((bits >> 13) & 1U)) >> 13;
    const std::uint32_t magnitude = bits >= (143U << 23) ? special : bits < (113U << 23) ? denormal : normal;
    return static_cast<std::uint16_t>(sign | magnitude);
}

}  // namespace argosy
