// Sums and norms along one row, by rule R6: element i belongs to lane i mod 16, lanes sum in order, then join with
// strides 8, 4, 2, 1. Lanes past the end of a row add nothing: +0 to a sum of squares or of exponentials changes no
// bit.
#pragma once

#include <cstdint>

#include "kernels/base/elementary.hpp"
#include "kernels/base/inline.hpp"

namespace argosy {

// 1 / sqrt(mean(x^2) + eps).
template <class V>
[[gnu::always_inline]] static inline float inverse_rms(const float* x, int n, float eps) {
    V sum = V::zero();
    int i = 0;
    for (; i + 16 <= n; i += 16) {
        const V value = V::load(x + i);
        sum = vfma(value, value, sum);
    }
    if (i < n) {
        const V value = V::load_first(x + i, n - i);
        sum = vfma(value, value, sum);
    }
    return 1.0F / __builtin_sqrtf(sum_lanes(sum) / static_cast<float>(n) + eps);
}

// out = x / rms * weight; out may be x.
template <class V>
[[gnu::always_inline]] static inline void rms_norm_row(const float* x, const float* weight, int n, float eps,
                                                       float* out) {
    const V scale = V::set(inverse_rms<V>(x, n, eps));
    int i = 0;
    for (; i + 16 <= n; i += 16) vmul(vmul(V::load(x + i), scale), V::load(weight + i)).store(out + i);
    if (i < n)
        vmul(vmul(V::load_first(x + i, n - i), scale), V::load_first(weight + i, n - i)).store_first(out + i, n - i);
}

template <class V>
[[gnu::always_inline]] static inline float max_row(const float* x, int n) {
    V most = V::set(-__builtin_inff());
    int i = 0;
    for (; i + 16 <= n; i += 16) most = vmax(V::load(x + i), most);
    if (i < n) most = vselect(V::first(n - i), vmax(V::load_first(x + i, n - i), most), most);
    return max_lanes(most);
}

}  // namespace argosy
