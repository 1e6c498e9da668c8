// Where rows go for their experts, in which order they are computed there, and how their results find home. Pure:
// values in, values out.
//
// On the owner of rows: make_route_plan says which rows go to which ep rank, in rounds; make_finish_plan says how
// returned rows join. On a receiver: make_receive_plan groups one round's rows by local expert and says which partial
// sums it returns. Both sides compute the runs of rule R4 (combine_tree.hpp) from the same ids, so no description of
// the returned rows travels.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kernels/ops.hpp"
#include "parallel/expert_placement.hpp"
#include "parallel/rank_layout.hpp"

namespace argosy {

// Arrays of a CombineArgs, by value.
struct CombinePlan {
    std::vector<std::int32_t> leaf_begin;   // [rows + 1]
    std::vector<std::int32_t> leaf_source;  // [leaves]
    std::vector<float> leaf_weight;         // [leaves], or empty: no weights
    std::vector<std::uint8_t> leaf_merges;  // [leaves]
    bool operator==(const CombinePlan&) const = default;
    int rows() const { return leaf_begin.empty() ? 0 : static_cast<int>(leaf_begin.size()) - 1; }
    CombineArgs args(int columns, const float* source, const float* residual, float* out) const;
};

// The rows of one rank and where they go. Each (row, ep rank) is sent once, rows ascending.
struct RoutePlan {
    int rows = 0;
    int top_k = 0;
    std::vector<std::int32_t> ids;         // [rows, top_k] ascending in each row
    std::vector<float> weights;            // [rows, top_k] of those ids
    std::vector<std::int32_t> send_begin;  // [ep + 1]
    std::vector<std::int32_t> send_row;    // rows for ep rank g: [send_begin[g], send_begin[g+1])
    bool operator==(const RoutePlan&) const = default;
    int send_count(int ep_rank) const { return send_begin[ep_rank + 1] - send_begin[ep_rank]; }
};

// ids, weights: [rows, top_k] from the router, in any order. Error(internal) for an id that is no expert or stands
// twice in a row.
RoutePlan make_route_plan(int rows, int top_k, const std::int32_t* ids, const float* weights,
                          const ExpertPlacement& placement);
// "12 rows, top 2: 7 to ep rank 0, 9 to ep rank 1".
std::string describe(const RoutePlan& plan);

// The part of `count` rows for one destination that travels in a round: rows [begin, end) of them.
RowRange round_share(std::int64_t count, int round, std::int64_t rows_per_round);
// Rounds that the largest count needs.
int rounds_for(std::int64_t count_max, std::int64_t rows_per_round);

// What a rank does with the rows of one round. Rows stand in order of (source stage rank, row).
struct ReceivePlan {
    int rows = 0;                           // rows received
    std::vector<std::int32_t> group_begin;  // [local experts + 1]
    std::vector<std::int32_t> row_index;    // [grouped rows] received row of each grouped row; ascending within a group

    // With etp > 1 every member of the etp group computes all grouped rows with its columns; member e then joins and
    // combines those of the received rows that it owns: of each source's n rows [n*e/etp, n*(e+1)/etp). Grouped rows by
    // member, each list ascending:
    std::vector<std::int32_t> member_begin;    // [etp + 1]
    std::vector<std::int32_t> member_grouped;  // grouped rows of member e: [member_begin[e], member_begin[e+1])

    CombinePlan combine;  // of this member: leaf_source counts its grouped rows; rows by (source, row, run)
    std::vector<std::int32_t> return_count;  // [stage size] rows to each source
    bool operator==(const ReceivePlan&) const = default;
    int grouped_rows() const { return static_cast<int>(row_index.size()); }
};

// ids, weights: [rows, top_k] of the received rows, ids ascending; source_count [stage size] rows from each stage rank.
ReceivePlan make_receive_plan(std::span<const std::int32_t> source_count, int top_k, const std::int32_t* ids,
                              const float* weights, const ExpertPlacement& placement, int ep_rank, int etp_rank,
                              int etp);

// How the owner joins what came back. Returned rows stand in order of (round, stage rank, row, run).
struct FinishPlan {
    std::vector<std::int32_t> return_count;  // [rounds, stage size] rows that come from each stage rank
    int returned_rows = 0;
    CombinePlan combine;  // without weights; one output row per own row
    bool operator==(const FinishPlan&) const = default;
};
FinishPlan make_finish_plan(const RoutePlan& plan, const ExpertPlacement& placement, int etp, int rounds,
                            std::int64_t rows_per_round);

// The whole tree of each row in one go, for a stage of one rank: leaf_source counts grouped rows.
CombinePlan make_local_combine(const RoutePlan& plan, const ReceivePlan& grouping, const ExpertPlacement& placement);

}  // namespace argosy
