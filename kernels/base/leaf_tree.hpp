// Rule R2: how the summed dimension of a row-parallel product is cut into 8 leaves, and the one order in which leaves
// are joined.
//
// K holds n units (a unit is the least that a rank can own: one column, one quantisation block, or one attention head).
// Leaf i is the units [floor(n*i/8), floor(n*(i+1)/8)). A leaf is summed in order in FP32; leaves join as
// ((01)(23))((45)(67)). An empty leaf is absent: its sibling passes through unchanged (adding +0 would turn -0 into +0,
// and would make the bits depend on the cut).
//
// Example: 4 heads, so n = 4 and leaves 1, 3, 5, 7 hold one head each, the others are empty. One rank computes
// (h0+h1)+(h2+h3). With tp = 2, rank 0 owns leaves 0..3 and sends h0+h1, rank 1 sends h2+h3, and their sum has the same
// bits. With tp = 8, ranks 1, 3, 5, 7 own a head each and ranks 0, 2, 4, 6 own nothing of this product.
#pragma once

#include <array>
#include <cstdint>

#include "kernels/base/inline.hpp"

namespace argosy {

inline constexpr int kLeafCount = 8;

// First unit of leaf i of n units; leaf_begin(n, 8) == n.
ARGOSY_INLINE std::int64_t leaf_begin(std::int64_t units, int leaf) { return units * leaf / kLeafCount; }

// The leaves that one rank owns of a product, in that rank's own (local) columns of K.
struct LeafCut {
    int first = 0;  // id of the first leaf owned; a multiple of count
    int count = 0;  // leaves owned: 1, 2, 4 or 8; 0: the product has no leaves, one chain over all of K
    std::array<std::int64_t, kLeafCount + 1> begin{};  // leaf first+i covers local columns [begin[i], begin[i+1])

    bool operator==(const LeafCut&) const = default;
    std::int64_t columns() const { return count == 0 ? 0 : begin[count]; }
    bool present(int i) const { return begin[i] < begin[i + 1]; }
};

// The part of K that rank `part` of `parts` (1, 2, 4 or 8) owns.
struct LeafShare {
    std::int64_t k_begin = 0;  // global columns [k_begin, k_end)
    std::int64_t k_end = 0;
    LeafCut cut;  // the same columns, counted from k_begin
    bool operator==(const LeafShare&) const = default;
};

inline LeafShare leaf_share(std::int64_t units, std::int64_t columns_per_unit, int part, int parts) {
    LeafShare share;
    share.cut.count = kLeafCount / parts;
    share.cut.first = part * share.cut.count;
    share.k_begin = leaf_begin(units, share.cut.first) * columns_per_unit;
    for (int i = 0; i <= share.cut.count; ++i) {
        share.cut.begin[i] = leaf_begin(units, share.cut.first + i) * columns_per_unit - share.k_begin;
    }
    share.k_end = share.k_begin + share.cut.begin[share.cut.count];
    return share;
}

}  // namespace argosy
