// Who is where: world = replicas x pp x dp x tp, the place of every rank in it, and how a layout is chosen or refused.
// Pure.
//
// World rank = ((replica * pp + p) * dp + d) * tp + t. The dp * tp ranks of a replica (pp is 1 in this version) are its
// stage: stage rank s = d * tp + t. Experts are spread over the stage as ep x etp: ep_rank = s / etp owns whole
// experts, etp_rank = s % etp a share of the columns of each. Dense models have ep = etp = 1 and slice their
// feed-forward over tp.
//
// Example: 8 ranks, replicas 2, dp 2, tp 2, ep 2, etp 2. World rank 6 = replica 1, d 1, t 0: stage rank 2, ep_rank 1,
// etp_rank 0.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace argosy {

struct RankLayout {
    int replicas = 1;
    int pp = 1;
    int dp = 1;
    int tp = 1;
    int ep = 1;
    int etp = 1;
    bool operator==(const RankLayout&) const = default;
    int stage_size() const { return dp * tp; }
    int world_size() const { return replicas * pp * dp * tp; }
    int groups() const { return replicas * dp; }  // dp groups of the job: each has a scheduler and claims requests
};

// "replicas 2, dp 1, tp 2, ep 2, etp 1"; pp is named where it is not 1.
std::string describe(const RankLayout& layout);

struct RankPlace {
    int world_rank = 0;
    int replica = 0;
    int pp_rank = 0;
    int dp_rank = 0;
    int tp_rank = 0;
    int stage_rank = 0;  // dp_rank * tp + tp_rank
    int ep_rank = 0;
    int etp_rank = 0;
    int group = 0;  // replica * dp + dp_rank: which of layout.groups() this rank belongs to
    bool operator==(const RankPlace&) const = default;
    bool leads_group() const {
        return tp_rank == 0;
    }  // the rank that claims requests and reports results for its dp group
};
// Error(internal) when world_rank is not in [0, layout.world_size()).
RankPlace place_of(const RankLayout& layout, int world_rank);
std::string describe(const RankPlace& place);

// World rank of the leader (tp_rank 0) of every dp group, ascending.
std::vector<int> group_leaders(const RankLayout& layout);

// What the user asked for; 0: not given.
struct LayoutRequest {
    int replicas = 0;
    int pp = 0;
    int dp = 0;
    int tp = 0;
    int ep = 0;
    int etp = 0;
};

// The sizes of a model that decide which layouts can be.
struct ModelShape {
    int q_heads = 0;
    int kv_heads = 0;
    int experts = 0;  // 0: dense
    std::int64_t expert_intermediate = 0;
    std::int64_t dense_intermediate = 0;  // 0: no dense layer
    std::int64_t vocab = 0;
    // Bytes a rank needs (weights, useful KV, buffers) under a layout, and what it may have. Without the function
    // everything fits.
    std::function<std::int64_t(const RankLayout&)> bytes_needed;
    std::int64_t bytes_max = 0;
};

// Every layout that can be on `world` ranks: tp and etp are 1, 2, 4 or 8, ep * etp = dp * tp (dense: both 1), and no
// rank is left without a share of heads, dense columns, vocabulary or experts. Ordered by (replicas falling, tp, etp
// rising).
std::vector<RankLayout> list_layouts(int world, const ModelShape& shape);

// Fills in what was not given. Of the layouts that agree with the request the first in this order wins: memory
// suffices; more replicas; smaller etp; smaller tp. So on N ranks `--tp N` alone gives tp = N, ep = N; `--dp N` or
// `--ep N` alone dp = N, ep = N; nothing at all gives replicas = N when the model fits, else the narrowest groups that
// fit. Where nothing fits, the layout that needs least. Error(usage) for a request that cannot be; the sentence says
// why and lists the layouts that can.
RankLayout resolve_layout(int world, const LayoutRequest& request, const ModelShape& shape);

// Rows [begin, end) of R rows that part t of T owns: [R*t/T, R*(t+1)/T).
struct RowRange {
    std::int64_t begin = 0;
    std::int64_t end = 0;
    std::int64_t count() const { return end - begin; }
    bool operator==(const RowRange&) const = default;
};
inline RowRange row_share(std::int64_t rows, int part, int parts) {
    return {rows * part / parts, rows * (part + 1) / parts};
}

}  // namespace argosy
