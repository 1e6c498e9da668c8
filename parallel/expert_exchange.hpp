// Dispatches rows to the ranks that hold their experts and combines the results back, in rounds of bounded size, with
// R4's bits.
//
//     int rounds = exchange.begin(rows, ids, weights, x);
//     for (int round = 0; round < rounds; ++round) {
//         const ExpertExchange::Received& in = exchange.dispatch(round);
//         gate_up and leaf_projection over in.group_begin / in.row_index -> y [in.grouped_rows, hidden]
//         exchange.return_results(round, y, stream);
//     }
//     exchange.finish(residual, out, stream);   // out = residual + tree
//
// Every call is collective over the stage, for ranks with zero rows too. What one step sends: a count per ep rank
// (all_gather), ids and weights (all_to_all_v), and per round hidden rows there, partial sums over etp where etp > 1,
// and one row per subtree back.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/base/buffer.hpp"
#include "kernels/ops.hpp"
#include "parallel/communicator.hpp"
#include "parallel/expert_placement.hpp"
#include "parallel/route_plan.hpp"

namespace argosy {

class ExpertExchange {
  public:
    struct Config {
        ExpertPlacement placement;
        int hidden = 0;
        int top_k = 0;
        std::int64_t rows_per_round = 0;  // most rows from one rank to one other in a round
        std::uint32_t etp_present =
            1;  // bit e: etp rank e owns a leaf of the experts' intermediate (present_parts in leaf_sum.hpp)
    };
    // stage: by stage rank; etp: the ranks of one ep rank; stage.size() == placement.ep * etp.size(). The references
    // outlive the object. Error(internal) when these do not fit together.
    ExpertExchange(Communicator& stage, Communicator& etp, const Ops& ops, Config config);

    // x [rows, hidden] is read until the last dispatch; ids, weights [rows, top_k] only now. Returns the rounds of this
    // step, the same on all ranks; 0 when no rank has rows.
    int begin(int rows, const std::int32_t* ids, const float* weights, const float* x);

    // One round's work for this rank's experts, valid until the next dispatch.
    struct Received {
        int rows = 0;                               // rows of x
        int groups = 0;                             // local experts
        int grouped_rows = 0;                       // rows of y
        const std::int32_t* group_begin = nullptr;  // [groups + 1]
        const std::int32_t* row_index = nullptr;    // [grouped_rows] row of x
        const float* x = nullptr;                   // [rows, hidden]
    };
    const Received& dispatch(int round);

    // y [grouped_rows, hidden]: this rank's leaves joined, not yet weighted; null if it owns no leaf or got no rows.
    // With a stage of one rank y is read by finish(); else it is free when this returns.
    void return_results(int round, const float* y, const Stream& stream);

    // out = residual + tree, [rows, hidden]; residual may be null, and out may be residual.
    void finish(const float* residual, float* out, const Stream& stream);

    // Most rows of x, and of y, that a round can bring: for the caller's buffers. max_step_rows: most own rows of any
    // rank of the stage.
    std::int64_t received_rows_max(std::int64_t max_step_rows) const;
    std::int64_t grouped_rows_max(std::int64_t max_step_rows) const;

    // What the plans of this rank say it sends, since the start: equals the communicators' counted bytes.
    struct PlannedTraffic {
        std::int64_t steps = 0;
        std::int64_t rounds = 0;
        std::int64_t rows_sent = 0;       // to other ranks, hidden rows there
        std::int64_t rows_returned = 0;   // to other ranks, subtree rows back
        std::int64_t count_bytes = 0;     // all_gather on stage
        std::int64_t choice_bytes = 0;    // ids and weights, on stage
        std::int64_t dispatch_bytes = 0;  // on stage
        std::int64_t return_bytes = 0;    // on stage
        std::int64_t etp_bytes = 0;       // on etp
        bool operator==(const PlannedTraffic&) const = default;
        std::int64_t stage_bytes() const { return count_bytes + choice_bytes + dispatch_bytes + return_bytes; }
    };
    const PlannedTraffic& planned() const { return planned_; }
    const RoutePlan& route_plan() const { return plan_; }
    std::int64_t workspace_bytes() const;

  private:
    void agree_on_counts();
    void exchange_choices();
    void plan_round(int round);
    void exchange_partials(const float* y);
    std::int64_t rows_to_come(int source, int ep_rank) const;

    Communicator& stage_;
    Communicator& etp_;
    const Ops& ops_;
    Config config_;
    int ep_rank_ = 0;
    int rounds_ = 0;
    const float* x_ = nullptr;
    const float* y_ = nullptr;  // stage of one rank: the results, until finish()

    RoutePlan plan_;
    FinishPlan finish_plan_;
    CombinePlan local_combine_;
    ReceivePlan received_plan_;
    Received received_;
    PlannedTraffic planned_;
    std::vector<std::int32_t> counts_;        // [stage, ep] rows from each rank to each ep rank, in the whole step
    std::vector<std::int32_t> source_begin_;  // [stage + 1] of the rows that come to this rank in the whole step
    std::vector<std::int32_t> step_ids_;      // [rows to come, top_k]
    std::vector<float> step_weights_;         // [rows to come, top_k]
    std::vector<std::int32_t> round_ids_;     // [rows of the round, top_k]
    std::vector<float> round_weights_;
    std::vector<std::int32_t> source_count_;  // [stage] rows of the round
    std::vector<SendPart> send_;
    std::vector<ReceivePart> receive_;
    std::vector<const float*> partials_;             // [etp]
    std::vector<const std::int32_t*> partial_rows_;  // [etp]
    std::int64_t returned_ = 0;                      // rows that have come home so far
    Buffer choices_send_;
    Buffer choices_receive_;
    Buffer x_send_;
    Buffer x_receive_;
    Buffer member_send_;     // [grouped rows by member, hidden]
    Buffer member_receive_;  // [etp, own grouped rows, hidden]
    Buffer subtree_;         // [rows to return, hidden]
    Buffer home_;            // [returned rows, hidden]
};

}  // namespace argosy
