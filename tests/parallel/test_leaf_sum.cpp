// Sums over tp ranks against one rank's tree over all leaves, bit by bit.
#include <catch2/catch.hpp>
#include <cmath>
#include <optional>
#include <random>

#include "kernels/base/error.hpp"
#include "kernels/reference/reference_ops.hpp"
#include "parallel/leaf_sum.hpp"
#include "parallel/mpi_session.hpp"
#include "tests/parallel/ranks.hpp"

using namespace argosy;

namespace {

using Leaves = std::array<std::vector<float>, kLeafCount>;  // each [rows, columns]; empty where the leaf is absent

Leaves random_leaves(std::mt19937& random, std::int64_t units, std::size_t values) {
    std::normal_distribution<float> normal;
    Leaves leaves;
    for (int i = 0; i < kLeafCount; ++i) {
        if (leaf_begin(units, i) == leaf_begin(units, i + 1)) continue;
        auto& leaf = leaves[static_cast<std::size_t>(i)];
        for (std::size_t v = 0; v < values; ++v)
            leaf.push_back(std::ldexp(normal(random), static_cast<int>(random() % 8)));
    }
    return leaves;
}

// The value of leaves [first, first + count) at v, from the definition of rule R2.
std::optional<float> subtree(const Leaves& leaves, int first, int count, std::size_t v) {
    if (count == 1) {
        const auto& leaf = leaves[static_cast<std::size_t>(first)];
        return leaf.empty() ? std::nullopt : std::optional(leaf[v]);
    }
    const auto low = subtree(leaves, first, count / 2, v);
    const auto high = subtree(leaves, first + count / 2, count / 2, v);
    if (low && high) return *low + *high;
    return low ? low : high;
}

void check_sum(Communicator& tp, LeafSum& sum, std::mt19937& random) {
    const std::int64_t rows = random() % 14;
    const int columns = 1 + static_cast<int>(random() % 70);
    const std::int64_t units = random() % 20;
    const auto values = static_cast<std::size_t>(rows * columns);
    const Leaves leaves = random_leaves(random, units, values);
    std::normal_distribution<float> normal;
    std::vector<float> residual(values);
    for (float& r : residual) r = normal(random);
    const bool with_residual = random() % 4 != 0;

    const int count = kLeafCount / tp.size();
    const std::uint32_t present = present_parts(units, tp.size());
    std::vector<float> partial;
    if ((present >> tp.rank() & 1) != 0) {
        for (std::size_t v = 0; v < values; ++v) partial.push_back(*subtree(leaves, tp.rank() * count, count, v));
    }
    const RowRange own = row_share(rows, tp.rank(), tp.size());
    const auto begin = static_cast<std::size_t>(own.begin * columns);
    const auto end = static_cast<std::size_t>(own.end * columns);
    std::vector<float> expected;
    for (std::size_t v = begin; v < end; ++v) {
        const auto tree = subtree(leaves, 0, kLeafCount, v);
        if (with_residual) expected.push_back(tree ? residual[v] + *tree : residual[v]);
        if (!with_residual) expected.push_back(tree ? *tree : -77.0F);
    }
    std::vector<float> out(end - begin, -77.0F);
    if (with_residual)
        std::copy(residual.begin() + static_cast<std::ptrdiff_t>(begin),
                  residual.begin() + static_cast<std::ptrdiff_t>(end), out.begin());
    const std::int64_t sent_before = tp.traffic().bytes_sent();
    sum.sum_rows({rows, columns, present, partial.empty() ? nullptr : partial.data(),
                  with_residual ? out.data() : nullptr, out.data()},
                 {});
    REQUIRE(test::same_bits(out, expected));
    const std::int64_t foreign_rows = partial.empty() ? 0 : rows - own.count();
    REQUIRE(tp.traffic().bytes_sent() - sent_before == foreign_rows * columns * 4);

    // And back: every rank has all rows.
    std::vector<float> all(values, -1.0F);
    sum.gather_rows(rows, columns, residual.data() + begin, all.data());
    REQUIRE(test::same_bits(all, residual));
    std::vector<float> in_place(values, -1.0F);
    std::copy(residual.begin() + static_cast<std::ptrdiff_t>(begin),
              residual.begin() + static_cast<std::ptrdiff_t>(end),
              in_place.begin() + static_cast<std::ptrdiff_t>(begin));
    sum.gather_rows(rows, columns, in_place.data() + begin, in_place.data());
    REQUIRE(test::same_bits(in_place, residual));
}

}  // namespace

TEST_CASE("leaf sum: any rows, columns and absent ranks give the bits of one rank") {
    MpiSession session;
    for (const RankLayout& layout : test::moe_layouts(session.size())) {
        const Groups groups = make_groups(session, layout);
        LeafSum sum(*groups.tp, reference_ops());
        // One sequence of random numbers per tp group; its ranks draw alike.
        std::mt19937 random(static_cast<unsigned>(groups.place.group));
        for (int trial = 0; trial < 60; ++trial) check_sum(*groups.tp, sum, random);
    }
}

TEST_CASE("leaf sum: present parts are the ranks that own a leaf") {
    CHECK(present_parts(4, 8) == 0b10101010U);
    CHECK(present_parts(4, 4) == 0b1111U);
    CHECK(present_parts(1, 2) == 0b10U);
    CHECK(present_parts(0, 4) == 0U);
    CHECK(present_parts(100, 8) == 0xffU);
}

TEST_CASE("leaf sum: a rank that owes a partial and brings none is an error") {
    const auto self = make_self_communicator("tp");
    LeafSum sum(*self, reference_ops());
    float out[2] = {1, 2};
    CHECK_THROWS_AS(sum.sum_rows({1, 2, 1, nullptr, nullptr, out}, {}), Error);
}
