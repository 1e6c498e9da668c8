// The expert tree of rule R4 straight from its definition, to judge the postfix forms by: split by the highest bit, add
// the sides.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace argosy::test {

struct Leaf {
    std::int32_t id = 0;
    float value = 0;
};

// Sum over leaves whose ids agree above `bit`; nothing when there are none.
inline std::optional<float> tree_sum(const std::vector<Leaf>& leaves, int bit = 30) {
    if (leaves.empty()) return std::nullopt;
    if (bit < 0) return leaves.front().value;
    std::vector<Leaf> lower;
    std::vector<Leaf> upper;
    for (const Leaf& leaf : leaves) ((leaf.id >> bit & 1) != 0 ? upper : lower).push_back(leaf);
    const std::optional<float> low = tree_sum(lower, bit - 1);
    const std::optional<float> high = tree_sum(upper, bit - 1);
    if (low && high) return *low + *high;
    return low ? low : high;
}

}  // namespace argosy::test
