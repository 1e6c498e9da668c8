// fma_f32: a * b + c in f32 with a single rounding, as one instruction where there is one and in exact double
// arithmetic elsewhere.
//
// Without the instruction: the product of two f32 has at most 48 significant bits and is exact in double. Rounding
// product + c first to double and then to f32 could round twice: a double that falls just halfway between two f32 no
// longer tells on which side the true sum lay. So the sum is rounded to odd (Boldo and Melquiond 2008, "Emulation of a
// FMA and correctly rounded sums"): if it is not exact, of its two neighbouring doubles the one with odd last bit is
// taken. An odd double is never an f32 nor a halfway point, since those end in zero bits, and it lies on the same side
// of both as the true sum: the conversion then rounds as if from the true sum, also where the result is a denormal f32.
//
// Example: a = 1 + 2^-23, b = 1 - 2^-23, c = 2^-80. The true sum is 1 - 2^-46 + 2^-80. The nearest double is 1 - 2^-46
// with error +2^-80; its last bit is zero, so the neighbour upwards is taken.
#pragma once

#include <cstdint>

#include "kernels/base/inline.hpp"

namespace argosy {

// The way without the instruction; always compiled, so that tests can compare the two. No branches: it vectorises over
// a loop.
ARGOSY_INLINE float fma_f32_by_double(float a, float b, float c) {
    const double product = static_cast<double>(a) * static_cast<double>(b);  // exact
    const double addend = c;
    const double sum = product + addend;
    // Knuth's two-sum: sum + error == product + addend exactly. With infinities or NaN the error is NaN and both
    // comparisons fail.
    const double back = sum - product;
    const double error = (product - (sum - back)) + (addend - back);
    const std::int64_t bits = __builtin_bit_cast(std::int64_t, sum);
    const std::int64_t sign = bits >> 63;  // 0 or -1
    // Steps of the magnitude towards the true sum: +1 if the error points away from zero, -1 if towards it, 0 if the
    // sum is exact.
    std::int64_t step = static_cast<std::int64_t>(error > 0) - static_cast<std::int64_t>(error < 0);
    step = (step ^ sign) - sign;
    step &= (bits & 1) - 1;  // an odd sum stays
    return static_cast<float>(__builtin_bit_cast(double, bits + step));
}

ARGOSY_INLINE float fma_f32(float a, float b, float c) {
#if defined(__FMA__) || defined(__CUDA_ARCH__)
    return __builtin_fmaf(a, b, c);
#else
    return fma_f32_by_double(a, b, c);
#endif
}

}  // namespace argosy
