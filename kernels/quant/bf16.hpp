// bf16: the upper half of an f32 (1 sign, 8 exponent, 7 mantissa bits).
#pragma once

#include <cstdint>

#include "kernels/base/inline.hpp"

namespace argosy {

// Columns whose products are summed before they join the chain, counted from the first column of a leaf (rule R12).
inline constexpr int kTileColumns = 32;

// Exact.
ARGOSY_INLINE float decode_bf16(std::uint16_t code) {
    return __builtin_bit_cast(float, static_cast<std::uint32_t>(code) << 16);
}

// To nearest even; beyond the largest bf16 to infinity; NaN stays NaN (made quiet, sign and upper payload kept).
ARGOSY_INLINE std::uint16_t encode_bf16(float value) {
    const std::uint32_t bits = __builtin_bit_cast(std::uint32_t, value);
    const std::uint32_t rounded = (bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16;
    const std::uint32_t quiet = (bits >> 16) | 0x40U;
    return static_cast<std::uint16_t>((bits & 0x7fffffffU) > 0x7f800000U ? quiet : rounded);
}

// As products take it (rules R11 and R12): a value too small for a normal f32 is a zero of its sign.
ARGOSY_INLINE std::uint16_t encode_bf16_pairs(float value) {
    const std::uint32_t bits = __builtin_bit_cast(std::uint32_t, value);
    return (bits & 0x7f800000U) == 0 ? static_cast<std::uint16_t>(bits >> 16 & 0x8000U) : encode_bf16(value);
}

}  // namespace argosy
