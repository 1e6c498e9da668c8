// The scheduler of one group: takes requests in global order, makes step plans (decode first, chunked prefill fills
// up), keeps the KV pool, shares prefixes, preempts when the pool is full. Pure: the same calls give the same plans on
// every rank.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "runtime/schedule/kv_pool.hpp"
#include "runtime/schedule/kv_window.hpp"
#include "runtime/schedule/prefix_uses.hpp"
#include "runtime/schedule/request.hpp"
#include "runtime/schedule/step_plan.hpp"

namespace argosy {

struct SchedulerConfig {
    int pool_blocks = 0;           // KV blocks of kKvBlockTokens tokens
    bool prefix_cache = true;      // off: only samples of one request share its prompt's blocks
    std::uint64_t cache_seed = 0;  // root of the block addresses
    int max_running = 0;           // sequences that hold blocks at once; 0: bounded by the rows of a step only
    // [groups] of layers that hand out blocks by themselves: tokens that such layers see; 0: all. At least one group.
    std::vector<int> windows = {0};
    bool operator==(const SchedulerConfig&) const = default;
};

// Witnesses: each proves that what a test wants to exercise happened.
struct SchedulerCounters {
    std::int64_t steps = 0;
    std::int64_t mixed_steps = 0;  // steps with both decode and prefill rows
    std::int64_t decode_rows = 0;
    std::int64_t prefill_rows = 0;
    std::int64_t chunked_prefills = 0;  // prefills that took more than one step
    std::int64_t prefill_chunks = 0;    // chunks of those
    std::int64_t preemptions = 0;
    std::int64_t recomputed_rows = 0;       // rows computed again after a preemption
    std::int64_t prefix_hit_tokens = 0;     // tokens found in the prefix cache instead of computed
    std::int64_t sample_shared_tokens = 0;  // tokens that samples of one request share
    std::int64_t resumed_hit_tokens = 0;    // tokens that a preempted sequence found again
    std::int64_t deferred = 0;              // admissions put off until a running sequence has written the shared prefix
    std::int64_t evictions = 0;
    std::int64_t window_blocks_freed = 0;  // given back by running sequences, since no row of theirs sees them any more
    std::int64_t window_blocks_max = 0;    // most that a sequence held at once in a group with a window
    bool operator==(const SchedulerCounters&) const = default;
};
std::string describe(const SchedulerCounters& counters);

enum class SequenceState : std::uint8_t { waiting, running, preempted, finished };
std::string_view to_string(SequenceState state);

// One sample of one request.
struct Sequence {
    std::int32_t request = 0;  // index for Scheduler::request
    int sample = 0;            // 0 .. n-1
    SequenceState state = SequenceState::waiting;
    FinishReason finish = FinishReason::none;
    std::vector<std::int32_t> generated{};  // tokens generated so far
    int computed = 0;                       // leading tokens (of prompt + generated) whose KV is in the pool
    int cached_prompt_tokens = 0;  // prompt tokens that were found rather than computed when it was first admitted
    int preemptions = 0;
    std::int64_t recomputed_rows = 0;  // rows computed again after a preemption
    // [groups] block ids from position 0; kNoBlock where the group's layers see nothing any more. Without groups while
    // it does not run.
    std::vector<std::vector<std::int32_t>> blocks{};
};

// Why a request cannot be taken at all.
struct Refusal {
    std::int32_t index = 0;  // its place in the span given to add()
    std::string sentence{};
    bool operator==(const Refusal&) const = default;
};

// Why a pool of so many blocks can never hold the request, or why it is no request at all (empty prompt, n < 1);
// nothing when it fits. Blocks needed: most_blocks() of prompt + max_tokens - 1 tokens (the last token generated is
// never fed back), a row a step.
std::optional<std::string> refusal(const Request& request, const SchedulerConfig& config);

// What a step brought for one span that samples, in the order of the plan's spans.
struct SampleOutcome {
    std::int32_t token = 0;
    FinishReason finish =
        FinishReason::none;  // stop (or error) when the engine ends the sequence; length is the scheduler's to find
};

class Scheduler {
  public:
    explicit Scheduler(const SchedulerConfig& config);

    // Takes a run of requests, in global order, behind all taken before. Sequences are numbered in this order, samples
    // of a request adjacent; the lower number has precedence for ever. Refused requests get no sequence.
    std::vector<Refusal> add(std::vector<Request> run);

    // The next step. Empty when nothing can be done: no work (demand().idle()), or max_prefill_rows forbids what there
    // is. complete() must be called with the plan before the next call.
    StepPlan next(const StepLimits& limits);

    // Tells that the step's KV is written and what was sampled: outcomes[i] belongs to the i-th span with samples.
    // Returns the sequences that finished in this step, by rising number. Spans that finish a prompt of max_tokens 0
    // are among them and sample nothing.
    std::vector<std::int32_t> complete(const StepPlan& plan, std::span<const SampleOutcome> outcomes);

    StepDemand demand() const;
    bool done() const { return unfinished_ == 0; }  // everything added has finished

    std::size_t sequence_count() const { return sequences_.size(); }
    const Sequence& sequence(std::int32_t index) const { return sequences_.at(static_cast<std::size_t>(index)); }
    const Request& request(std::int32_t index) const { return requests_.at(static_cast<std::size_t>(index)); }
    const Request& request_of(const Sequence& sequence) const { return request(sequence.request); }
    // Number of the sequence that is sample 0 of a request; its samples follow.
    std::int32_t first_sequence(std::int32_t request) const {
        return first_sequence_.at(static_cast<std::size_t>(request));
    }
    // True when every sample of the request has finished.
    bool request_finished(std::int32_t request) const;

    // Frees the memory of a finished request (prompt and generated tokens) once its answer is written.
    void forget(std::int32_t request);

    const KvPool& pool() const { return pool_; }
    const std::vector<int>& windows() const { return config_.windows; }
    int group_count() const { return static_cast<int>(config_.windows.size()); }
    SchedulerCounters counters() const;

  private:
    // What the scheduler alone knows of a sequence.
    struct Extra {
        Digest128 root;                // where its chain of block addresses begins
        std::vector<Digest128> chain;  // addresses of its leading full blocks, as far as needed so far
        int published = 0;             // leading blocks offered to the pool's cache
        int announced = 0;             // leading blocks up to which it stands in in_flight_
        int most_computed = 0;         // most tokens it ever had computed: rows below are recomputed ones
        int held = 0;                  // blocks of all groups
        int chunks = 0;                // chunks of the prefill going on
        std::int64_t planned = -1;     // last step that has rows of it
        bool prefilling = false;       // admitted, and not all its known tokens are computed
        bool scored = false;           // its prompt logits were delivered, or none were wanted
    };

    // scheduler.cpp: taking requests, completing steps
    int token_count(const Sequence& sequence) const;
    std::int32_t token_at(const Sequence& sequence, int position) const;
    int shareable_blocks(const Sequence& sequence) const;
    int hit_limit(std::int32_t index) const;
    void extend_chain(std::int32_t index, int blocks);
    void begin_waiting(std::int32_t index);
    void end_waiting(std::int32_t index);
    void tell_next_use(std::span<const Digest128> wanted);
    void release_block(std::int32_t index, std::size_t group, int i);
    void release_blocks(std::int32_t index);
    void free_unseen(std::int32_t index);
    void publish_written(std::int32_t index);
    void finish(std::int32_t index, FinishReason reason);
    void check_span(const StepSpan& span) const;
    void complete_rows(const StepSpan& span);

    // scheduler_plan.cpp: making a plan
    void plan_decodes(StepPlan& plan, const StepLimits& limits);
    void plan_prefills(StepPlan& plan, const StepLimits& limits);
    void plan_admissions(StepPlan& plan, const StepLimits& limits);
    bool append_block(std::int32_t index, std::size_t group);
    bool get_blocks_for(std::int32_t index, StepPlan& plan);
    bool preempt_later(std::int32_t index, StepPlan& plan);
    void preempt(std::int32_t index);
    std::int64_t expected_blocks(const Sequence& sequence) const;
    std::int64_t outstanding_blocks(std::int32_t index) const;
    int grow_windows(std::int32_t index, int rows, std::int64_t spared);
    int find_hits(std::int32_t index) const;
    int blocks_found(std::int32_t index, int hits, bool only_cached) const;
    bool waits_for_writer(std::int32_t index, int hits) const;
    void admit(std::int32_t index, int hits);
    void place(StepPlan& plan, std::int32_t index, int rows, SpanKind kind, int held_before);

    SchedulerConfig config_;
    std::size_t window_groups_ = 0;
    KvPool pool_;
    PrefixUses uses_;
    std::deque<Request> requests_;
    std::vector<std::int32_t> first_sequence_;  // [requests]
    std::deque<Sequence> sequences_;
    std::deque<Extra> extra_;         // [sequences]
    std::set<std::int32_t> waiting_;  // waiting and preempted
    std::set<std::int32_t> running_;
    // Blocks that a running sequence is about to write, by address.
    std::unordered_map<Digest128, std::int32_t, Digest128Hash> in_flight_;
    std::int64_t unfinished_ = 0;
    std::int64_t finished_count_ = 0;
    std::int64_t finished_tokens_ = 0;  // generated by finished sequences: what to expect of the others
    bool step_open_ = false;
    std::int64_t step_ = 0;
    SchedulerCounters counters_;
};

}  // namespace argosy
