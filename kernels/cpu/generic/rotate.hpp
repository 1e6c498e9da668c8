// The rotary embedding of one head: its halves turn against each other.
#pragma once

#include <cstdint>

#include "kernels/base/inline.hpp"

namespace argosy {

// 16 pairs (or `width`) of a rotation in place: a' = a cos - b sin, b' = b cos + a sin, as numerics.md rounds them.
template <class V>
[[gnu::always_inline]] static inline void rotate_pairs(float* first, float* second, const float* cosine,
                                                       const float* sine, int width) {
    const bool whole = width == 16;
    const V a = whole ? V::load(first) : V::load_first(first, width);
    const V b = whole ? V::load(second) : V::load_first(second, width);
    const V c = whole ? V::load(cosine) : V::load_first(cosine, width);
    const V s = whole ? V::load(sine) : V::load_first(sine, width);
    const V minus_s = vmul(s, V::set(-1.0F));  // only turns the sign, of a zero too
    const V rotated_a = vfma(a, c, vmul(b, minus_s));
    const V rotated_b = vfma(b, c, vmul(a, s));
    if (whole) {
        rotated_a.store(first);
        rotated_b.store(second);
    } else {
        rotated_a.store_first(first, width);
        rotated_b.store_first(second, width);
    }
}

// All pairs (i, half + i) of x.
template <class V>
static void rotate_halves(float* x, int half, const float* cosine, const float* sine) {
    for (int i = 0; i < half; i += 16)
        rotate_pairs<V>(x + i, x + half + i, cosine + i, sine + i, half - i < 16 ? half - i : 16);
}

}  // namespace argosy
