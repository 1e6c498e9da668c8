// Ops whose rows do not know each other: embed, rms_norm, gate_up, route, logits. Every backend gives the reference's
// bits for any rows.
#include "tests/kernels/op_cases.hpp"

namespace argosy::test {
namespace {

constexpr int kRowCounts[] = {1, 2, 5, 13, 257};

TEST_CASE("embed") {
    for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) {
        for (const int hidden : {1, 7, 64, 131}) {
            const Stored table = stored(Random(2).reals(static_cast<std::size_t>(97 * hidden)), dtype);
            Random random(3);
            std::vector<std::int32_t> token(257);
            for (std::int32_t& id : token) id = random.between(0, 96);
            check_rows("embed", 257, [&](const Ops& ops, int threads, const Rows& rows) {
                std::vector<std::int32_t> some;
                for (const int row : rows) some.push_back(token[row]);
                Floats out(rows.size() * static_cast<std::size_t>(hidden));
                ops.embed({static_cast<int>(rows.size()), hidden, some.data(), table.bytes.data(), dtype, out.data()},
                          {.threads = threads});
                return out;
            });
        }
    }
}

TEST_CASE("rms_norm, also in place") {
    for (const int hidden : {1, 3, 15, 16, 17, 64, 100, 333}) {
        for (const int count : kRowCounts) {
            const Floats x = Random(5).reals(static_cast<std::size_t>(count * hidden), -3, 3);
            const Floats weight = Random(6).reals(static_cast<std::size_t>(hidden), 0.5F, 2);
            check_rows("rms_norm", count, [&](const Ops& ops, int threads, const Rows& rows) {
                const Floats in = gather(x, rows, static_cast<std::size_t>(hidden));
                Floats out(in.size());
                RmsNormArgs args{static_cast<int>(rows.size()), hidden, in.data(), weight.data(), 1e-5F, out.data()};
                ops.rms_norm(args, {.threads = threads});
                Floats in_place = in;
                args.x = args.out = in_place.data();
                ops.rms_norm(args, {.threads = threads});
                REQUIRE(same_bits(in_place, out));
                return out;
            });
        }
    }
}

// How a product's weights come and are kept.
struct Kept {
    DType source, packed;
};
constexpr Kept kKept[] = {{DType::f32, DType::f32}, {DType::bf16, DType::bf16}, {DType::f16, DType::f32}};

TEST_CASE("logits, also into rows of a wider array") {
    for (const Kept& kept : kKept) {
        for (const auto& [n, k] : {std::pair{1, 1}, {3, 17}, {16, 16}, {37, 40}, {65, 129}, {131, 67}, {200, 33}}) {
            const Stored weights = random_weights(9, n, k, kept.source);
            for (const int count : kRowCounts) {
                const Floats x = Random(8).reals(static_cast<std::size_t>(count * k));
                check_rows("logits", count, [&](const Ops& ops, int threads, const Rows& rows) {
                    const Packed packed = pack(ops, {n, k, kept.packed, {}}, weights, k);
                    const Floats in = gather(x, rows, static_cast<std::size_t>(k));
                    const std::size_t stride = static_cast<std::size_t>(n) + 5;
                    Floats wide(rows.size() * stride, 42.0F);
                    ops.logits({static_cast<int>(rows.size()), in.data(), packed.matrix, wide.data(),
                                static_cast<std::int64_t>(stride)},
                               {.threads = threads});
                    Floats out;
                    for (std::size_t row = 0; row < rows.size(); ++row) {
                        const auto at = wide.begin() + static_cast<std::ptrdiff_t>(row * stride);
                        out.insert(out.end(), at, at + n);
                        REQUIRE(std::vector<float>(at + n, at + n + 5) ==
                                std::vector<float>(5, 42.0F));  // nothing beside the row is touched
                    }
                    return out;
                });
            }
        }
    }
}

TEST_CASE("gate_up: groups, empty ones too, and rows named by an index") {
    for (const Kept& kept : kKept) {
        for (const auto& [n, k] : {std::pair{1, 5}, {24, 16}, {43, 70}, {96, 33}}) {
            for (const auto& [indexed, biased] :
                 {std::pair{false, false}, {true, false}, {false, true}, {true, true}}) {
                const int groups = 5;
                const int count = 61;
                const Floats x = Random(10).reals(static_cast<std::size_t>(count * k), -2, 2);
                std::vector<Stored> gate, up;
                for (int g = 0; g < groups; ++g) {
                    gate.push_back(random_weights(20 + static_cast<std::uint64_t>(g), n, k, kept.source));
                    up.push_back(random_weights(40 + static_cast<std::uint64_t>(g), n, k, kept.source));
                }
                const Biases gate_bias(60, groups, n), up_bias(70, groups, n);
                const int group_end[groups] = {7, 7, 8, 40, 61};  // group 1 is empty, group 2 has one row
                check_rows("gate_up", count, [&](const Ops& ops, int threads, const Rows& rows) {
                    std::vector<Packed> packed;
                    std::vector<WeightMatrix> gates, ups;
                    std::vector<std::int32_t> begin{0}, index;
                    for (int g = 0; g < groups; ++g) {
                        packed.push_back(pack(ops, {n, k, kept.packed, {}}, gate[g], k));
                        gates.push_back(packed.back().matrix);
                        packed.push_back(pack(ops, {n, k, kept.packed, {}}, up[g], k));
                        ups.push_back(packed.back().matrix);
                        begin.push_back(static_cast<std::int32_t>(
                            std::count_if(rows.begin(), rows.end(), [&](int r) { return r < group_end[g]; })));
                    }
                    for (const int row : rows) index.push_back((row * 7) % count);
                    const Floats in = indexed ? x : gather(x, rows, static_cast<std::size_t>(k));
                    Floats out(rows.size() * static_cast<std::size_t>(n));
                    ops.gate_up({.groups = groups,
                                 .group_begin = begin.data(),
                                 .row_index = indexed ? index.data() : nullptr,
                                 .gate = gates.data(),
                                 .up = ups.data(),
                                 .x = in.data(),
                                 .h = out.data(),
                                 .gate_bias = biased ? gate_bias.pointers.data() : nullptr,
                                 .up_bias = biased ? up_bias.pointers.data() : nullptr,
                                 .swiglu_limit = biased ? 1.5F : 0},
                                {.threads = threads});
                    return out;
                });
            }
        }
    }
}

struct RouteCase {
    int experts, top_k;
    RoutingRule rule;
    bool bias = false;
    bool choice_bias = false;
};

TEST_CASE("route: ids by falling score, ties by lowest id; every scoring, groups, biases") {
    using enum RouterScoring;
    std::vector<RouteCase> cases;
    for (const auto& [experts, top_k] : {std::pair{1, 1}, {4, 2}, {7, 7}, {17, 3}, {60, 4}, {128, 8}, {130, 8}}) {
        for (const RouterScoring scoring : {softmax, sigmoid, chosen_softmax}) {
            cases.push_back({experts, top_k, {.scoring = scoring}});
            cases.push_back({experts, top_k, {.scoring = scoring, .renormalise = true, .scale = 2.5F}, true, true});
        }
    }
    for (const int best : {1, 2}) {
        cases.push_back({64, 6, {.scoring = softmax, .groups = 8, .groups_kept = 3, .group_best = best, .scale = 16}});
        cases.push_back({136,
                         8,
                         {.scoring = sigmoid, .renormalise = true, .groups = 4, .groups_kept = 2, .group_best = best},
                         false,
                         true});
    }
    const int k = 45;
    const int count = 67;
    for (const Kept& kept : kKept) {
        for (const RouteCase& c : cases) {
            Floats values = random_weights(12, c.experts, k, kept.source).values;
            for (int e = 3; e < c.experts; e += 4) {  // every fourth expert equals the one two before it: exact ties
                std::copy_n(values.begin() + (e - 2) * k, k, values.begin() + e * k);
            }
            const Stored weights = stored(values, kept.source);
            const Floats x = Random(13).reals(static_cast<std::size_t>(count * k));
            Floats bias = Random(14).reals(static_cast<std::size_t>(c.experts), -0.2F, 0.2F);
            for (int e = 3; e < c.experts; e += 4) bias[e] = bias[e - 2];
            check_rows("route", count, [&](const Ops& ops, int threads, const Rows& rows) {
                const Packed packed = pack(ops, {c.experts, k, kept.packed, {}}, weights, k);
                const Floats in = gather(x, rows, static_cast<std::size_t>(k));
                Floats scratch(rows.size() * 2 * static_cast<std::size_t>(c.experts)),
                    weight(rows.size() * static_cast<std::size_t>(c.top_k));
                std::vector<std::int32_t> ids(weight.size());
                ops.route({.rows = static_cast<int>(rows.size()),
                           .experts = c.experts,
                           .top_k = c.top_k,
                           .rule = c.rule,
                           .x = in.data(),
                           .weight = packed.matrix,
                           .bias = c.bias ? bias.data() : nullptr,
                           .choice_bias = c.choice_bias ? bias.data() : nullptr,
                           .scratch = scratch.data(),
                           .ids = ids.data(),
                           .weights = weight.data()},
                          {.threads = threads});
                Floats out;
                for (std::size_t row = 0; row < rows.size(); ++row) {
                    for (int j = 0; j < c.top_k; ++j) out.push_back(static_cast<float>(ids[row * c.top_k + j]));
                    for (int j = 0; j < c.top_k; ++j) out.push_back(weight[row * c.top_k + j]);
                }
                return out;
            });
        }
    }
}

}  // namespace
}  // namespace argosy::test
