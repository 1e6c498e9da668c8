// Tables of which ep rank holds which expert.
#include "parallel/expert_placement.hpp"

#include <fmt/format.h>

#include "kernels/base/error.hpp"
#include "parallel/rank_layout.hpp"

namespace argosy {

ExpertPlacement contiguous_placement(int experts, int ep) {
    if (experts < 0 || ep < 1) fail(ErrorKind::internal, "{} experts cannot be placed on {} ep ranks.", experts, ep);
    std::vector<std::int32_t> owner(static_cast<std::size_t>(experts));
    for (int g = 0; g < ep; ++g) {
        const RowRange mine = row_share(experts, g, ep);
        for (std::int64_t e = mine.begin; e < mine.end; ++e) owner[static_cast<std::size_t>(e)] = g;
    }
    return placement_from(std::move(owner), ep);
}

ExpertPlacement placement_from(std::vector<std::int32_t> owner, int ep) {
    ExpertPlacement placement;
    placement.experts = static_cast<int>(owner.size());
    placement.ep = ep;
    placement.local_index.resize(owner.size());
    placement.local_count.assign(static_cast<std::size_t>(ep), 0);
    for (std::size_t e = 0; e < owner.size(); ++e) {
        if (owner[e] < 0 || owner[e] >= ep) {
            fail(ErrorKind::internal, "Expert {} is placed on ep rank {}, but there are {} ep ranks.", e, owner[e], ep);
        }
        placement.local_index[e] = placement.local_count[static_cast<std::size_t>(owner[e])]++;
    }
    placement.owner = std::move(owner);
    return placement;
}

std::vector<std::int32_t> experts_at(const ExpertPlacement& placement, int ep_rank) {
    std::vector<std::int32_t> ids;
    for (std::int32_t e = 0; e < placement.experts; ++e) {
        if (placement.owner[static_cast<std::size_t>(e)] == ep_rank) ids.push_back(e);
    }
    return ids;
}

std::string describe(const ExpertPlacement& placement) {
    std::string text =
        fmt::format("{} experts on {} ep rank{}:", placement.experts, placement.ep, placement.ep == 1 ? "" : "s");
    for (int g = 0; g < placement.ep; ++g) {
        const std::vector<std::int32_t> ids = experts_at(placement, g);
        text += g == 0 ? " " : " | ";
        if (ids.empty()) text += "none";
        for (std::size_t i = 0; i < ids.size();) {
            std::size_t last = i;
            while (last + 1 < ids.size() && ids[last + 1] == ids[last] + 1) ++last;
            text += fmt::format("{}{}", i == 0 ? "" : ",", ids[i]);
            if (last > i) text += fmt::format("-{}", ids[last]);
            i = last + 1;
        }
    }
    return text;
}

}  // namespace argosy
