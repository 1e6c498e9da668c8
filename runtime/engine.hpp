// The engine of one data-parallel group on one rank: scheduler, forward pass and texts, one step at a time. Every
// tensor-parallel rank of the group runs its own, with the same calls in the same order, and so holds the same state.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "parallel/step_control.hpp"
#include "runtime/account/ledger.hpp"
#include "runtime/forward/model_runner.hpp"
#include "runtime/forward/token_adjustments.hpp"
#include "runtime/generation.hpp"
#include "runtime/schedule/scheduler.hpp"
#include "runtime/text/tokenizer.hpp"

namespace argosy {

// How many rows each group may take in the next step, from what all groups of the stage want to do. Pure; the same on
// all ranks that saw the same words. Groups that still prefill would make groups that only decode wait, a whole prefill
// for one token; so while some group only decodes, prefill is held to as many rows as the largest group decodes, but at
// least a quarter of a step, so that prefill never starves. Example: max_rows 512, groups with 40 decode rows and no
// prefill, and 8 decode rows and 2,000 prefill rows: at most 128 prefill rows.
StepLimits agree_limits(std::span<const StepWord> words, int max_rows);

struct EngineConfig {
    SchedulerConfig scheduler;
    int max_rows = 512;
    std::vector<int> eos_ids;
    bool leader = true;      // keeps answers; others only follow where a stop text must be seen
    std::string model_name;  // in answers
    bool record = false;     // logits of every prompt row
};

class Engine {
  public:
    Engine(const EngineConfig& config, const Tokenizer& tokenizer, ModelRunner& runner, AccountClock& clock,
           RankLedger& ledger);

    // Takes a run of requests, behind all taken before. metadata[i] goes into the answer of requests[i] as it is.
    void add(std::vector<Request> requests, std::vector<std::string> metadata);

    // One step within `limits`. Collective over the stage; a group with nothing to do takes part with no rows when
    // others have some.
    void step(const StepLimits& limits, bool others_have_rows);

    StepDemand demand() const { return scheduler_.demand(); }
    bool idle() const { return scheduler_.done(); }
    std::uint64_t last_plan_hash() const { return last_plan_hash_; }
    // Requests taken and not answered yet.
    std::int64_t unfinished() const { return static_cast<std::int64_t>(answers_.size()); }
    int last_finished() const { return last_finished_; }  // requests answered in the last step

    // Answers finished since the last call, in the order in which they finished. Empty on ranks that do not lead.
    std::vector<RequestResult> take_finished();
    std::vector<LineError> take_refused();

    SchedulerCounters counters() const { return scheduler_.counters(); }
    const Scheduler& scheduler() const { return scheduler_; }

    // Prompt row that a row of the step under way is, for the recorder.
    RecordedRow recorded_row(int row) const;

  private:
    struct Answer {
        std::vector<Choice> choices;
        std::vector<TokenLogprob> prompt_logprobs;  // [prompt tokens], the first without a value
        std::string metadata;
        RequestCounts counts;
        int unfinished = 0;  // samples
    };
    std::vector<SampleOutcome> take_results(const StepPlan& plan, const StepBatch& batch,
                                            const std::vector<SampleResult>& results);
    void adjust_tokens(const StepPlan& plan, StepBatch& batch);
    void prepare_prompt_logprobs(Answer& answer, const Request& request);
    void settle_finished(const std::vector<std::int32_t>& finished);
    void finish_request(std::int32_t request);
    void count_step(const StepPlan& plan, Phase phase, std::int64_t sampled);
    Generation& generation_of(std::int32_t sequence);

    EngineConfig config_;
    const Tokenizer& tokenizer_;
    ModelRunner& runner_;
    AccountClock& clock_;
    RankLedger& ledger_;
    Scheduler scheduler_;
    std::map<std::int32_t, std::unique_ptr<Generation>> generations_;  // by sequence
    std::map<std::int32_t, TokenAdjustments> adjustments_;             // by sequence, where its request has any
    std::map<std::int32_t, Answer> answers_;                           // by request
    std::vector<RequestResult> finished_;
    std::vector<LineError> refused_;
    const StepPlan* current_plan_ = nullptr;
    std::int32_t next_request_ = 0;  // number of the scheduler's next request
    SchedulerCounters counted_;      // as of the last step
    std::uint64_t last_plan_hash_ = 0;
    int last_finished_ = 0;
};

}  // namespace argosy
