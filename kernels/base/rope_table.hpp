// The table of the rotary embedding: cosine and sine of position * inverse_frequency, the same bits on every machine.
#pragma once

#include <cstdint>
#include <span>

namespace argosy {

// Sine and cosine by our own reduction and polynomials, in plain double multiplications and additions. Relative error
// below 1e-15 for |angle| up to 1e6.
struct SinCos {
    double sin = 0;
    double cos = 0;
};
SinCos sincos_f64(double angle);

// For every position p in [0, positions) and every pair i: the angle is the f32 product p * inverse_frequency[i], as
// the models' authors compute it; its cosine and sine are taken in double, multiplied by `amplitude` and rounded to
// f32. cos, sin: [positions, inverse_frequency.size()]
void rope_table(std::span<const float> inverse_frequency, std::int64_t positions, float* cos, float* sin,
                double amplitude = 1);

}  // namespace argosy
