// exp, log and silu in f32, written once as templates over the lane type (rule R10): one lane, 8 or 16 lanes run the
// same operations and give the same bits. What a lane type must offer stands in kernels/base/lanes.hpp, whose float is
// the model.
#pragma once

#include <cstdint>

#include "kernels/base/inline.hpp"
#include "kernels/base/lanes.hpp"

namespace argosy {

// e^x, within 1 ulp. Results below the smallest normal f32 are +0 (x < -87.33654, -inf included), x > 88.72283 gives
// +inf, NaN gives NaN.
//
// x = n ln2 + r with |r| <= ln2 / 2; e^r is a polynomial of degree 6 through Chebyshev nodes (relative error 8e-9); 2^n
// is added to the exponent. Adding 1.5 * 2^23 rounds x / ln2 to the integer n and leaves n in the low bits of t, where
// vscale_exponent takes it from.
template <class V>
ARGOSY_INLINE V exp_lanes(V x) {
    using L = Lanes<V>;
    const V magic = L::set(12582912.0F);
    const V t = vfma(x, L::set(0x1.715476p+0F), magic);
    const V n = vsub(t, magic);
    V r = vfma(n, L::set(-0x1.62e43p-1F), x);
    r = vfma(n, L::set(0x1.05c61p-29F), r);
    V p = L::set(0x1.6d1106p-10F);
    p = vfma(p, r, L::set(0x1.120b6cp-7F));
    p = vfma(p, r, L::set(0x1.55551ap-5F));
    p = vfma(p, r, L::set(0x1.5554dcp-3F));
    p = vfma(p, r, L::set(0.5F));
    p = vfma(p, r, L::set(1.0F));
    p = vfma(p, r, L::set(1.0F));
    const V in_range = vscale_exponent(p, t);
    const V above = vadd(x, L::set(__builtin_inff()));  // +inf, or NaN for NaN
    const V kept = vselect(vless_equal(x, L::set(0x1.62e42ep+6F)), in_range, above);
    return vselect(vless(x, L::set(-0x1.5d589ep+6F)), L::set(0.0F), kept);
}

// Natural logarithm of a positive normal f32, within 1 ulp. Nothing is promised for other arguments.
//
// x = 2^e (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)); log(1 + f) = f - f^2/2 + s (f^2/2 + R(s^2)) with s = f / (2 + f),
// the form and the coefficients of FreeBSD's e_logf.c (Sun Microsystems 1993). ln2 is cut so that e * high is exact.
template <class V>
ARGOSY_INLINE V log_lanes(V x) {
    using L = Lanes<V>;
    constexpr std::int32_t kSqrtHalf = 0x3f3504f3;
    const V e = vexponent(x, kSqrtHalf);
    const V f = vsub(vmantissa(x, kSqrtHalf), L::set(1.0F));
    const V s = vdiv(f, vadd(L::set(2.0F), f));
    const V z = vmul(s, s);
    V series = L::set(0x1.f13c4cp-3F);
    series = vfma(series, z, L::set(0x1.23d3dcp-2F));
    series = vfma(series, z, L::set(0x1.999c26p-2F));
    series = vfma(series, z, L::set(0x1.555554p-1F));
    const V half_square = vmul(vmul(L::set(0.5F), f), f);
    const V tail = vfma(s, vfma(series, z, half_square), vmul(e, L::set(0x1.2fefa2p-17F)));
    return vfma(e, L::set(0x1.62e3p-1F), vsub(f, vsub(half_square, tail)));
}

// 1 / (1 + e^-x).
template <class V>
ARGOSY_INLINE V sigmoid_lanes(V x) {
    using L = Lanes<V>;
    return vdiv(L::set(1.0F), vadd(L::set(1.0F), exp_lanes(vsub(L::set(0.0F), x))));
}

// x / (1 + e^-x).
template <class V>
ARGOSY_INLINE V silu_lanes(V x) {
    using L = Lanes<V>;
    const V negated = vsub(L::set(0.0F), x);
    return vdiv(x, vadd(L::set(1.0F), exp_lanes(negated)));
}

// gpt-oss's gate: g = min(gate, limit), u = up within [-limit, limit]: (g * sigmoid(1.702 g)) * (u + 1).
template <class V>
ARGOSY_INLINE V clamped_swiglu_lanes(V gate, V up, V limit) {
    using L = Lanes<V>;
    const V g = vmin(gate, limit);
    const V u = vmin(vmax(up, vsub(L::set(0.0F), limit)), limit);
    return vmul(vmul(g, sigmoid_lanes(vmul(L::set(1.702F), g))), vadd(u, L::set(1.0F)));
}

}  // namespace argosy
