// A machine without numbers: executes step plans on a pool whose slots remember of which token prefix and which group
// of layers they hold the KV, and checks every promise that a plan makes. Its model is a hash: the next token is a
// function of all tokens before it.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "runtime/schedule/scheduler.hpp"

namespace argosy::test {

// What the hash model generates for one sample of a request: tokens and how it ends. Token 0 ends a sequence unless
// ignore_eos.
struct Answer {
    std::vector<std::int32_t> tokens;
    FinishReason finish = FinishReason::none;
    bool operator==(const Answer&) const = default;
};
Answer expected_answer(const Request& request, int sample);

class Simulator {
  public:
    explicit Simulator(const SchedulerConfig& config);

    // Plans, executes and completes one step, checking as it goes (Catch2 REQUIREs). Returns the plan.
    StepPlan step(const StepLimits& limits);
    Scheduler& scheduler() { return scheduler_; }

    // After the end: every sequence has the expected answer, every wanted prompt position was scored, no block is held.
    void check_end() const;

  private:
    void check_limits(const StepPlan& plan, const StepLimits& limits) const;
    void check_span(const StepPlan& plan, const StepSpan& span);
    void check_windows(std::int32_t sequence) const;
    void write_rows(const StepPlan& plan, const StepSpan& span);
    void check_reads(const StepPlan& plan, const StepSpan& span, int positions) const;
    std::vector<std::int32_t> tokens_of(std::int32_t sequence) const;

    SchedulerConfig config_;
    Scheduler scheduler_;
    std::set<std::int32_t> running_;  // before the step
    std::vector<std::uint64_t>
        slots_;  // [blocks * kKvBlockTokens] hash of the token prefix whose last token's KV is here; 0: nothing
    std::set<std::int64_t> written_;                // slots written in this step
    std::map<std::int32_t, std::set<int>> scored_;  // request -> prompt positions whose logits were delivered
};

}  // namespace argosy::test
