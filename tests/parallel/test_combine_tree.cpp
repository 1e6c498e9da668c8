// The expert tree: postfix against the definition, and subtrees under every split of owners.
#include <algorithm>
#include <bit>
#include <catch2/catch.hpp>
#include <numeric>
#include <random>

#include "parallel/combine_tree.hpp"
#include "tests/parallel/expert_tree.hpp"

using namespace argosy;
using argosy::test::Leaf;
using argosy::test::tree_sum;

namespace {

float evaluate(std::span<const float> leaves, std::span<const std::uint8_t> merges) {
    std::vector<float> stack;
    for (std::size_t i = 0; i < leaves.size(); ++i) {
        stack.push_back(leaves[i]);
        for (int m = 0; m < merges[i]; ++m) {
            const float upper = stack.back();
            stack.pop_back();
            stack.back() += upper;
        }
    }
    REQUIRE(stack.size() == 1);
    return stack.front();
}

std::vector<std::uint8_t> merges_of(std::span<const std::int32_t> ids) {
    std::vector<std::uint8_t> merges(ids.size());
    postfix_merges(ids, merges);
    return merges;
}

std::vector<std::int32_t> random_ids(std::mt19937& random, int experts, int count) {
    std::vector<std::int32_t> ids(static_cast<std::size_t>(experts));
    std::iota(ids.begin(), ids.end(), 0);
    std::shuffle(ids.begin(), ids.end(), random);
    ids.resize(static_cast<std::size_t>(count));
    std::sort(ids.begin(), ids.end());
    return ids;
}

}  // namespace

TEST_CASE("combine tree: worked examples of the headers") {
    const std::vector<std::int32_t> few = {0, 1, 2};
    CHECK(merges_of(few) == std::vector<std::uint8_t>{0, 1, 1});
    const std::vector<std::int32_t> ids = {1, 2, 3, 6};
    CHECK(join_level(1, 2) == 2);
    CHECK(join_level(2, 3) == 1);
    CHECK(join_level(3, 6) == 3);
    CHECK(merges_of(ids) == std::vector<std::uint8_t>{0, 0, 2, 1});
    std::vector<TreeRun> runs;
    tree_runs(ids, std::vector<std::int32_t>{0, 0, 1, 1}, runs);  // experts 0..2 here: 1 and 2 stay apart
    CHECK(runs == std::vector<TreeRun>{{0, 1}, {1, 2}, {2, 3}, {3, 4}});
    tree_runs(ids, std::vector<std::int32_t>{0, 0, 0, 1}, runs);  // experts 1..3 here: one row
    CHECK(runs == std::vector<TreeRun>{{0, 3}, {3, 4}});
    CHECK(merges_of(std::vector<std::int32_t>{1, 6}) == std::vector<std::uint8_t>{0, 1});
    tree_runs(ids, std::vector<std::int32_t>{5, 5, 5, 5}, runs);
    CHECK(runs == std::vector<TreeRun>{{0, 4}});
    tree_runs({}, {}, runs);
    CHECK(runs.empty());
}

TEST_CASE("combine tree: postfix and any split of owners give the bits of the definition") {
    std::mt19937 random(20240611);
    std::normal_distribution<float> normal;
    int split_rows = 0;
    int order_matters = 0;
    for (int trial = 0; trial < 4000; ++trial) {
        const int experts = 1 + static_cast<int>(random() % 300);
        const int count = 1 + static_cast<int>(random() % std::min(experts, 16));
        const std::vector<std::int32_t> ids = random_ids(random, experts, count);
        std::vector<float> values;
        std::vector<Leaf> leaves;
        for (const std::int32_t id : ids) {
            values.push_back(normal(random) * std::exp2(static_cast<float>(random() % 12)));
            leaves.push_back({id, values.back()});
        }
        const float truth = *tree_sum(leaves);
        REQUIRE(std::bit_cast<std::uint32_t>(evaluate(values, merges_of(ids))) == std::bit_cast<std::uint32_t>(truth));
        if (std::accumulate(values.begin(), values.end(), 0.0F) != truth) ++order_matters;

        const int owners = 1 + static_cast<int>(random() % 4);
        std::vector<std::int32_t> owner;
        for (int i = 0; i < count; ++i)
            owner.push_back(static_cast<std::int32_t>(random() % static_cast<unsigned>(owners)));
        std::vector<TreeRun> runs;
        tree_runs(ids, owner, runs);
        std::vector<float> rows;
        std::vector<std::int32_t> firsts;
        int at = 0;
        for (const TreeRun& run : runs) {
            REQUIRE(run.begin == at);
            REQUIRE(run.end > run.begin);
            at = run.end;
            for (int i = run.begin; i < run.end; ++i)
                REQUIRE(owner[static_cast<std::size_t>(i)] == owner[static_cast<std::size_t>(run.begin)]);
            const auto part = std::span(ids).subspan(static_cast<std::size_t>(run.begin),
                                                     static_cast<std::size_t>(run.end - run.begin));
            rows.push_back(
                evaluate(std::span(values).subspan(static_cast<std::size_t>(run.begin), part.size()), merges_of(part)));
            firsts.push_back(part.front());
        }
        REQUIRE(at == count);
        if (owners == 1) REQUIRE(runs.size() == 1);
        if (runs.size() > 1 && runs.size() < ids.size()) ++split_rows;
        REQUIRE(std::bit_cast<std::uint32_t>(evaluate(rows, merges_of(firsts))) == std::bit_cast<std::uint32_t>(truth));
    }
    CHECK(split_rows > 500);     // splits that are neither trivial nor total were seen
    CHECK(order_matters > 500);  // and values for which another order would show
}

TEST_CASE("combine tree: a contiguous placement on aligned borders sends one row per rank") {
    std::mt19937 random(7);
    std::vector<TreeRun> runs;
    for (int trial = 0; trial < 300; ++trial) {
        const std::vector<std::int32_t> ids = random_ids(random, 32, 8);
        std::vector<std::int32_t> owner;
        for (const std::int32_t id : ids) owner.push_back(id / 8);
        tree_runs(ids, owner, runs);
        std::vector<std::int32_t> owners = owner;
        owners.erase(std::unique(owners.begin(), owners.end()), owners.end());
        REQUIRE(runs.size() == owners.size());
    }
}
