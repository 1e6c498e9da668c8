// The router: logits, scores, the best groups of experts, the best experts in them, their weights.
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

// A row's scores from its logits, in place. A NaN loses against every score.
template <class V>
static void score_row(RouterScoring scoring, int n, float* x) {
    if (scoring == RouterScoring::softmax) return softmax_row<V>(x, n, x);
    const auto score = [&](V value) {
        if (scoring == RouterScoring::chosen_softmax) return vmax(value, V::set(-__FLT_MAX__));
        const V p = sigmoid_lanes(value);
        return vselect(vless_equal(V::zero(), p), p, V::zero());
    };
    int i = 0;
    for (; i + 16 <= n; i += 16) score(V::load(x + i)).store(x + i);
    if (i < n) score(V::load_first(x + i, n - i)).store_first(x + i, n - i);
}

// What a group of n experts is worth: its best, or the sum of its two best. The best is marked and put back.
template <class V>
static float group_worth(float* choice, int n, int best) {
    const int first = first_of_largest<V>(choice, n);
    const float largest = choice[first];
    if (best == 1) return largest;
    choice[first] = -__builtin_inff();
    const float second = max_row<V>(choice, n);
    choice[first] = largest;
    return largest + second;
}

inline constexpr int kRouterGroupsMax = 256;

// Experts outside the best groups fall below every score.
template <class V>
static void keep_best_groups(const RoutingRule& rule, int experts, float* choice) {
    if (rule.groups_kept >= rule.groups) return;
    const int size = experts / rule.groups;
    float worth[kRouterGroupsMax];
    bool kept[kRouterGroupsMax] = {};
    for (int g = 0; g < rule.groups; ++g) worth[g] = group_worth<V>(choice + g * size, size, rule.group_best);
    for (int i = 0; i < rule.groups_kept; ++i) {
        const int g = first_of_largest<V>(worth, rule.groups);
        kept[g] = true;
        worth[g] = -__builtin_inff();
    }
    for (int g = 0; g < rule.groups; ++g) {
        for (int e = 0; e < size && !kept[g]; ++e) choice[g * size + e] = -__builtin_inff();
    }
}

// weights [top_k]: from the chosen scores, best first, to what multiplies the experts.
ARGOSY_INLINE void weigh_chosen(const RoutingRule& rule, int top_k, float* weights) {
    const bool softmax = rule.scoring == RouterScoring::chosen_softmax;
    const float first = weights[0];
    float sum = 0;
    for (int j = 0; j < top_k; ++j) {
        if (softmax) weights[j] = exp_lanes(weights[j] - first);
        sum = j == 0 ? weights[j] : sum + weights[j];
    }
    const bool divide = rule.renormalise || softmax;
    for (int j = 0; j < top_k; ++j) weights[j] = (divide ? weights[j] / (sum + 1e-20F) : weights[j]) * rule.scale;
}

// x [experts]: a row's logits; choice [experts]: scratch.
template <class V>
static void route_row(const RouteArgs& args, int row, float* x, float* choice) {
    std::int32_t* ids = args.ids + static_cast<std::int64_t>(row) * args.top_k;
    float* weights = args.weights + static_cast<std::int64_t>(row) * args.top_k;
    for (int e = 0; e < args.experts && args.bias != nullptr; ++e) x[e] += args.bias[e];
    score_row<V>(args.rule.scoring, args.experts, x);
    for (int e = 0; e < args.experts; ++e) choice[e] = args.choice_bias != nullptr ? x[e] + args.choice_bias[e] : x[e];
    keep_best_groups<V>(args.rule, args.experts, choice);
    for (int i = 0; i < args.top_k; ++i) {
        ids[i] = first_of_largest<V>(choice, args.experts);
        weights[i] = x[ids[i]];
        choice[ids[i]] = -__builtin_inff();  // taken
    }
    weigh_chosen(args.rule, args.top_k, weights);
}

template <class V>
static void route_op(const RouteArgs& args, const Stream& stream) {
    const std::int64_t stride = std::int64_t{2} * args.experts;
    run_plain_product<V>(args.weight, args.rows, args.x, args.scratch, stride, stream);
    parallel_rows(stream, args.rows, 16384 / (16 * args.experts + 1) + 1, [&](int begin, int end) {
        for (int row = begin; row < end; ++row) {
            float* x = args.scratch + row * stride;
            route_row<V>(args, row, x, x + args.experts);
        }
    });
}

}  // namespace argosy
