// Sums and norms along one row, by rule R6: element i belongs to lane i mod 16, lanes sum in order, then join with
// strides 8, 4, 2, 1. Lanes past the end of a row add nothing: +0 to a sum of squares or of exponentials changes no
// bit.
#pragma once

#include <cstdint>

#include "kernels/base/elementary.hpp"
#include "kernels/base/inline.hpp"

namespace argosy {

template <class V>
[[gnu::always_inline]] static inline float sum_of_squares(const float* x, std::int64_t n) {
    V sum = V::zero();
    std::int64_t i = 0;
    for (; i + 16 <= n; i += 16) {
        const V value = V::load(x + i);
        sum = vfma(value, value, sum);
    }
    if (i < n) {
        const V value = V::load_first(x + i, static_cast<int>(n - i));
        sum = vfma(value, value, sum);
    }
    return sum_lanes(sum);
}

// 1 / sqrt(mean + eps) of n values with that sum of squares.
ARGOSY_INLINE float inverse_rms(float squares, std::int64_t n, float eps) {
    return 1.0F / __builtin_sqrtf(squares / static_cast<float>(n) + eps);
}

// out = (x * scale) * weight; out may be x.
template <class V>
[[gnu::always_inline]] static inline void scale_row(const float* x, float scale, const float* weight, int n,
                                                    float* out) {
    const V scales = V::set(scale);
    int i = 0;
    for (; i + 16 <= n; i += 16) vmul(vmul(V::load(x + i), scales), V::load(weight + i)).store(out + i);
    if (i < n)
        vmul(vmul(V::load_first(x + i, n - i), scales), V::load_first(weight + i, n - i)).store_first(out + i, n - i);
}

// out = x / rms * weight; out may be x.
template <class V>
[[gnu::always_inline]] static inline void rms_norm_row(const float* x, const float* weight, int n, float eps,
                                                       float* out) {
    scale_row<V>(x, inverse_rms(sum_of_squares<V>(x, n), n, eps), weight, n, out);
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
