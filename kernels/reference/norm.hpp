// Root mean square norm of one row, shared by the norm op and the per-head norms of q and k.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/reference/row_sum.hpp"

namespace argosy::reference {

inline float sum_of_squares(const float* x, std::int64_t n) {
    RowSum sum;
    for (std::int64_t i = 0; i < n; ++i) sum.add_square(static_cast<int>(i % 16), x[i]);
    return sum.join();
}

// x, weight, out: [n]; out may be x. `squares`: the sum of squares of the `width` values whose part they are.
inline void scale_by_rms(const float* x, const float* weight, std::int64_t n, float squares, std::int64_t width,
                         float eps, float* out) {
    const float r =
        1.0F / std::sqrt(squares / static_cast<float>(width) + eps);  // sqrt is correctly rounded everywhere (IEEE 754)
    for (std::int64_t i = 0; i < n; ++i) out[i] = (x[i] * r) * weight[i];
}

inline void rms_norm_row(const float* x, const float* weight, int n, float eps, float* out) {
    scale_by_rms(x, weight, n, sum_of_squares(x, n), n, eps, out);
}

}  // namespace argosy::reference
