// Routes: from the router's ids to rows on the wire, groups, subtrees and the way home.
#include "parallel/route_plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "kernels/base/error.hpp"
#include "parallel/combine_tree.hpp"

namespace argosy {

namespace {

// The runs of one row after another, without allocating per row.
class RowRuns {
  public:
    explicit RowRuns(int top_k) : owner_(static_cast<std::size_t>(top_k)) {}

    // Runs of a row's ids [top_k].
    const std::vector<TreeRun>& of(std::span<const std::int32_t> ids, const ExpertPlacement& placement) {
        for (std::size_t i = 0; i < ids.size(); ++i) owner_[i] = placement.owner[static_cast<std::size_t>(ids[i])];
        tree_runs(ids, owner_, runs_);
        return runs_;
    }
    // Owner of a run of the last row asked for.
    std::int32_t owner(const TreeRun& run) const { return owner_[static_cast<std::size_t>(run.begin)]; }

  private:
    std::vector<std::int32_t> owner_;
    std::vector<TreeRun> runs_;
};

std::span<const std::int32_t> row_ids(const std::int32_t* ids, std::int64_t row, int top_k) {
    return {ids + row * top_k, static_cast<std::size_t>(top_k)};
}

void check_ids(int rows, int top_k, const std::int32_t* ids, int experts) {
    for (int row = 0; row < rows; ++row) {
        const auto chosen = row_ids(ids, row, top_k);
        for (std::size_t i = 0; i < chosen.size(); ++i) {
            if (chosen[i] < 0 || chosen[i] >= experts || (i > 0 && chosen[i] <= chosen[i - 1])) {
                fail(ErrorKind::internal,
                     "The router gave row {} the experts {}, and of {} experts each may stand there once.", row,
                     fmt::join(chosen, ", "), experts);
            }
        }
    }
}

// ids and weights of each row, by rising id.
void sort_choices(RoutePlan& plan, const std::int32_t* ids, const float* weights) {
    const std::size_t count = static_cast<std::size_t>(plan.rows) * static_cast<std::size_t>(plan.top_k);
    plan.ids.resize(count);
    plan.weights.resize(count);
    std::vector<int> order(static_cast<std::size_t>(plan.top_k));
    for (std::size_t at = 0; at < count; at += order.size()) {
        std::iota(order.begin(), order.end(), 0);
        std::sort(order.begin(), order.end(), [&](int a, int b) { return ids[at + a] < ids[at + b]; });
        for (std::size_t i = 0; i < order.size(); ++i) {
            plan.ids[at + i] = ids[at + static_cast<std::size_t>(order[i])];
            plan.weights[at + i] = weights[at + static_cast<std::size_t>(order[i])];
        }
    }
}

}  // namespace

CombineArgs CombinePlan::args(int columns, const float* source, const float* residual, float* out) const {
    CombineArgs a;
    a.rows = rows();
    a.columns = columns;
    a.leaf_begin = leaf_begin.data();
    a.leaf_source = leaf_source.data();
    a.leaf_weight = leaf_weight.empty() ? nullptr : leaf_weight.data();
    a.leaf_merges = leaf_merges.data();
    a.source = source;
    a.residual = residual;
    a.out = out;
    return a;
}

RoutePlan make_route_plan(int rows, int top_k, const std::int32_t* ids, const float* weights,
                          const ExpertPlacement& placement) {
    RoutePlan plan;
    plan.rows = rows;
    plan.top_k = top_k;
    sort_choices(plan, ids, weights);
    check_ids(rows, top_k, plan.ids.data(), placement.experts);

    // Counting, then filling: rows stay ascending within each destination. Owners need not ascend with ids, so the row
    // last seen by each destination tells whether it has this row already.
    const std::size_t ep = static_cast<std::size_t>(placement.ep);
    std::vector<std::int32_t> last_row(ep, -1);
    plan.send_begin.assign(ep + 1, 0);
    const auto for_each_send = [&](auto&& visit) {
        std::fill(last_row.begin(), last_row.end(), -1);
        for (std::int32_t row = 0; row < rows; ++row) {
            for (const std::int32_t id : row_ids(plan.ids.data(), row, top_k)) {
                const auto g = static_cast<std::size_t>(placement.owner[static_cast<std::size_t>(id)]);
                if (last_row[g] == row) continue;
                last_row[g] = row;
                visit(g, row);
            }
        }
    };
    for_each_send([&](std::size_t g, std::int32_t) { ++plan.send_begin[g + 1]; });
    std::partial_sum(plan.send_begin.begin(), plan.send_begin.end(), plan.send_begin.begin());
    plan.send_row.resize(static_cast<std::size_t>(plan.send_begin[ep]));
    std::vector<std::int32_t> next(plan.send_begin.begin(), plan.send_begin.end() - 1);
    for_each_send([&](std::size_t g, std::int32_t row) { plan.send_row[static_cast<std::size_t>(next[g]++)] = row; });
    return plan;
}

std::string describe(const RoutePlan& plan) {
    std::string text = fmt::format("{} rows, top {}:", plan.rows, plan.top_k);
    for (int g = 0; g + 1 < static_cast<int>(plan.send_begin.size()); ++g) {
        text += fmt::format("{}{} to ep rank {}", g == 0 ? " " : ", ", plan.send_count(g), g);
    }
    return text;
}

RowRange round_share(std::int64_t count, int round, std::int64_t rows_per_round) {
    return {std::min(count, round * rows_per_round), std::min(count, (round + 1) * rows_per_round)};
}

int rounds_for(std::int64_t count_max, std::int64_t rows_per_round) {
    return static_cast<int>((count_max + rows_per_round - 1) / rows_per_round);
}

namespace {

// group_begin, row_index; and for every (row, position in its ids) the grouped row, or -1 where another ep rank owns
// it.
std::vector<std::int32_t> group_rows(ReceivePlan& plan, int top_k, const std::int32_t* ids,
                                     const ExpertPlacement& placement, int ep_rank) {
    const auto groups = static_cast<std::size_t>(placement.local_count[static_cast<std::size_t>(ep_rank)]);
    const std::int64_t count = static_cast<std::int64_t>(plan.rows) * top_k;
    plan.group_begin.assign(groups + 1, 0);
    const auto mine = [&](std::int64_t at) { return placement.owner[static_cast<std::size_t>(ids[at])] == ep_rank; };
    const auto group = [&](std::int64_t at) {
        return static_cast<std::size_t>(placement.local_index[static_cast<std::size_t>(ids[at])]);
    };
    for (std::int64_t at = 0; at < count; ++at) {
        if (mine(at)) ++plan.group_begin[group(at) + 1];
    }
    std::partial_sum(plan.group_begin.begin(), plan.group_begin.end(), plan.group_begin.begin());
    plan.row_index.resize(static_cast<std::size_t>(plan.group_begin[groups]));
    std::vector<std::int32_t> next(plan.group_begin.begin(), plan.group_begin.end() - 1);
    std::vector<std::int32_t> grouped(static_cast<std::size_t>(count), -1);
    for (std::int64_t at = 0; at < count; ++at) {
        if (!mine(at)) continue;
        const std::int32_t to = next[group(at)]++;
        plan.row_index[static_cast<std::size_t>(to)] = static_cast<std::int32_t>(at / top_k);
        grouped[static_cast<std::size_t>(at)] = to;
    }
    return grouped;
}

// The etp member that combines each received row.
std::vector<std::int32_t> member_of_rows(std::span<const std::int32_t> source_count, int etp) {
    std::vector<std::int32_t> member;
    for (const std::int32_t count : source_count) {
        for (int e = 0; e < etp; ++e)
            member.insert(member.end(), static_cast<std::size_t>(row_share(count, e, etp).count()), e);
    }
    return member;
}

// Cuts the grouped rows by member; returns for every grouped row its place in its member's list.
std::vector<std::int32_t> cut_by_member(ReceivePlan& plan, const std::vector<std::int32_t>& member, int etp) {
    plan.member_begin.assign(static_cast<std::size_t>(etp) + 1, 0);
    const auto member_of = [&](std::int32_t received) {
        return static_cast<std::size_t>(member[static_cast<std::size_t>(received)]);
    };
    for (const std::int32_t received : plan.row_index) ++plan.member_begin[member_of(received) + 1];
    std::partial_sum(plan.member_begin.begin(), plan.member_begin.end(), plan.member_begin.begin());
    std::vector<std::int32_t> next(plan.member_begin.begin(), plan.member_begin.end() - 1);
    std::vector<std::int32_t> place(plan.row_index.size());
    plan.member_grouped.resize(plan.row_index.size());
    for (std::size_t r = 0; r < plan.row_index.size(); ++r) {
        const std::size_t e = member_of(plan.row_index[r]);
        place[r] = next[e] - plan.member_begin[e];
        plan.member_grouped[static_cast<std::size_t>(next[e]++)] = static_cast<std::int32_t>(r);
    }
    return place;
}

// Appends one output row: the subtree over `ids`, with sources and weights.
void append_subtree(CombinePlan& plan, std::span<const std::int32_t> ids) {
    const std::size_t at = plan.leaf_merges.size();
    plan.leaf_merges.resize(at + ids.size());
    postfix_merges(ids, std::span(plan.leaf_merges).subspan(at));
    plan.leaf_begin.push_back(static_cast<std::int32_t>(plan.leaf_merges.size()));
}

}  // namespace

ReceivePlan make_receive_plan(std::span<const std::int32_t> source_count, int top_k, const std::int32_t* ids,
                              const float* weights, const ExpertPlacement& placement, int ep_rank, int etp_rank,
                              int etp) {
    ReceivePlan plan;
    plan.rows = std::accumulate(source_count.begin(), source_count.end(), 0);
    check_ids(plan.rows, top_k, ids, placement.experts);
    const std::vector<std::int32_t> grouped = group_rows(plan, top_k, ids, placement, ep_rank);
    const std::vector<std::int32_t> member = member_of_rows(source_count, etp);
    const std::vector<std::int32_t> place = cut_by_member(plan, member, etp);

    plan.combine.leaf_begin.push_back(0);
    plan.return_count.assign(source_count.size(), 0);
    RowRuns runs(top_k);
    std::int64_t row = 0;
    for (std::size_t source = 0; source < source_count.size(); ++source) {
        for (std::int32_t n = 0; n < source_count[source]; ++n, ++row) {
            if (member[static_cast<std::size_t>(row)] != etp_rank) continue;
            const auto chosen = row_ids(ids, row, top_k);
            for (const TreeRun& run : runs.of(chosen, placement)) {
                if (runs.owner(run) != ep_rank) continue;
                for (int i = run.begin; i < run.end; ++i) {
                    const auto at = static_cast<std::size_t>(row * top_k + i);
                    plan.combine.leaf_source.push_back(place[static_cast<std::size_t>(grouped[at])]);
                    plan.combine.leaf_weight.push_back(weights[at]);
                }
                append_subtree(plan.combine, chosen.subspan(static_cast<std::size_t>(run.begin),
                                                            static_cast<std::size_t>(run.end - run.begin)));
                ++plan.return_count[source];
            }
        }
    }
    return plan;
}

namespace {

// Where each run of each row will stand among the returned rows: place[row * top_k + first position of the run].
std::vector<std::int32_t> returned_places(FinishPlan& finish, const RoutePlan& plan, const ExpertPlacement& placement,
                                          int etp, int rounds, std::int64_t rows_per_round) {
    std::vector<std::int32_t> place(plan.ids.size(), -1);
    RowRuns runs(plan.top_k);
    for (int round = 0; round < rounds; ++round) {
        for (int g = 0; g < placement.ep; ++g) {
            const RowRange sent = round_share(plan.send_count(g), round, rows_per_round);
            for (int e = 0; e < etp; ++e) {
                const RowRange share = row_share(sent.count(), e, etp);
                const std::int32_t before = finish.returned_rows;
                for (std::int64_t n = sent.begin + share.begin; n < sent.begin + share.end; ++n) {
                    const std::int64_t row =
                        plan.send_row[static_cast<std::size_t>(plan.send_begin[static_cast<std::size_t>(g)] + n)];
                    for (const TreeRun& run : runs.of(row_ids(plan.ids.data(), row, plan.top_k), placement)) {
                        if (runs.owner(run) == g)
                            place[static_cast<std::size_t>(row * plan.top_k + run.begin)] = finish.returned_rows++;
                    }
                }
                finish.return_count.push_back(finish.returned_rows - before);
            }
        }
    }
    return place;
}

}  // namespace

FinishPlan make_finish_plan(const RoutePlan& plan, const ExpertPlacement& placement, int etp, int rounds,
                            std::int64_t rows_per_round) {
    FinishPlan finish;
    const std::vector<std::int32_t> place = returned_places(finish, plan, placement, etp, rounds, rows_per_round);
    finish.combine.leaf_begin.push_back(0);
    std::vector<std::int32_t> firsts;
    RowRuns runs(plan.top_k);
    for (std::int64_t row = 0; row < plan.rows; ++row) {
        const auto chosen = row_ids(plan.ids.data(), row, plan.top_k);
        firsts.clear();
        for (const TreeRun& run : runs.of(chosen, placement)) {
            firsts.push_back(chosen[static_cast<std::size_t>(run.begin)]);
            finish.combine.leaf_source.push_back(place[static_cast<std::size_t>(row * plan.top_k + run.begin)]);
        }
        append_subtree(finish.combine, firsts);
    }
    return finish;
}

CombinePlan make_local_combine(const RoutePlan& plan, const ReceivePlan& grouping, const ExpertPlacement& placement) {
    // Within a group rows ascend, so walking rows in order meets each group's rows in order.
    std::vector<std::int32_t> next(grouping.group_begin.begin(), grouping.group_begin.end() - 1);
    CombinePlan combine;
    combine.leaf_begin.push_back(0);
    combine.leaf_weight = plan.weights;
    for (std::int64_t row = 0; row < plan.rows; ++row) {
        const auto chosen = row_ids(plan.ids.data(), row, plan.top_k);
        for (const std::int32_t id : chosen) {
            combine.leaf_source.push_back(
                next[static_cast<std::size_t>(placement.local_index[static_cast<std::size_t>(id)])]++);
        }
        append_subtree(combine, chosen);
    }
    return combine;
}

}  // namespace argosy
