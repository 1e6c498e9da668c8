// How a row tile walks over K: in runs whose columns of x fit beside the panels in the first-level cache, each cut into
// parts where leaves end. After a leaf its chains join the subtrees that wait on its left (rule R2).
//
// Subtrees wait on a stack, the newest on top, since joining leaves in order is counting in binary: after leaf 5 (101b)
// the values of ((01)(23)) and (45) wait. An absent leaf adds nothing; its sibling takes its place in the tree.
#pragma once

#include <cstdint>

#include "kernels/cpu/panels.hpp"

namespace argosy {

inline constexpr int kChainBlock = 16;                // columns of x that stand together
inline constexpr int kStackDepth = 4;                 // subtrees of 1, 2 and 4 leaves, and the newest leaf
inline constexpr int kRunParts = 2 * kLeafCount + 1;  // of a run at most
inline constexpr int kTreeLevels = 3;
static_assert(1 << kTreeLevels == kLeafCount);

// One stretch of chains without a join in between. Its chains start at 0 (`fresh`) or go on from stack[top + joins];
// behind its last column they join stack[top + joins - 1], ..., stack[top], and the result stands at stack[top].
struct ChainPart {
    std::int64_t columns = 0;
    bool fresh = false;
    int joins = 0;
    int top = 0;
};

// The parts of adjacent columns of x, and where these begin in x and in a panel.
struct ChainRun {
    std::int64_t k_begin = 0;
    std::int64_t panel_offset = 0;
    int parts = 0;
    ChainPart part[kRunParts];
};

struct LeafWalk {
    bool from_bias = false;  // the first leaf's chains go on from stack[0], where a bias stands
    int leaf = 0;
    std::int64_t k = 0;             // columns walked
    std::int64_t panel_offset = 0;  // their bytes in a panel
    int depth = 0;                  // subtrees on the stack
    unsigned waiting = 0;           // bit l: a subtree of 2^l leaves waits
};

// Joins that follow leaf `leaf`: one for each pair of present siblings that it completes.
ARGOSY_INLINE int leaf_joins(LeafWalk& walk, bool present) {
    int joins = 0;
    bool value = present;
    int level = 0;
    for (; walk.leaf >> level & 1; ++level) {
        const bool left = (walk.waiting >> level & 1U) != 0;
        if (left && value) ++joins;
        value = value || left;
        walk.waiting &= ~(1U << level);
    }
    if (value && level < kTreeLevels) walk.waiting |= 1U << level;
    return joins;
}

// The next run, of at most `blocks` blocks of `unit` columns, the last of a leaf short; false behind the last one.
ARGOSY_INLINE bool next_run(LeafWalk& walk, const MatrixSpec& spec, std::int64_t blocks, ChainRun& run,
                            std::int64_t unit = kChainBlock) {
    run.k_begin = walk.k;
    run.panel_offset = walk.panel_offset;
    run.parts = 0;
    for (; walk.leaf < leaf_parts(spec) && (blocks > 0 || walk.k == leaf_part_begin(spec, walk.leaf + 1));
         ++walk.leaf) {
        const std::int64_t begin = leaf_part_begin(spec, walk.leaf);
        const std::int64_t end = leaf_part_begin(spec, walk.leaf + 1);
        const std::int64_t most = blocks * unit;
        ChainPart part;
        part.columns = end - walk.k < most ? end - walk.k : most;
        part.fresh = begin < end && walk.k == begin && !(walk.from_bias && begin == 0);
        walk.k += part.columns;
        walk.panel_offset += panel_part_bytes(spec.dtype, part.columns);
        blocks -= (part.columns + unit - 1) / unit;
        if (walk.k < end) {  // the leaf goes on in the next run
            part.top = walk.depth;
            run.part[run.parts++] = part;
            return true;
        }
        part.joins = leaf_joins(walk, begin < end);
        part.top = walk.depth - part.joins - (begin < end ? 0 : 1);
        if (begin < end || part.joins > 0) {
            run.part[run.parts++] = part;
            walk.depth = part.top + 1;
        }
    }
    return run.parts > 0;
}

}  // namespace argosy
