// Rule R4: the one order in which a token's expert outputs are added, and which partial sums a rank that holds some of
// them may form. Pure.
//
// The order is a binary tree over expert ids: pairs (0 1) (2 3) ..., then pairs of pairs, and so on; experts that the
// token did not choose are absent and passed by. Of the ids S of a token, sorted, two neighbours a < b are joined at
// level bit_width(a xor b), lower levels first. So the tree depends on S alone, never on who computed what.
//
// Example: S = {1, 2, 3, 6}. Levels between neighbours: 1|2: 2, 2|3: 1, 3|6: 3. Tree: (y1 + (y2 + y3)) + y6. As postfix
// (CombineArgs): push 1, push 2, push 3 and join twice, push 6 and join once: merges {0, 0, 2, 1}. A rank that owns
// experts 0..2 holds y1 and y2, but y2's partner is y3: it must send both rows as they are, two runs of one id. A rank
// that owns 1..3 sends one row, y1 + (y2 + y3), a run of three ids with inner merges {0, 0, 2}. The owner of the token
// then joins runs: from {1 2 3} and {6}: merges {0, 1}.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace argosy {

// Level at which two different ids are joined.
int join_level(std::int32_t a, std::int32_t b);

// Joins after each leaf. `ids` [n], strictly ascending; merges [n] is written. Also good for runs: give one id of each
// run.
void postfix_merges(std::span<const std::int32_t> ids, std::span<std::uint8_t> merges);

// Adjacent ids of S that one rank owns and may send as one row: a maximal subtree.
struct TreeRun {
    int begin = 0;  // positions in S: [begin, end)
    int end = 0;
    bool operator==(const TreeRun&) const = default;
};

// Cuts all of S into the maximal subtrees whose leaves have one owner: runs in ascending order, covering [0, n).
// `owner` [n] belongs to `ids`. The runs of one rank are those whose first id it owns; postfix_merges of a run's own
// ids are its inner merges, postfix_merges of the runs' first ids are the merges that remain for the owner of the
// token. `runs` is cleared first.
void tree_runs(std::span<const std::int32_t> ids, std::span<const std::int32_t> owner, std::vector<TreeRun>& runs);

}  // namespace argosy
