// Which layers share their KV blocks: the layers of one KV class (those that see everything, those that see one width
// of window) are cut into groups of equally many, so that one pool of equal blocks serves all classes.
#pragma once

#include <string>
#include <vector>

#include "runtime/model/model_plan.hpp"

namespace argosy {

// A block holds the keys and values of kKvBlockTokens tokens for layers_per_block layers. Each group hands out blocks
// by itself, so a group with a window gives back those that no row sees any more, and whatever it gives back serves the
// others: no memory is set aside for a class.
// Example: gpt-oss-20b has 12 layers with a window of 128 and 12 without: two groups of 12.
struct KvGroups {
    struct Place {
        int group = 0;
        int index = 0;  // of the group's layers
        bool operator==(const Place&) const = default;
    };
    int layers_per_block = 0;
    std::vector<int> windows;   // [groups] tokens that a group's layers see, 0: all; those that see all come first
    std::vector<Place> places;  // [plan.layers]
    bool operator==(const KvGroups&) const = default;
    int count() const { return static_cast<int>(windows.size()); }
};

// As many layers per block as leave the fewest places empty in at most kKvGroupsMax groups; of equals the most. A model
// with one class has one group.
inline constexpr int kKvGroupsMax = 8;
KvGroups kv_groups(const ModelPlan& plan);

// "12 layers see all, 12 layers see the last 128 tokens: 2 groups of 12"; empty where all layers see all.
std::string describe(const KvGroups& groups);

}  // namespace argosy
