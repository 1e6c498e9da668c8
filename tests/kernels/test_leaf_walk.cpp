// The walk of a row tile over K: whatever leaves are absent and however long a run is, columns come in order and leaves
// join as rule R2 says.
#include <catch2/catch.hpp>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "kernels/cpu/generic/leaf_walk.hpp"

using namespace argosy;

namespace {

// "(01)" for leaves 0 and 1 joined; a leaf is its columns' first letter and number.
using Sum = std::optional<std::string>;

Sum joined(const Sum& left, const Sum& right) {
    if (!left) return right;
    if (!right) return left;
    return "(" + *left + "+" + *right + ")";
}

std::string columns_name(std::int64_t begin, std::int64_t end) {
    return std::to_string(begin) + ".." + std::to_string(end);
}

Sum tree(const MatrixSpec& spec, int first, int count) {
    if (count > 1) return joined(tree(spec, first, count / 2), tree(spec, first + count / 2, count / 2));
    const std::int64_t begin = leaf_part_begin(spec, first), end = leaf_part_begin(spec, first + 1);
    return begin < end ? Sum(columns_name(begin, end)) : Sum();
}

// Does what chain_tile does, on names: a chain grows column by column.
Sum walked(const MatrixSpec& spec, std::int64_t blocks) {
    std::vector<std::string> stack(kStackDepth);
    LeafWalk walk;
    ChainRun run;
    std::int64_t k = 0, chain_begin = 0, panel_offset = 0;
    bool last = false;
    while (next_run(walk, spec, blocks, run)) {
        CHECK_FALSE(last);  // outputs are stored behind the run that reaches the end of K
        last = walk.k == spec.k;
        CHECK(run.k_begin == k);
        CHECK(run.panel_offset == panel_offset);
        CHECK(run.parts <= kRunParts);
        std::int64_t used = 0;
        for (int i = 0; i < run.parts; ++i) {
            const ChainPart& part = run.part[i];
            REQUIRE(part.top + part.joins < kStackDepth);
            std::string value = stack.at(static_cast<std::size_t>(part.top + part.joins));
            if (part.fresh) chain_begin = k, value.clear();
            if (!part.fresh && part.columns > 0) CHECK(value == columns_name(chain_begin, k));  // it goes on
            k += part.columns;
            used += (part.columns + kChainBlock - 1) / kChainBlock;
            panel_offset += panel_part_bytes(spec.dtype, part.columns);
            if (part.columns > 0) value = columns_name(chain_begin, k);
            for (int join = part.joins - 1; join >= 0; --join)
                value = "(" + stack.at(static_cast<std::size_t>(part.top + join)) + "+" + value + ")";
            stack.at(static_cast<std::size_t>(part.top)) = value;
        }
        CHECK(used <= blocks);
    }
    CHECK(k == spec.k);
    CHECK(walk.k == spec.k);
    return k == 0 ? Sum() : Sum(stack[0]);
}

}  // namespace

TEST_CASE("runs of any length walk leaves of any length in the tree's order") {
    std::mt19937 random(1);
    for (int round = 0; round < 3000; ++round) {
        MatrixSpec spec{.n = 16, .k = 0, .dtype = round % 2 == 0 ? DType::f32 : DType::bf16, .cut = {}};
        if (round % 7 == 0) {
            spec.k = 1 + static_cast<std::int64_t>(random() % 70);
        } else {
            spec.cut.count = 1 << static_cast<int>(random() % 4);
            for (int leaf = 0; leaf < spec.cut.count; ++leaf) {
                const std::int64_t columns = random() % 3 == 0 ? 0 : 1 + static_cast<std::int64_t>(random() % 40);
                spec.cut.begin[static_cast<std::size_t>(leaf) + 1] =
                    spec.cut.begin[static_cast<std::size_t>(leaf)] + columns;
            }
            spec.k = spec.cut.columns();
        }
        const std::int64_t blocks = 1 + static_cast<std::int64_t>(random() % 20);
        INFO("round " << round << ", " << spec.cut.count << " leaves, k " << spec.k << ", runs of " << blocks);
        REQUIRE(walked(spec, blocks) == tree(spec, 0, leaf_parts(spec)));
    }
}
