// The router: logits, softmax over all experts, the top_k largest probabilities.
#pragma once

#include <cstdint>

#include "kernels/cpu/generic/product.hpp"
#include "kernels/cpu/generic/row_math.hpp"
#include "kernels/ops.hpp"

namespace argosy {

// p = exp(x - max) / sum; p may be x. A NaN counts as 0, so that it loses against every probability.
template <class V>
static void softmax_row(const float* x, int n, float* out) {
    const V most = V::set(max_row<V>(x, n));
    V sum = V::zero();
    int i = 0;
    for (; i + 16 <= n; i += 16) {
        const V p = exp_lanes(vsub(V::load(x + i), most));
        sum = vadd(sum, p);
        p.store(out + i);
    }
    if (i < n) {
        const V p = vselect(V::first(n - i), exp_lanes(vsub(V::load_first(x + i, n - i), most)), V::zero());
        sum = vadd(sum, p);
        p.store_first(out + i, n - i);
    }
    const V total = V::set(sum_lanes(sum));
    const auto share = [&](V p) {
        const V value = vdiv(p, total);
        return vselect(vless_equal(V::zero(), value), value, V::zero());
    };
    for (i = 0; i + 16 <= n; i += 16) share(V::load(out + i)).store(out + i);
    if (i < n) share(V::load_first(out + i, n - i)).store_first(out + i, n - i);
}

// First position of the largest value.
template <class V>
static int first_of_largest(const float* x, int n) {
    const float most = max_row<V>(x, n);
    int i = 0;
    while (i + 1 < n && x[i] != most) ++i;
    return i;
}

// Experts whose probabilities find room on the stack; with more, they take the place of the logits.
inline constexpr int kExpertsOnStack = 4096;

template <class V>
static void route_row(const RouteArgs& args, int row) {
    float* logits = args.logits + static_cast<std::int64_t>(row) * args.experts;
    float on_stack[kExpertsOnStack];
    float* p = args.experts <= kExpertsOnStack ? on_stack : logits;
    std::int32_t* ids = args.ids + static_cast<std::int64_t>(row) * args.top_k;
    float* weights = args.weights + static_cast<std::int64_t>(row) * args.top_k;
    softmax_row<V>(logits, args.experts, p);
    float sum = 0;
    for (int i = 0; i < args.top_k; ++i) {
        ids[i] = first_of_largest<V>(p, args.experts);
        weights[i] = p[ids[i]];
        p[ids[i]] = -1.0F;  // below every probability: taken
        sum = i == 0 ? weights[i] : sum + weights[i];
    }
    if (!args.renormalise) return;
    for (int i = 0; i < args.top_k; ++i) weights[i] /= sum;
}

template <class V>
static void route_op(const RouteArgs& args, const Stream& stream) {
    run_plain_product<V>(args.weight, args.rows, args.x, args.logits, args.experts, stream);
    parallel_rows(stream, args.rows, 16384 / (16 * args.experts + 1) + 1, [&](int begin, int end) {
        for (int row = begin; row < end; ++row) route_row<V>(args, row);
    });
}

}  // namespace argosy
