// Choosing, checking and naming layouts.
#include "parallel/rank_layout.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <tuple>

#include "kernels/base/error.hpp"
#include "kernels/base/leaf_tree.hpp"

namespace argosy {

namespace {

constexpr std::array<int, 4> kLeafParts = {1, 2, 4, 8};  // into how many ranks 8 leaves can be cut
constexpr int kVocabUnitRows = 16;                       // the vocabulary is cut between panels of 16 rows

bool is_leaf_parts(int parts) { return std::find(kLeafParts.begin(), kLeafParts.end(), parts) != kLeafParts.end(); }

bool owns_leaf(std::int64_t units, int part, int parts) { return leaf_share(units, 1, part, parts).cut.columns() > 0; }

// Stage rank s of the layout owns at least one unit of something.
bool owns_anything(const RankLayout& layout, const ModelShape& shape, int s) {
    const int t = s % layout.tp;
    if (owns_leaf(shape.q_heads, t, layout.tp) || owns_leaf(shape.dense_intermediate, t, layout.tp)) return true;
    if (row_share((shape.vocab + kVocabUnitRows - 1) / kVocabUnitRows, t, layout.tp).count() > 0) return true;
    return row_share(shape.experts, s / layout.etp, layout.ep).count() > 0 &&
           owns_leaf(shape.expert_intermediate, s % layout.etp, layout.etp);
}

bool nobody_is_idle(const RankLayout& layout, const ModelShape& shape) {
    for (int s = 0; s < layout.stage_size(); ++s) {
        if (!owns_anything(layout, shape, s)) return false;
    }
    return true;
}

void append_layouts_of_stage(int world, int stage, const ModelShape& shape, std::vector<RankLayout>& layouts) {
    for (const int tp : kLeafParts) {
        if (stage % tp != 0) continue;
        for (const int etp : kLeafParts) {
            const bool dense = shape.experts == 0;
            if (dense ? etp != 1 : stage % etp != 0) continue;
            const RankLayout layout{world / stage, 1, stage / tp, tp, dense ? 1 : stage / etp, etp};
            if (nobody_is_idle(layout, shape)) layouts.push_back(layout);
        }
    }
}

bool agrees(const RankLayout& layout, const LayoutRequest& request) {
    const auto same = [](int given, int value) { return given == 0 || given == value; };
    return same(request.replicas, layout.replicas) && same(request.pp, layout.pp) && same(request.dp, layout.dp) &&
           same(request.tp, layout.tp) && same(request.ep, layout.ep) && same(request.etp, layout.etp);
}

std::string describe(const LayoutRequest& request) {
    std::string text;
    const auto add = [&](const char* name, int value) {
        if (value != 0) text += fmt::format("{}--{} {}", text.empty() ? "" : " ", name, value);
    };
    add("replicas", request.replicas);
    add("pp", request.pp);
    add("dp", request.dp);
    add("tp", request.tp);
    add("ep", request.ep);
    add("etp", request.etp);
    return text;
}

// Why a request cannot be, as the first half of the refusal.
std::string reason_of(int world, const LayoutRequest& request, const ModelShape& shape) {
    if (request.tp != 0 && !is_leaf_parts(request.tp))
        return fmt::format("--tp is {}, and it must be 1, 2, 4 or 8", request.tp);
    if (request.etp != 0 && !is_leaf_parts(request.etp)) {
        return fmt::format("--etp is {}, and it must be 1, 2, 4 or 8", request.etp);
    }
    if (shape.experts == 0 && (request.ep > 1 || request.etp > 1)) {
        return fmt::format("a dense model has no experts to spread, so {} cannot be: use --tp or --replicas",
                           describe(request));
    }
    const auto or_one = [](int value) { return value == 0 ? 1 : value; };
    const std::int64_t product =
        static_cast<std::int64_t>(or_one(request.replicas)) * or_one(request.dp) * or_one(request.tp);
    if (world % product != 0) {
        return fmt::format("replicas x dp x tp must make up all {} rank{}, and {} does not divide {}", world,
                           world == 1 ? "" : "s", product, world);
    }
    const std::int64_t experts_product = static_cast<std::int64_t>(or_one(request.ep)) * or_one(request.etp);
    if (world % experts_product != 0) {
        return fmt::format("ep x etp must equal dp x tp, and {} does not divide {} ranks", experts_product, world);
    }
    return fmt::format(
        "no layout of {} rank{} agrees with {} (replicas x dp x tp = ranks, ep x etp = dp x tp, and every rank must "
        "own a share of something)",
        world, world == 1 ? "" : "s", describe(request));
}

std::string list_text(const std::vector<RankLayout>& layouts) {
    constexpr std::size_t kShown = 24;
    std::string text;
    for (std::size_t i = 0; i < std::min(layouts.size(), kShown); ++i) text += "\n  " + describe(layouts[i]);
    if (layouts.size() > kShown) text += fmt::format("\n  and {} more", layouts.size() - kShown);
    return text;
}

void check_request(int world, const LayoutRequest& request) {
    if (world < 1) fail(ErrorKind::internal, "A layout was asked for {} ranks.", world);
    for (const auto& [name, value] : {std::pair{"replicas", request.replicas},
                                      {"pp", request.pp},
                                      {"dp", request.dp},
                                      {"tp", request.tp},
                                      {"ep", request.ep},
                                      {"etp", request.etp}}) {
        if (value < 0) fail(ErrorKind::usage, "--{} is {}, and it must be at least 1.", name, value);
    }
    if (request.pp > 1) {
        fail(ErrorKind::usage,
             "--pp is {}, but this version has no pipeline parallelism. Leave --pp out, or set it to 1.", request.pp);
    }
}

}  // namespace

std::string describe(const RankLayout& layout) {
    const std::string pp = layout.pp == 1 ? "" : fmt::format("pp {}, ", layout.pp);
    return fmt::format("replicas {}, {}dp {}, tp {}, ep {}, etp {}", layout.replicas, pp, layout.dp, layout.tp,
                       layout.ep, layout.etp);
}

RankPlace place_of(const RankLayout& layout, int world_rank) {
    if (world_rank < 0 || world_rank >= layout.world_size()) {
        fail(ErrorKind::internal, "Rank {} has no place in a layout of {} ranks ({}).", world_rank, layout.world_size(),
             describe(layout));
    }
    RankPlace place;
    place.world_rank = world_rank;
    place.tp_rank = world_rank % layout.tp;
    place.dp_rank = world_rank / layout.tp % layout.dp;
    place.pp_rank = world_rank / layout.stage_size() % layout.pp;
    place.replica = world_rank / (layout.stage_size() * layout.pp);
    place.stage_rank = place.dp_rank * layout.tp + place.tp_rank;
    if (layout.ep * layout.etp > 1) {
        place.ep_rank = place.stage_rank / layout.etp;
        place.etp_rank = place.stage_rank % layout.etp;
    }
    place.group = place.replica * layout.dp + place.dp_rank;
    return place;
}

std::string describe(const RankPlace& place) {
    return fmt::format("rank {}: replica {}, dp {}, tp {}, ep {}, etp {}", place.world_rank, place.replica,
                       place.dp_rank, place.tp_rank, place.ep_rank, place.etp_rank);
}

std::vector<int> group_leaders(const RankLayout& layout) {
    std::vector<int> leaders;
    for (int rank = 0; rank < layout.world_size(); ++rank) {
        const RankPlace place = place_of(layout, rank);
        if (place.leads_group() && place.pp_rank == 0) leaders.push_back(rank);
    }
    return leaders;
}

std::vector<RankLayout> list_layouts(int world, const ModelShape& shape) {
    std::vector<RankLayout> layouts;
    for (int stage = 1; stage <= world; ++stage) {
        if (world % stage == 0) append_layouts_of_stage(world, stage, shape, layouts);
    }
    return layouts;
}

RankLayout resolve_layout(int world, const LayoutRequest& request, const ModelShape& shape) {
    check_request(world, request);
    const std::vector<RankLayout> possible = list_layouts(world, shape);
    std::vector<RankLayout> candidates;
    std::copy_if(possible.begin(), possible.end(), std::back_inserter(candidates),
                 [&](const RankLayout& layout) { return agrees(layout, request); });
    if (candidates.empty()) {
        fail(ErrorKind::usage, "This layout cannot be: {}. Layouts of {} rank{} that can:{}",
             reason_of(world, request, shape), world, world == 1 ? "" : "s", list_text(possible));
    }
    // Bytes over the limit come first in the key: 0 for all that fit, so that they are told apart by the rest.
    const auto key = [&](const RankLayout& layout) {
        const std::int64_t needed = shape.bytes_needed ? shape.bytes_needed(layout) : 0;
        const std::int64_t over = shape.bytes_needed ? std::max<std::int64_t>(0, needed - shape.bytes_max) : 0;
        return std::tuple(over, -layout.replicas, layout.etp, layout.tp);
    };
    return *std::min_element(candidates.begin(), candidates.end(),
                             [&](const RankLayout& a, const RankLayout& b) { return key(a) < key(b); });
}

}  // namespace argosy
