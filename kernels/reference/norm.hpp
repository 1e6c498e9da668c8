// Root mean square norm of one row, shared by the norm op and the per-head norms of q and k.
#pragma once

#include <cmath>

#include "kernels/reference/row_sum.hpp"

namespace argosy::reference {

// x, weight, out: [n]; out may be x.
inline void rms_norm_row(const float* x, const float* weight, int n, float eps, float* out) {
    RowSum sum;
    for (int i = 0; i < n; ++i) sum.add_square(i, x[i]);
    const float r =
        1.0F / std::sqrt(sum.join() / static_cast<float>(n) + eps);  // sqrt is correctly rounded everywhere (IEEE 754)
    for (int i = 0; i < n; ++i) out[i] = (x[i] * r) * weight[i];
}

}  // namespace argosy::reference
