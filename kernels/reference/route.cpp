// The router: logits, scores, the best groups of experts, the best experts in them, their weights.
#include <algorithm>
#include <numeric>
#include <vector>

#include "kernels/base/elementary.hpp"
#include "kernels/reference/matrix.hpp"
#include "kernels/reference/reference_ops.hpp"
#include "kernels/reference/row_sum.hpp"

namespace argosy::reference {
namespace {

using Scores = std::vector<float>;

// A NaN loses against every score.
float ordered(float value, float least) { return value == value ? value : least; }

// Scores by softmax, or by sigmoid; or the logits themselves.
Scores scores_of(const Scores& logits, RouterScoring scoring) {
    Scores p = logits;
    if (scoring == RouterScoring::chosen_softmax) {
        for (float& value : p) value = ordered(vmax(value, -__FLT_MAX__), -__FLT_MAX__);
        return p;
    }
    if (scoring == RouterScoring::sigmoid) {
        for (float& value : p) value = ordered(sigmoid_lanes(value), 0);
        return p;
    }
    const float max = *std::max_element(logits.begin(), logits.end());
    RowSum sum;
    for (std::size_t e = 0; e < p.size(); ++e) {
        p[e] = exp_lanes(logits[e] - max);
        sum.add(static_cast<int>(e), p[e]);
    }
    const float whole = sum.join();
    for (float& value : p) value = ordered(value / whole, 0);
    return p;
}

// Positions by falling value, ties by position.
std::vector<int> by_falling(const Scores& values) {
    std::vector<int> order(values.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return values[a] > values[b]; });
    return order;
}

// Whether each expert's group is among those kept.
std::vector<bool> kept_experts(const Scores& choice, const RoutingRule& rule) {
    const std::size_t size = choice.size() / static_cast<std::size_t>(rule.groups);
    Scores worth;
    for (int g = 0; g < rule.groups; ++g) {
        Scores group(choice.begin() + g * static_cast<std::ptrdiff_t>(size),
                     choice.begin() + (g + 1) * static_cast<std::ptrdiff_t>(size));
        std::sort(group.rbegin(), group.rend());
        worth.push_back(rule.group_best == 2 ? group[0] + group[1] : group[0]);
    }
    const std::vector<int> order = by_falling(worth);
    std::vector<bool> kept(choice.size());
    for (int i = 0; i < rule.groups_kept; ++i) {
        for (std::size_t e = 0; e < size; ++e) kept[static_cast<std::size_t>(order[i]) * size + e] = true;
    }
    return kept;
}

// weights [top_k] from the chosen scores.
void weigh(const RoutingRule& rule, int top_k, float* weights) {
    const float first = weights[0];
    float sum = 0;
    for (int j = 0; j < top_k; ++j) {
        if (rule.scoring == RouterScoring::chosen_softmax) weights[j] = exp_lanes(weights[j] - first);
        sum = j == 0 ? weights[j] : sum + weights[j];
    }
    const bool divide = rule.renormalise || rule.scoring == RouterScoring::chosen_softmax;
    for (int j = 0; j < top_k; ++j) weights[j] = (divide ? weights[j] / (sum + 1e-20F) : weights[j]) * rule.scale;
}

}  // namespace

void route(const RouteArgs& args, const Stream&) {
    const std::int64_t k = args.weight.spec.k;
    Scores logits(static_cast<std::size_t>(args.experts));
    for (std::int64_t row = 0; row < args.rows; ++row) {
        for (int e = 0; e < args.experts; ++e) {
            logits[e] = chain(args.weight, e, args.x + row * k, 0, k);
            if (args.bias != nullptr) logits[e] += args.bias[e];
        }
        const Scores p = scores_of(logits, args.rule.scoring);
        Scores choice = p;
        for (int e = 0; e < args.experts && args.choice_bias != nullptr; ++e) choice[e] += args.choice_bias[e];
        const std::vector<bool> kept = kept_experts(choice, args.rule);
        for (int e = 0; e < args.experts; ++e) {
            if (!kept[e]) choice[e] = -__builtin_inff();
        }
        const std::vector<int> order = by_falling(choice);
        for (int j = 0; j < args.top_k; ++j) {
            args.ids[row * args.top_k + j] = order[j];
            args.weights[row * args.top_k + j] = p[order[j]];
        }
        weigh(args.rule, args.top_k, args.weights + row * args.top_k);
    }
}

}  // namespace argosy::reference
