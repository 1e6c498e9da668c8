// Making a step plan: decode rows first, then prefill going on, then sequences newly admitted; preemption when a block
// is missing.
//
// Why this always ends. Let s be the lowest running sequence. If s decodes and needs a block, the highest running
// sequences give theirs up, one after the other, until there is one; alone, s fits (refusal() saw to it). If s
// prefills, it got all its blocks when it was admitted, and takes the rows that decodes leave; decodes end. If none
// runs, every block is free or cached, and what the lowest waiting sequence is expected to need fits by refusal(). A
// sequence put off for a shared prefix waits for a running one that does all this itself.
#include <fmt/format.h>

#include <algorithm>

#include "kernels/base/error.hpp"
#include "kernels/ops.hpp"
#include "runtime/schedule/scheduler.hpp"

namespace argosy {

namespace {

// Waiting sequences looked at in one step before giving up: those beyond the first are reached only past ones that are
// put off.
constexpr int kLookAhead = 256;

std::size_t at(std::int32_t index) { return static_cast<std::size_t>(index); }

std::int64_t blocks_for(std::int64_t tokens) { return (tokens + kKvBlockTokens - 1) / kKvBlockTokens; }

int rows_left(const StepPlan& plan, const StepLimits& limits) { return limits.max_rows - plan.rows; }

int prefill_rows_left(const StepPlan& plan, const StepLimits& limits) {
    const int rows = rows_left(plan, limits);
    if (limits.max_prefill_rows < 0) return rows;
    return std::max(0, std::min(rows, limits.max_prefill_rows - (plan.rows - plan.decode_rows)));
}

}  // namespace

StepPlan Scheduler::next(const StepLimits& limits) {
    if (step_open_)
        fail(ErrorKind::internal, "Step {} was planned and must be completed before the next is planned.", step_);
    if (limits.max_rows < 1)
        fail(ErrorKind::usage, "A step of {} rows cannot work; --max-rows must be at least 1.", limits.max_rows);
    StepPlan plan;
    plan.step = step_;
    plan_decodes(plan, limits);
    plan_prefills(plan, limits);
    // What a preemption freed is for those who still run; admitting in the same step would take it away again.
    if (plan.preempted.empty()) plan_admissions(plan, limits);
    if (plan.empty()) return plan;
    step_open_ = true;
    const int prefill_rows = plan.rows - plan.decode_rows;
    ++counters_.steps;
    counters_.mixed_steps += plan.decode_rows > 0 && prefill_rows > 0 ? 1 : 0;
    counters_.decode_rows += plan.decode_rows;
    counters_.prefill_rows += prefill_rows;
    return plan;
}

void Scheduler::plan_decodes(StepPlan& plan, const StepLimits& limits) {
    // By rising number; a victim is the highest running one, so it was not planned yet. Preempting removes it from
    // running_, therefore the walk goes by number.
    for (auto next = running_.begin(); next != running_.end() && rows_left(plan, limits) > 0;) {
        const std::int32_t index = *next;
        const Sequence& sequence = sequences_[at(index)];
        if (!extra_[at(index)].prefilling) {
            const bool needs_block =
                static_cast<std::size_t>(sequence.computed) == sequence.blocks.size() * kKvBlockTokens;
            if (!needs_block || get_block_for(index, plan))
                place(plan, index, 1, SpanKind::decode, needs_block ? 1 : 0);
        }
        next = running_.upper_bound(index);
    }
}

// A block for a sequence that decodes; takes them from the highest running sequences. False when it was itself the
// highest.
bool Scheduler::get_block_for(std::int32_t index, StepPlan& plan) {
    while (true) {
        const std::int32_t block = pool_.acquire();
        if (block != kNoBlock) {
            sequences_[at(index)].blocks.push_back(block);
            return true;
        }
        const std::int32_t victim = *running_.rbegin();
        preempt(victim);
        plan.preempted.push_back(victim);
        if (victim == index) return false;
    }
}

void Scheduler::preempt(std::int32_t index) {
    Sequence& sequence = sequences_[at(index)];
    begin_waiting(index);  // first: its blocks then know that it will look for them
    release_blocks(index);
    sequence.computed = 0;
    sequence.state = SequenceState::preempted;
    ++sequence.preemptions;
    ++counters_.preemptions;
}

void Scheduler::plan_prefills(StepPlan& plan, const StepLimits& limits) {
    for (const std::int32_t index : running_) {
        const int rows = prefill_rows_left(plan, limits);
        if (rows == 0) return;
        const Sequence& sequence = sequences_[at(index)];
        if (!extra_[at(index)].prefilling) continue;
        place(plan, index, std::min(rows, token_count(sequence) - sequence.computed), SpanKind::prefill, 0);
    }
}

// Blocks that a sequence is expected to need beyond its known tokens. It is expected to generate what it must
// (ignore_eos), else as much as finished sequences did on average, else half of max_tokens.
std::int64_t Scheduler::expected_blocks(const Sequence& sequence) const {
    const Request& request = request_of(sequence);
    const auto prompt = static_cast<std::int64_t>(request.prompt.size());
    const auto generated = static_cast<std::int64_t>(sequence.generated.size());
    std::int64_t expected = finished_count_ > 0 ? finished_tokens_ / finished_count_ + 1 : (request.max_tokens + 1) / 2;
    if (request.ignore_eos && request.stop.empty() && request.stop_token_ids.empty()) expected = request.max_tokens;
    expected = std::min<std::int64_t>(std::max(expected, generated + 1), request.max_tokens);
    const std::int64_t stored = prompt + std::max<std::int64_t>(expected - 1, generated);
    return std::max<std::int64_t>(0, blocks_for(stored) - blocks_for(prompt + generated));
}

// Cached blocks with which the sequence can begin: the longest chain from position 0.
std::vector<std::int32_t> Scheduler::find_hits(std::int32_t index) const {
    std::vector<std::int32_t> hits;
    const int limit = hit_limit(index);
    const auto& chain = extra_[at(index)].chain;
    while (static_cast<int>(hits.size()) < limit) {
        const std::int32_t block = pool_.find(chain[hits.size()]);
        if (block == kNoBlock) break;
        hits.push_back(block);
    }
    return hits;
}

// True when a running sequence is about to write the block that this one would compute first.
bool Scheduler::waits_for_writer(std::int32_t index, int hits) const {
    return hits < hit_limit(index) && in_flight_.contains(extra_[at(index)].chain[at(hits)]);
}

// Gives the sequence its blocks: those found, and new ones for the rest of its known tokens. Returns how many are new.
int Scheduler::admit(std::int32_t index, const std::vector<std::int32_t>& hits) {
    Sequence& sequence = sequences_[at(index)];
    Extra& extra = extra_[at(index)];
    for (const std::int32_t block : hits) pool_.retain_hit(block);
    sequence.blocks = hits;
    sequence.computed = static_cast<int>(hits.size()) * kKvBlockTokens;
    end_waiting(index);
    const std::int64_t all = blocks_for(token_count(sequence));
    while (static_cast<std::int64_t>(sequence.blocks.size()) < all) {
        const std::int32_t block = pool_.acquire();
        if (block == kNoBlock)
            fail(ErrorKind::internal, "Sequence {} was admitted without blocks enough for it.", index);
        sequence.blocks.push_back(block);
    }
    if (sequence.state == SequenceState::preempted) {
        counters_.resumed_hit_tokens += sequence.computed;
    } else {
        (sequence.sample == 0 ? counters_.prefix_hit_tokens : counters_.sample_shared_tokens) += sequence.computed;
        sequence.cached_prompt_tokens = sequence.computed;
    }
    extra.published = static_cast<int>(hits.size());
    extra.announced = shareable_blocks(sequence);
    extend_chain(index, extra.announced);
    for (int i = extra.published; i < extra.announced; ++i) in_flight_.try_emplace(extra.chain[at(i)], index);
    extra.prefilling = true;
    sequence.state = SequenceState::running;
    running_.insert(index);
    return static_cast<int>(all) - static_cast<int>(hits.size());
}

void Scheduler::plan_admissions(StepPlan& plan, const StepLimits& limits) {
    if (waiting_.empty() || prefill_rows_left(plan, limits) == 0) return;
    std::int64_t headroom = 0;
    for (const std::int32_t index : running_) headroom += expected_blocks(sequences_[at(index)]);
    const int most = config_.max_running > 0 ? std::min(config_.max_running, limits.max_rows) : limits.max_rows;
    int looked_at = 0;
    for (auto next = waiting_.begin(); next != waiting_.end() && looked_at < kLookAhead; ++looked_at) {
        const int rows = prefill_rows_left(plan, limits);
        if (rows == 0 || static_cast<int>(running_.size()) >= most) return;
        const std::int32_t index = *next;
        const Sequence& sequence = sequences_[at(index)];
        const auto hits = find_hits(index);
        if (waits_for_writer(index, static_cast<int>(hits.size()))) {
            ++counters_.deferred;
            ++next;
            continue;
        }
        std::int64_t available = pool_.available();
        for (const std::int32_t block : hits) available -= pool_.references(block) == 0 ? 1 : 0;
        const std::int64_t needed = blocks_for(token_count(sequence)) - static_cast<std::int64_t>(hits.size());
        const std::int64_t own_headroom = expected_blocks(sequence);
        if (needed + headroom + own_headroom > available) return;
        const int new_blocks = admit(index, hits);
        headroom += own_headroom;
        place(plan, index, std::min(rows, token_count(sequence) - sequence.computed), SpanKind::prefill, new_blocks);
        next = waiting_.upper_bound(index);
    }
}

// Appends a span of the sequence's next rows to the plan.
void Scheduler::place(StepPlan& plan, std::int32_t index, int rows, SpanKind kind, int new_blocks) {
    const Sequence& sequence = sequences_[at(index)];
    const bool ends = sequence.computed + rows == token_count(sequence);
    StepSpan span{
        .sequence = index, .row_begin = plan.rows, .rows = rows, .first_position = sequence.computed, .kind = kind};
    span.samples = ends && request_of(sequence).max_tokens > 0;
    span.logits = !extra_[at(index)].scored ? LogitRows::all : span.samples ? LogitRows::last : LogitRows::none;
    span.block_begin = static_cast<int>(plan.blocks.size());
    span.block_count = static_cast<int>(sequence.blocks.size());
    span.new_blocks = new_blocks;
    for (int i = 0; i < rows; ++i) plan.tokens.push_back(token_at(sequence, sequence.computed + i));
    plan.blocks.insert(plan.blocks.end(), sequence.blocks.begin(), sequence.blocks.end());
    plan.rows += rows;
    plan.decode_rows += kind == SpanKind::decode ? rows : 0;
    plan.spans.push_back(span);
}

}  // namespace argosy
