// Fills the rotary embedding's table with our own sine and cosine (rule R10).
#include "kernels/base/rope_table.hpp"

namespace argosy {

// angle = n * pi/2 + r with |r| <= pi/4. pi/2 is cut in three: the first two parts have 33 bits, so that their products
// with n are exact for n < 2^20 and the subtraction loses nothing. Polynomials: fdlibm's kernels (Sun Microsystems
// 1993).
SinCos sincos_f64(double angle) {
    constexpr double kMagic = 0x1.8p52;  // adding it rounds to an integer
    const double n = (angle * 6.36619772367581382433e-01 + kMagic) - kMagic;
    const double first = angle - n * 1.57079632673412561417e+00;
    const double r = (first - n * 6.07710050630396597660e-11) - n * 2.02226624879595063154e-21;

    const double z = r * r;
    double s = 1.58969099521155010221e-10;
    s = s * z - 2.50507602534068634195e-08;
    s = s * z + 2.75573137070700676789e-06;
    s = s * z - 1.98412698298579493134e-04;
    s = s * z + 8.33333333332248946124e-03;
    s = s * z - 1.66666666666666324348e-01;
    const double sine = r + r * z * s;
    double c = -1.13596475577881948265e-11;
    c = c * z + 2.08757232129817482790e-09;
    c = c * z - 2.75573143513906633035e-07;
    c = c * z + 2.48015872894767294178e-05;
    c = c * z - 1.38888888888741095749e-03;
    c = c * z + 4.16666666666666019037e-02;
    const double half = 0.5 * z;
    const double head = 1.0 - half;
    const double cosine = head + (((1.0 - head) - half) + z * z * c);

    switch (static_cast<std::int64_t>(n) & 3) {
        case 0:
            return {sine, cosine};
        case 1:
            return {cosine, -sine};
        case 2:
            return {-sine, -cosine};
        default:
            return {-cosine, sine};
    }
}

void rope_table(std::span<const float> inverse_frequency, std::int64_t positions, float* cos, float* sin,
                double amplitude) {
    for (std::int64_t position = 0; position < positions; ++position) {
        for (std::size_t i = 0; i < inverse_frequency.size(); ++i) {
            const float angle = static_cast<float>(position) * inverse_frequency[i];
            const SinCos value = sincos_f64(angle);
            *cos++ = static_cast<float>(value.cos * amplitude);
            *sin++ = static_cast<float>(value.sin * amplitude);
        }
    }
}

}  // namespace argosy
