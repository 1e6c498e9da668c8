// Routes played through without MPI: every rank of a stage in one process, results compared with the tree's definition.
#include <algorithm>
#include <bit>
#include <catch2/catch.hpp>
#include <numeric>
#include <random>

#include "kernels/base/error.hpp"
#include "parallel/route_plan.hpp"
#include "tests/parallel/expert_tree.hpp"

using namespace argosy;
using argosy::test::Leaf;
using argosy::test::tree_sum;

namespace {

struct Routing {
    int rows = 0;
    std::vector<std::int32_t> ids;
    std::vector<float> weights;
};

Routing random_routing(std::mt19937& random, int rows, int top_k, int experts) {
    Routing routing;
    routing.rows = rows;
    std::vector<std::int32_t> all(static_cast<std::size_t>(experts));
    std::iota(all.begin(), all.end(), 0);
    std::uniform_real_distribution<float> weight(0.05F, 1.0F);
    for (int row = 0; row < rows; ++row) {
        std::shuffle(all.begin(), all.end(), random);
        routing.ids.insert(routing.ids.end(), all.begin(), all.begin() + top_k);
        for (int i = 0; i < top_k; ++i) routing.weights.push_back(weight(random));
    }
    return routing;
}

// One column is enough here: the output of an expert for a row is any fixed number.
float expert_value(int source, std::int32_t row, std::int32_t expert) {
    std::mt19937 random(static_cast<unsigned>(source * 1000003 + row * 1009 + expert));
    return std::normal_distribution<float>()(random) * std::exp2(static_cast<float>(random() % 10));
}

std::vector<float> evaluate(const CombinePlan& plan, const std::vector<float>& source) {
    std::vector<float> out;
    for (int row = 0; row < plan.rows(); ++row) {
        std::vector<float> stack;
        for (auto l = static_cast<std::size_t>(plan.leaf_begin[static_cast<std::size_t>(row)]);
             l < static_cast<std::size_t>(plan.leaf_begin[static_cast<std::size_t>(row) + 1]); ++l) {
            const float value = source.at(static_cast<std::size_t>(plan.leaf_source[l]));
            stack.push_back(plan.leaf_weight.empty() ? value : plan.leaf_weight[l] * value);
            for (int m = 0; m < plan.leaf_merges[l]; ++m) {
                const float upper = stack.back();
                stack.pop_back();
                stack.back() += upper;
            }
        }
        REQUIRE(stack.size() == 1);
        out.push_back(stack.front());
    }
    return out;
}

std::vector<float> truth_of(int source, const Routing& routing, int top_k) {
    std::vector<float> truth;
    for (int row = 0; row < routing.rows; ++row) {
        std::vector<Leaf> leaves;
        for (int i = 0; i < top_k; ++i) {
            const auto at = static_cast<std::size_t>(row * top_k + i);
            leaves.push_back({routing.ids[at], routing.weights[at] * expert_value(source, row, routing.ids[at])});
        }
        truth.push_back(*tree_sum(leaves));
    }
    return truth;
}

// A stage of ep * etp ranks in one process: returns what each source's finish plan makes of the returned rows.
std::vector<std::vector<float>> play(const std::vector<Routing>& routings, int top_k, const ExpertPlacement& placement,
                                     int etp, std::int64_t rows_per_round) {
    const int stage = placement.ep * etp;
    std::vector<RoutePlan> plans;
    std::int64_t most = 0;
    for (const Routing& r : routings) {
        plans.push_back(make_route_plan(r.rows, top_k, r.ids.data(), r.weights.data(), placement));
        for (int g = 0; g < placement.ep; ++g) most = std::max<std::int64_t>(most, plans.back().send_count(g));
    }
    const int rounds = rounds_for(most, rows_per_round);
    std::vector<FinishPlan> finish;
    for (const RoutePlan& plan : plans)
        finish.push_back(make_finish_plan(plan, placement, etp, rounds, rows_per_round));
    std::vector<std::vector<float>> home(static_cast<std::size_t>(stage));
    for (int round = 0; round < rounds; ++round) {
        for (int s = 0; s < stage; ++s) {  // stage rank s receives, computes, returns
            const int g = s / etp;
            std::vector<std::int32_t> count;
            std::vector<std::pair<int, std::int32_t>> received;  // (source, its row)
            std::vector<std::int32_t> ids;
            std::vector<float> weights;
            for (int source = 0; source < stage; ++source) {
                const RoutePlan& plan = plans[static_cast<std::size_t>(source)];
                const RowRange share = round_share(plan.send_count(g), round, rows_per_round);
                REQUIRE(share.count() <= rows_per_round);
                count.push_back(static_cast<std::int32_t>(share.count()));
                for (std::int64_t n = share.begin; n < share.end; ++n) {
                    const std::int32_t row =
                        plan.send_row[static_cast<std::size_t>(plan.send_begin[static_cast<std::size_t>(g)] + n)];
                    received.emplace_back(source, row);
                    for (int i = 0; i < top_k; ++i) {
                        ids.push_back(plan.ids[static_cast<std::size_t>(row * top_k + i)]);
                        weights.push_back(plan.weights[static_cast<std::size_t>(row * top_k + i)]);
                    }
                }
            }
            const ReceivePlan plan =
                make_receive_plan(count, top_k, ids.data(), weights.data(), placement, g, s % etp, etp);
            REQUIRE(plan.rows == static_cast<int>(received.size()));
            const std::vector<std::int32_t> local = experts_at(placement, g);
            REQUIRE(plan.group_begin.size() == local.size() + 1);
            std::vector<float> y(static_cast<std::size_t>(plan.grouped_rows()));
            for (std::size_t group = 0; group < local.size(); ++group) {
                for (auto r = static_cast<std::size_t>(plan.group_begin[group]);
                     r < static_cast<std::size_t>(plan.group_begin[group + 1]); ++r) {
                    const auto [source, row] = received[static_cast<std::size_t>(plan.row_index[r])];
                    y[r] = expert_value(source, row, local[group]);
                    if (r > static_cast<std::size_t>(plan.group_begin[group]))
                        REQUIRE(plan.row_index[r - 1] < plan.row_index[r]);
                }
            }
            // What this member joins: its part of the grouped rows.
            std::vector<float> mine;
            for (auto i = static_cast<std::size_t>(plan.member_begin[static_cast<std::size_t>(s % etp)]);
                 i < static_cast<std::size_t>(plan.member_begin[static_cast<std::size_t>(s % etp) + 1]); ++i) {
                mine.push_back(y.at(static_cast<std::size_t>(plan.member_grouped[i])));
            }
            const std::vector<float> rows = evaluate(plan.combine, mine);
            REQUIRE(std::accumulate(plan.return_count.begin(), plan.return_count.end(), 0) ==
                    static_cast<int>(rows.size()));
            std::size_t at = 0;
            for (int source = 0; source < stage; ++source) {
                const std::int32_t back = plan.return_count[static_cast<std::size_t>(source)];
                REQUIRE(
                    back ==
                    finish[static_cast<std::size_t>(source)].return_count[static_cast<std::size_t>(round * stage + s)]);
                auto& to = home[static_cast<std::size_t>(source)];
                to.insert(to.end(), rows.begin() + static_cast<std::ptrdiff_t>(at),
                          rows.begin() + static_cast<std::ptrdiff_t>(at) + back);
                at += static_cast<std::size_t>(back);
            }
        }
    }
    std::vector<std::vector<float>> out;
    for (int s = 0; s < stage; ++s) {
        REQUIRE(finish[static_cast<std::size_t>(s)].returned_rows ==
                static_cast<int>(home[static_cast<std::size_t>(s)].size()));
        out.push_back(evaluate(finish[static_cast<std::size_t>(s)].combine, home[static_cast<std::size_t>(s)]));
    }
    return out;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
    return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](float x, float y) {
               return std::bit_cast<std::uint32_t>(x) == std::bit_cast<std::uint32_t>(y);
           });
}

}  // namespace

TEST_CASE("route plan: a small example") {
    const ExpertPlacement placement = contiguous_placement(4, 2);
    const std::vector<std::int32_t> ids = {3, 0, 1, 0, 2, 3};
    const std::vector<float> weights = {0.3F, 0.7F, 0.5F, 0.25F, 0.1F, 0.9F};
    const RoutePlan plan = make_route_plan(3, 2, ids.data(), weights.data(), placement);
    CHECK(plan.ids == std::vector<std::int32_t>{0, 3, 0, 1, 2, 3});
    CHECK(plan.weights == std::vector<float>{0.7F, 0.3F, 0.25F, 0.5F, 0.1F, 0.9F});
    CHECK(plan.send_begin == std::vector<std::int32_t>{0, 2, 4});
    CHECK(plan.send_row == std::vector<std::int32_t>{0, 1, 0, 2});
    CHECK(describe(plan) == "3 rows, top 2: 2 to ep rank 0, 2 to ep rank 1");
    CHECK(plan == make_route_plan(3, 2, ids.data(), weights.data(), placement));
}

TEST_CASE("route plan: a router's nonsense is an error, not a crash") {
    const ExpertPlacement placement = contiguous_placement(4, 2);
    const std::vector<float> weights = {0.5F, 0.5F};
    for (const std::vector<std::int32_t>& ids : std::vector<std::vector<std::int32_t>>{{1, 1}, {0, 4}, {-1, 2}}) {
        CHECK_THROWS_AS(make_route_plan(1, 2, ids.data(), weights.data(), placement), Error);
    }
}

TEST_CASE("route plan: any stage, placement and round size gives the tree's bits") {
    std::mt19937 random(42);
    for (int trial = 0; trial < 250; ++trial) {
        const int etp = 1 << (random() % 3);
        const int ep = 1 + static_cast<int>(random() % 4);
        const int experts = 1 + static_cast<int>(random() % 20);
        const int top_k = 1 + static_cast<int>(random() % std::min(experts, 8));
        std::vector<std::int32_t> owner;
        for (int e = 0; e < experts; ++e)
            owner.push_back(static_cast<std::int32_t>(random() % static_cast<unsigned>(ep)));
        const ExpertPlacement placement =
            random() % 2 == 0 ? contiguous_placement(experts, ep) : placement_from(owner, ep);
        std::vector<Routing> routings;
        for (int s = 0; s < ep * etp; ++s)
            routings.push_back(random_routing(random, static_cast<int>(random() % 12), top_k, experts));
        const std::int64_t rows_per_round = std::vector<std::int64_t>{1, 2, 5, 100}[random() % 4];
        const auto out = play(routings, top_k, placement, etp, rows_per_round);
        for (int s = 0; s < ep * etp; ++s) {
            REQUIRE(
                same_bits(out[static_cast<std::size_t>(s)], truth_of(s, routings[static_cast<std::size_t>(s)], top_k)));
        }
    }
}

TEST_CASE("route plan: a stage of one rank combines in one go") {
    std::mt19937 random(5);
    for (int trial = 0; trial < 50; ++trial) {
        const int experts = 1 + static_cast<int>(random() % 13);
        const int top_k = 1 + static_cast<int>(random() % std::min(experts, 8));
        const ExpertPlacement placement = contiguous_placement(experts, 1);
        const Routing routing = random_routing(random, static_cast<int>(random() % 20), top_k, experts);
        const RoutePlan plan =
            make_route_plan(routing.rows, top_k, routing.ids.data(), routing.weights.data(), placement);
        const std::int32_t count[] = {routing.rows};
        const ReceivePlan grouping =
            make_receive_plan(count, top_k, plan.ids.data(), plan.weights.data(), placement, 0, 0, 1);
        std::vector<float> y(static_cast<std::size_t>(grouping.grouped_rows()));
        for (int e = 0; e < experts; ++e) {
            for (auto r = static_cast<std::size_t>(grouping.group_begin[static_cast<std::size_t>(e)]);
                 r < static_cast<std::size_t>(grouping.group_begin[static_cast<std::size_t>(e) + 1]); ++r) {
                y[r] = expert_value(0, grouping.row_index[r], e);
            }
        }
        REQUIRE(same_bits(evaluate(make_local_combine(plan, grouping, placement), y), truth_of(0, routing, top_k)));
    }
}
