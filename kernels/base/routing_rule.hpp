// How a router's logits become chosen experts and their weights: the differences between model families, as values.
//
// Every expert gets a score from its logit; the top_k best are chosen, perhaps from the best groups of experts only; a
// chosen expert's weight is its score, perhaps divided by the sum of the chosen, times a factor.
// Example: DeepSeek-V3 scores 256 experts in 8 groups by sigmoid. For the choice each score gets the expert's bias; a
// group is worth the sum of its 2 best; 8 experts come from the 4 best groups, and their weights, the scores without
// bias divided by their sum, are multiplied by 2.5.
#pragma once

#include <cstdint>

namespace argosy {

// softmax: over all experts. sigmoid: each by itself. chosen_softmax: the logits themselves decide, and the weights are
// the softmax over the chosen alone (gpt-oss).
enum class RouterScoring : std::uint8_t { softmax, sigmoid, chosen_softmax };

struct RoutingRule {
    RouterScoring scoring = RouterScoring::softmax;
    bool renormalise = false;  // the chosen weights are divided by their sum
    int groups = 1;            // of equally many adjacent experts
    int groups_kept = 1;       // that experts are chosen from; they hold at least top_k
    int group_best = 1;        // a group's score is the sum of its so many best, 1 or 2
    float scale = 1;           // multiplies the weights in the end
    bool operator==(const RoutingRule&) const = default;
};

}  // namespace argosy
