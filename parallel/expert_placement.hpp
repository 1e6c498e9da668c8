// Which ep rank holds which expert: a table, so that a later placement may differ from the contiguous one. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace argosy {

struct ExpertPlacement {
    int experts = 0;
    int ep = 1;
    std::vector<std::int32_t> owner;  // [experts] ep rank of each expert
    std::vector<std::int32_t>
        local_index;  // [experts] its place among the owner's experts, which stand in ascending order
    std::vector<std::int32_t> local_count;  // [ep] experts of each ep rank; may be 0
    bool operator==(const ExpertPlacement&) const = default;
};

// ep rank g owns experts [E*g/ep, E*(g+1)/ep).
ExpertPlacement contiguous_placement(int experts, int ep);

// From an owner for every expert. Error(internal) when an owner is not in [0, ep).
ExpertPlacement placement_from(std::vector<std::int32_t> owner, int ep);

// Global ids of the experts of one ep rank, ascending: the order of its groups.
std::vector<std::int32_t> experts_at(const ExpertPlacement& placement, int ep_rank);

// "8 experts on 3 ep ranks: 0-1 | 2-4 | 5-7".
std::string describe(const ExpertPlacement& placement);

}  // namespace argosy
