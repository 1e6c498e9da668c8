// int8 codes with one f32 scale per block: value = code * scale, codes within [-127, 127] (rule R9).
//
// A block is at most 128 adjacent columns of one row, counted from the first column of a leaf (of K where a product has
// no leaves). So a block never crosses a leaf, and whoever holds whole leaves makes the same codes as one rank alone.
// 127 * 127 * 128 is below 2^24: a block's sum of products of codes is exact in f32 too.
#pragma once

#include <cstdint>

#include "kernels/base/inline.hpp"

namespace argosy {

inline constexpr int kInt8Block = 128;

struct Int8Scale {
    float scale = 0;    // what a code of 1 stands for
    float inverse = 0;  // codes per unit
};

// From the largest magnitude of a block. Below 2^-100, where 127 / largest could overflow, a block counts as zeros.
ARGOSY_INLINE Int8Scale int8_scale(float largest) {
    if (!(largest >= 0x1p-100F)) return {};
    return {largest / 127.0F, 127.0F / largest};
}

// The same for values without sign, codes within [0, 255].
ARGOSY_INLINE Int8Scale uint8_scale(float largest) {
    if (!(largest >= 0x1p-100F)) return {};
    return {largest / 255.0F, 255.0F / largest};
}

// Adding 1.5 * 2^23 leaves the integer nearest to x * inverse, ties to even, in the low bits of the sum: its low byte
// is the code. |x * inverse| exceeds 127 by rounding only, so no code leaves [-127, 127].
inline constexpr float kInt8Shift = 0x1.8p23F;
ARGOSY_INLINE constexpr std::int8_t int8_code(float x, float inverse) {
    const float shifted = x * inverse + kInt8Shift;
    return static_cast<std::int8_t>(__builtin_bit_cast(std::uint32_t, shifted));
}

// Codes of `count` values; returns their scale.
ARGOSY_INLINE float int8_quantise(const float* x, int count, std::int8_t* code) {
    std::uint32_t largest = 0;  // magnitudes of floats are ordered as their bits
    for (int i = 0; i < count; ++i) {
        const std::uint32_t magnitude = __builtin_bit_cast(std::uint32_t, x[i]) & 0x7fffffffU;
        largest = magnitude > largest ? magnitude : largest;
    }
    const Int8Scale scale = int8_scale(__builtin_bit_cast(float, largest));
    for (int i = 0; i < count; ++i) code[i] = int8_code(x[i], scale.inverse);
    return scale.scale;
}

}  // namespace argosy
