// The expert tree as postfix, and its cut into subtrees with one owner.
#include "parallel/combine_tree.hpp"

#include <algorithm>
#include <array>
#include <bit>

#include "kernels/ops.hpp"

namespace argosy {

int join_level(std::int32_t a, std::int32_t b) { return std::bit_width(static_cast<std::uint32_t>(a ^ b)); }

void postfix_merges(std::span<const std::int32_t> ids, std::span<std::uint8_t> merges) {
    // Levels of joins that wait for their upper side, falling from bottom to top. Two neighbours in it can never be
    // equal: between two joins of one level in a binary tree lies one of a higher level.
    std::array<int, kCombineDepthMax + 1> waiting{};
    int depth = 0;
    for (std::size_t i = 0; i < ids.size(); ++i) {
        const bool last = i + 1 == ids.size();
        const int next = last ? kCombineDepthMax + 1 : join_level(ids[i], ids[i + 1]);
        std::uint8_t joins = 0;
        while (depth > 0 && waiting[static_cast<std::size_t>(depth - 1)] < next) {
            --depth;
            ++joins;
        }
        merges[i] = joins;
        if (!last) waiting[static_cast<std::size_t>(depth++)] = next;
    }
}

namespace {

// The subtree over positions [begin, end): a run if one rank owns it all, else its two sides.
void cut_subtree(std::span<const std::int32_t> ids, std::span<const std::int32_t> owner, int begin, int end,
                 std::vector<TreeRun>& runs) {
    const auto first = owner.begin() + begin;
    const auto last = owner.begin() + end;
    if (std::all_of(first, last, [&](std::int32_t g) { return g == *first; })) {
        runs.push_back({begin, end});
        return;
    }
    // Ids of a subtree agree above its level; the first id that has the level's bit begins the upper side.
    const int level = join_level(ids[static_cast<std::size_t>(begin)], ids[static_cast<std::size_t>(end - 1)]);
    const std::uint32_t bit = std::uint32_t{1} << (level - 1);
    int middle = begin + 1;
    while ((static_cast<std::uint32_t>(ids[static_cast<std::size_t>(middle)]) & bit) == 0) ++middle;
    cut_subtree(ids, owner, begin, middle, runs);
    cut_subtree(ids, owner, middle, end, runs);
}

}  // namespace

void tree_runs(std::span<const std::int32_t> ids, std::span<const std::int32_t> owner, std::vector<TreeRun>& runs) {
    runs.clear();
    if (!ids.empty()) cut_subtree(ids, owner, 0, static_cast<int>(ids.size()), runs);
}

}  // namespace argosy
