// The reference against the formulas themselves in f64: it is the judge of the fast backends, so it is judged here.
#include <cmath>

#include "kernels/base/elementary.hpp"
#include "kernels/reference/kv_block.hpp"
#include "kernels/reference/matrix.hpp"
#include "kernels/reference/row_sum.hpp"
#include "tests/kernels/kv_case.hpp"

namespace argosy::test {
namespace {

using Doubles = std::vector<double>;

double dot(const float* a, const float* b, std::int64_t n) {
    double sum = 0;
    for (std::int64_t i = 0; i < n; ++i) sum += static_cast<double>(a[i]) * b[i];
    return sum;
}

// Values are of about unit size; f32 chains over some hundred terms stay well within.
void require_close(double value, double truth, double tolerance = 2e-5) {
    REQUIRE(std::fabs(value - truth) <= tolerance * (1 + std::fabs(truth)));
}

TEST_CASE("reference: RMS norm") {
    for (const int n : {1, 5, 16, 77, 1000}) {
        const Floats x = Random(31).reals(static_cast<std::size_t>(3 * n), -2, 2);
        const Floats weight = Random(32).reals(static_cast<std::size_t>(n), 0.5F, 2);
        Floats out(x.size());
        reference_ops().rms_norm({3, n, x.data(), weight.data(), 1e-3F, out.data()}, {});
        for (int row = 0; row < 3; ++row) {
            const double r = 1 / std::sqrt(dot(&x[row * n], &x[row * n], n) / n + 1e-3);
            for (int i = 0; i < n; ++i) require_close(out[row * n + i], x[row * n + i] * r * weight[i], 1e-6);
        }
    }
}

TEST_CASE("reference: logits, leaf projection and gated activation") {
    const int rows = 7;
    for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) {
        const DType kept = dtype == DType::f16 ? DType::f32 : dtype;
        for (const auto& [n, k] : {std::pair{1, 1}, {9, 24}, {31, 150}}) {
            const Stored a = random_weights(33, n, k, dtype), b = random_weights(34, n, k, dtype);
            const Floats x = Random(35).reals(static_cast<std::size_t>(rows * k));
            const Packed plain = pack(reference_ops(), {n, k, kept, {}}, a, k),
                         up = pack(reference_ops(), {n, k, kept, {}}, b, k);
            const Packed leaves = pack(reference_ops(), {n, k, kept, leaf_share(k, 1, 0, 1).cut}, a, k);
            Floats out(static_cast<std::size_t>(rows * n)), sums(out.size()), h(out.size());
            const std::vector<std::int32_t> begin{0, rows};
            reference_ops().logits({rows, x.data(), plain.matrix, out.data(), n}, {});
            reference_ops().leaf_projection({1, begin.data(), &leaves.matrix, x.data(), sums.data()}, {});
            reference_ops().gate_up({1, begin.data(), nullptr, &plain.matrix, &up.matrix, x.data(), h.data()}, {});
            const Biases bias(39, 2, n);
            Floats biased_sums(sums.size()), clamped(h.size());
            reference_ops().leaf_projection({.groups = 1,
                                             .group_begin = begin.data(),
                                             .weight = &leaves.matrix,
                                             .x = x.data(),
                                             .out = biased_sums.data(),
                                             .bias = bias.pointers.data()},
                                            {});
            reference_ops().gate_up({.groups = 1,
                                     .group_begin = begin.data(),
                                     .gate = &plain.matrix,
                                     .up = &up.matrix,
                                     .x = x.data(),
                                     .h = clamped.data(),
                                     .gate_bias = bias.pointers.data(),
                                     .up_bias = bias.pointers.data() + 1,
                                     .swiglu_limit = 1.5F},
                                    {});
            for (int row = 0; row < rows; ++row) {
                for (int i = 0; i < n; ++i) {
                    const double gate = dot(&x[row * k], &a.values[i * k], k);
                    require_close(out[row * n + i], gate);
                    require_close(sums[row * n + i], gate);
                    const double linear = dot(&x[row * k], &b.values[i * k], k);
                    require_close(h[row * n + i], gate / (1 + std::exp(-gate)) * linear);
                    require_close(biased_sums[row * n + i], gate + bias.values[0][i]);
                    const double g = std::min(gate + bias.values[0][i], 1.5);
                    const double u = std::clamp(linear + bias.values[1][i], -1.5, 1.5);
                    require_close(clamped[row * n + i], g / (1 + std::exp(-1.702 * g)) * (u + 1));
                }
            }
        }
    }
}

TEST_CASE("reference: a product is one chain, a leaf product is the tree of its leaves") {
    // 1 + 2^-24 rounds to 1 each time when 1 comes first, but two leaves of 2^-24 join before they meet 1's pair.
    const Floats x(8, 1.0F);
    const Stored weights =
        stored({1.0F, 0x1p-24F, 0x1p-24F, 0x1p-24F, 0x1p-24F, 0x1p-24F, 0x1p-24F, 0x1p-24F}, DType::f32);
    const Packed plain = pack(reference_ops(), {1, 8, DType::f32, {}}, weights, 8);
    const Packed leaves = pack(reference_ops(), {1, 8, DType::f32, leaf_share(8, 1, 0, 1).cut}, weights, 8);
    float chain = 0, tree = 0;
    const std::int32_t begin[] = {0, 1};
    reference_ops().logits({1, x.data(), plain.matrix, &chain, 1}, {});
    reference_ops().leaf_projection({1, begin, &leaves.matrix, x.data(), &tree}, {});
    REQUIRE(chain == 1.0F);
    // ((1 + e) + (e + e)) + ((e + e) + (e + e)) = (1 + 2e) + 4e with e = 2^-24.
    REQUIRE(tree == 1.0F + 3 * 0x1p-23F);
}

TEST_CASE("reference: rule R6's sum has 16 lanes and strides 8, 4, 2, 1") {
    // Element 0 is 1, elements 1 and 17 share a lane, 8 joins lane 0 first: 1 + 2^-24 is lost there, while (2^-24 +
    // 2^-24) of lane 1 is not.
    reference::RowSum sum;
    for (const int i : {0, 1, 8, 17}) sum.add(i, i == 0 ? 1.0F : 0x1p-24F);
    REQUIRE(sum.join() == 1.0F + 0x1p-23F);
    reference::RowSum other;
    for (const int i : {0, 8, 16, 24}) other.add(i, i == 0 ? 1.0F : 0x1p-24F);
    REQUIRE(other.join() == 1.0F + 0x1p-23F);  // lane 0: 1 + e = 1; lane 8: e + e; 1 + 2e
}

// A router's choice and weights by definition: ids in the order of the choice, then weights.
std::vector<std::pair<int, double>> route_by_definition(const RoutingRule& rule, int top_k, const Doubles& logits,
                                                        const Floats& choice_bias) {
    const int experts = static_cast<int>(logits.size());
    Doubles score(logits), choice;
    double sum = 0;
    for (const double x : logits) sum += std::exp(x);
    for (double& x : score) {
        if (rule.scoring == RouterScoring::softmax) x = std::exp(x) / sum;
        if (rule.scoring == RouterScoring::sigmoid) x = 1 / (1 + std::exp(-x));
    }
    for (int e = 0; e < experts; ++e) choice.push_back(score[e] + (choice_bias.empty() ? 0 : choice_bias[e]));
    const int size = experts / rule.groups;
    std::vector<std::pair<double, int>> groups;
    for (int g = 0; g < rule.groups; ++g) {
        Doubles of_group(choice.begin() + g * size, choice.begin() + (g + 1) * size);
        std::sort(of_group.rbegin(), of_group.rend());
        groups.push_back({-(of_group[0] + (rule.group_best == 2 ? of_group[1] : 0)), g});
    }
    std::sort(groups.begin(), groups.end());
    std::vector<std::pair<double, int>> order;
    for (int i = 0; i < rule.groups_kept; ++i) {
        for (int e = 0; e < size; ++e)
            order.push_back({-choice[groups[i].second * size + e], groups[i].second * size + e});
    }
    std::sort(order.begin(), order.end());
    std::vector<std::pair<int, double>> chosen;
    double chosen_sum = 0;
    for (int j = 0; j < top_k; ++j) {
        const double p = score[order[j].second];
        chosen.push_back({order[j].second, rule.scoring == RouterScoring::chosen_softmax ? std::exp(p) : p});
        chosen_sum += chosen.back().second;
    }
    const bool divide = rule.renormalise || rule.scoring == RouterScoring::chosen_softmax;
    for (auto& [id, weight] : chosen) weight *= rule.scale / (divide ? chosen_sum : 1);
    return chosen;
}

TEST_CASE("reference: router") {
    using enum RouterScoring;
    struct Case {
        int experts, top_k;
        RoutingRule rule;
        bool bias = false, choice_bias = false;
    };
    const Case cases[] = {
        {4, 2, {}},
        {60, 4, {.renormalise = true}},
        {128, 8, {.scale = 3}},
        {32, 4, {.scoring = chosen_softmax}, true},
        {160, 6, {.groups = 8, .groups_kept = 3, .scale = 16}},
        {256, 8, {sigmoid, true, 8, 4, 2, 2.5F}, false, true},
        {64, 8, {.scoring = sigmoid, .renormalise = true, .scale = 2.827F}, false, true},
    };
    for (const Case& c : cases) {
        const int k = 40, rows = 20;
        const Stored weights = random_weights(36, c.experts, k, DType::f32);
        const Floats x = Random(37).reals(static_cast<std::size_t>(rows * k));
        const Floats bias = Random(38).reals(static_cast<std::size_t>(c.experts), -1, 1);
        const Packed packed = pack(reference_ops(), {c.experts, k, DType::f32, {}}, weights, k);
        Floats scratch(static_cast<std::size_t>(rows * 2 * c.experts)),
            weight(static_cast<std::size_t>(rows * c.top_k));
        std::vector<std::int32_t> ids(weight.size());
        reference_ops().route({.rows = rows,
                               .experts = c.experts,
                               .top_k = c.top_k,
                               .rule = c.rule,
                               .x = x.data(),
                               .weight = packed.matrix,
                               .bias = c.bias ? bias.data() : nullptr,
                               .choice_bias = c.choice_bias ? bias.data() : nullptr,
                               .scratch = scratch.data(),
                               .ids = ids.data(),
                               .weights = weight.data()},
                              {});
        for (int row = 0; row < rows; ++row) {
            INFO(c.experts << " experts, row " << row);
            Doubles logits;
            for (int e = 0; e < c.experts; ++e)
                logits.push_back(dot(&x[row * k], &weights.values[e * k], k) + (c.bias ? bias[e] : 0));
            const auto wanted = route_by_definition(c.rule, c.top_k, logits, c.choice_bias ? bias : Floats());
            for (int j = 0; j < c.top_k; ++j) {
                REQUIRE(ids[row * c.top_k + j] == wanted[j].first);
                require_close(weight[row * c.top_k + j], wanted[j].second, 1e-5);
            }
        }
    }
}

// q, k, v of one token by definition; [columns].
Doubles qkv_by_definition(const KvCase& shape, const KvInputs& in, int token) {
    Doubles out;
    for (int i = 0; i < shape.columns(); ++i) {
        out.push_back(dot(&in.x[token * shape.hidden], &in.weights.values[i * shape.hidden], shape.hidden) +
                      (shape.bias ? in.bias[i] : 0));
        if (shape.wide) out.back() = std::clamp(out.back(), -0.75, 0.75);
    }
    const auto norm = [&](int first, int count, const Floats& weight, double eps) {
        double sum = 0;
        for (int d = 0; d < count; ++d) sum += out[first + d] * out[first + d];
        for (int d = 0; d < count; ++d) out[first + d] *= weight[d] / std::sqrt(sum / count + eps);
    };
    if (shape.wide) {
        norm(0, shape.q_columns(), in.q_norm, 1e-6);
        norm(shape.q_columns(), shape.kv_heads * shape.head_dim, in.k_norm, 1e-6);
    }
    const int position = token - shape.begin(shape.sequence_of(token));
    for (int head = 0; head < shape.q_heads + shape.kv_heads; ++head) {
        double* x = &out[head * shape.head_dim];
        if (shape.norms)
            norm(head * shape.head_dim, shape.head_dim, head < shape.q_heads ? in.q_norm : in.k_norm, 1e-6);
        const int half = shape.rotary_dim / 2;
        for (int i = 0; i < half; ++i) {
            const double angle = static_cast<double>(position) / (1 + 3 * i);
            const double a = x[i], b = x[i + half];
            x[i] = a * std::cos(angle) - b * std::sin(angle);
            x[i + half] = b * std::cos(angle) + a * std::sin(angle);
        }
    }
    return out;
}

TEST_CASE("reference: query, key, value and attention") {
    for (const KvCase& shape :
         {KvCase{4, 2, 8, 4, DType::f32, {3, 90}, DType::f32, true, true}, KvCase{3, 1, 16, 16, DType::f32, {130}},
          KvCase{4, 4, 32, 32, DType::bf16, {20, 70}, DType::bf16, true},
          KvCase{4, 2, 16, 16, DType::f32, {90}, DType::f32, false, true, true},
          KvCase{4, 2, 16, 16, DType::f32, {90, 7}, DType::f32, false, false, false, 19, 1, 16, true},
          KvCase{4, 1, 16, 16, DType::f32, {150}, DType::f32, false, false, false, 19, 1, 70, false}}) {
        const KvInputs in = kv_inputs(shape);
        const KvPool pool(reference_ops(), shape, in, 8);
        const Floats q = pool.run_qkv(all_rows(shape.tokens()), 1);
        const Floats out = pool.run_attention(q, pool.whole_spans(), 1);
        const int dim = shape.head_dim;
        const auto stored_value = [&](int token, int what, int head, int d) {
            const int sequence = shape.sequence_of(token), at = token - shape.begin(sequence);
            const std::int64_t slot =
                std::int64_t{pool.blocks[sequence][at / kKvBlockTokens]} * kKvBlockTokens + at % kKvBlockTokens;
            return reference::load(reference::kv_vector(pool.layer, slot, what, head), shape.kv_dtype, d);
        };
        for (int token = 0; token < shape.tokens(); ++token) {
            const Doubles truth = qkv_by_definition(shape, in, token);
            for (int i = 0; i < shape.q_columns(); ++i) require_close(q[token * shape.q_columns() + i], truth[i]);
            const double kv_tolerance = shape.kv_dtype == DType::bf16 ? 0x1p-8 : 2e-5;
            for (int i = 0; i < shape.kv_heads * dim; ++i) {
                require_close(stored_value(token, 0, i / dim, i % dim), truth[shape.q_columns() + i], kv_tolerance);
                require_close(stored_value(token, 1, i / dim, i % dim),
                              truth[shape.q_columns() + shape.kv_heads * dim + i], kv_tolerance);
            }
            const int first = shape.begin(shape.sequence_of(token));
            for (int head = 0; head < shape.q_heads; ++head) {
                const int kv_head = head / (shape.q_heads / shape.kv_heads);
                Doubles o(static_cast<std::size_t>(dim));
                double l = shape.sinks ? std::exp(in.sink[head]) : 0;
                const int seen = shape.window > 0 ? std::max(first, token - shape.window + 1) : first;
                for (int key = seen; key <= token; ++key) {
                    double score = 0;
                    for (int d = 0; d < dim; ++d)
                        score += static_cast<double>(q[token * shape.q_columns() + head * dim + d]) *
                                 stored_value(key, 0, kv_head, d);
                    const double p = std::exp(score / std::sqrt(dim));
                    l += p;
                    for (int d = 0; d < dim; ++d) o[d] += p * stored_value(key, 1, kv_head, d);
                }
                for (int d = 0; d < dim; ++d) require_close(out[token * shape.q_columns() + head * dim + d], o[d] / l);
            }
        }
    }
}

}  // namespace
}  // namespace argosy::test
