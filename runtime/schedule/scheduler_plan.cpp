// Making a step plan: decode rows first, then prefill going on, then sequences newly admitted; preemption when a block
// is missing.
//
// Why this always ends. Let s be the lowest running sequence. If s decodes and needs a block, the highest running
// sequences give theirs up, one after the other, until there is one; alone, s fits (refusal() saw to it). If s
// prefills, it got the blocks of the groups that see all when it was admitted, and takes the rows that decodes leave;
// decodes end. Blocks for its windows it gets as it goes, like one that decodes, but for the sequences that have rows
// in the step already: these end, or need blocks themselves. If none runs, every block is free or cached, and what the
// lowest waiting sequence is expected to need fits by refusal(). A sequence put off for a shared prefix waits for a
// running one that does all this itself.
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
        if (!extra_[at(index)].prefilling) {
            const int held_before = extra_[at(index)].held;
            if (get_blocks_for(index, plan)) place(plan, index, 1, SpanKind::decode, held_before);
        }
        next = running_.upper_bound(index);
    }
}

// One block more of a group; false when there is none.
bool Scheduler::append_block(std::int32_t index, std::size_t group) {
    const std::int32_t block = pool_.acquire();
    if (block == kNoBlock) return false;
    sequences_[at(index)].blocks[group].push_back(block);
    ++extra_[at(index)].held;
    return true;
}

// The blocks for the next row of a sequence that decodes, which others may have to give up. False when it was itself
// the highest and had to.
bool Scheduler::get_blocks_for(std::int32_t index, StepPlan& plan) {
    const Sequence& sequence = sequences_[at(index)];
    for (std::size_t group = 0; group < config_.windows.size(); ++group) {
        if (sequence.blocks[group].size() * kKvBlockTokens > at(sequence.computed)) continue;
        while (!append_block(index, group)) {
            if (preempt_later(index, plan)) continue;
            preempt(index);
            plan.preempted.push_back(index);
            return false;
        }
    }
    return true;
}

// Takes all blocks from the highest running sequence behind this one that has no rows in the plan; false: there is
// none.
bool Scheduler::preempt_later(std::int32_t index, StepPlan& plan) {
    for (auto victim = running_.rbegin(); victim != running_.rend() && *victim > index; ++victim) {
        if (extra_[at(*victim)].planned == step_) continue;
        plan.preempted.push_back(*victim);
        preempt(*victim);
        return true;
    }
    return false;
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
    std::int64_t outstanding = 0;
    if (window_groups_ > 0) {
        for (const std::int32_t index : running_) outstanding += outstanding_blocks(index);
    }
    for (auto next = running_.begin(); next != running_.end();) {
        const std::int32_t index = *next;
        const int rows = prefill_rows_left(plan, limits);
        if (rows == 0) return;
        if (extra_[at(index)].prefilling) {
            const int held_before = extra_[at(index)].held;
            int granted = 0;
            do {
                granted = grow_windows(index, rows, outstanding + pool_.wanted());
            } while (granted == 0 && preempt_later(index, plan));
            if (granted > 0) place(plan, index, granted, SpanKind::prefill, held_before);
        }
        next = running_.upper_bound(index);
    }
}

// Rows that a sequence that prefills may take in this step, of `rows`: as many as its groups with windows get blocks
// for. `spared` blocks are left to others; but those for the next row it may have in any case.
int Scheduler::grow_windows(std::int32_t index, int rows, std::int64_t spared) {
    const Sequence& sequence = sequences_[at(index)];
    const int left = std::min(rows, token_count(sequence) - sequence.computed);
    if (window_groups_ == 0) return left;
    const auto groups = static_cast<int>(window_groups_);
    const std::size_t last = config_.windows.size() - 1;
    std::size_t window = 0;
    while (config_.windows[window] == 0) ++window;  // all that have one hold equally many
    const auto& table = sequence.blocks[window];
    while (static_cast<int>(table.size()) * kKvBlockTokens < sequence.computed + left) {
        const bool first = static_cast<int>(table.size()) * kKvBlockTokens <= sequence.computed;
        if (pool_.available() - groups < (first ? 0 : spared)) break;
        for (std::size_t group = 0; group <= last; ++group) {
            if (config_.windows[group] > 0) append_block(index, group);
        }
    }
    return std::min(left, static_cast<int>(table.size()) * kKvBlockTokens - sequence.computed);
}

// Blocks that a sequence is expected to hold at its end. It is expected to generate what it must (ignore_eos), else as
// much as finished sequences did on average, else half of max_tokens.
std::int64_t Scheduler::expected_blocks(const Sequence& sequence) const {
    const Request& request = request_of(sequence);
    const auto prompt = static_cast<std::int64_t>(request.prompt.size());
    const auto generated = static_cast<std::int64_t>(sequence.generated.size());
    std::int64_t expected = finished_count_ > 0 ? finished_tokens_ / finished_count_ + 1 : (request.max_tokens + 1) / 2;
    if (request.ignore_eos && request.stop.empty() && request.stop_token_ids.empty()) expected = request.max_tokens;
    expected = std::min<std::int64_t>(std::max(expected, generated + 1), request.max_tokens);
    return most_blocks(config_.windows, prompt + std::max<std::int64_t>(expected - 1, generated), 1);
}

// Those that a running one does not hold yet.
std::int64_t Scheduler::outstanding_blocks(std::int32_t index) const {
    return std::max<std::int64_t>(0, expected_blocks(sequences_[at(index)]) - extra_[at(index)].held);
}

// Leading blocks' tokens with which the sequence can begin: where all is seen, the longest chain of cached blocks from
// position 0; where a window is, the blocks of the window before the first row are enough.
int Scheduler::find_hits(std::int32_t index) const {
    const auto& chain = extra_[at(index)].chain;
    const auto is_there = [&](int i, std::size_t group) {
        return pool_.find(group_address(chain[at(i)], group)) != kNoBlock;
    };
    int hits = hit_limit(index);
    for (std::size_t group = 0; group < config_.windows.size(); ++group) {
        if (config_.windows[group] > 0) continue;
        int found = 0;
        while (found < hits && is_there(found, group)) ++found;
        hits = found;
    }
    for (bool shortened = window_groups_ > 0; shortened;) {
        shortened = false;
        for (std::size_t group = 0; group < config_.windows.size(); ++group) {
            const int first = first_block_seen(config_.windows[group], std::int64_t{hits} * kKvBlockTokens);
            if (config_.windows[group] == 0) continue;
            int i = hits - 1;
            while (i >= first && is_there(i, group)) --i;
            if (i < first) continue;
            hits = i;  // every beginning behind a missing block, up to here, would need it
            shortened = true;
        }
    }
    return hits;
}

// Blocks of all groups that a beginning behind `hits` found blocks takes; or of these the ones that nobody holds.
int Scheduler::blocks_found(std::int32_t index, int hits, bool only_cached) const {
    int blocks = 0;
    for (std::size_t group = 0; group < config_.windows.size(); ++group) {
        const int first = first_block_seen(config_.windows[group], std::int64_t{hits} * kKvBlockTokens);
        for (int i = first; i < hits; ++i) {
            const std::int32_t block = pool_.find(group_address(extra_[at(index)].chain[at(i)], group));
            blocks += !only_cached || pool_.references(block) == 0 ? 1 : 0;
        }
    }
    return blocks;
}

// True when a running sequence is about to write the block that this one would compute first.
bool Scheduler::waits_for_writer(std::int32_t index, int hits) const {
    return hits < hit_limit(index) && in_flight_.contains(extra_[at(index)].chain[at(hits)]);
}

// Gives the sequence its blocks: those found, and new ones for the rest of its known tokens in the groups that see all.
void Scheduler::admit(std::int32_t index, int hits) {
    Sequence& sequence = sequences_[at(index)];
    Extra& extra = extra_[at(index)];
    sequence.blocks.resize(config_.windows.size());
    sequence.computed = hits * kKvBlockTokens;
    for (std::size_t group = 0; group < config_.windows.size(); ++group) {
        auto& table = sequence.blocks[group];
        table.assign(at(first_block_seen(config_.windows[group], sequence.computed)), kNoBlock);
        while (static_cast<int>(table.size()) < hits) {
            table.push_back(pool_.find(group_address(extra.chain[table.size()], group)));
            pool_.retain_hit(table.back());
            ++extra.held;
        }
    }
    end_waiting(index);
    const auto all = at(static_cast<std::int32_t>(blocks_for(token_count(sequence))));
    for (std::size_t group = 0; group < config_.windows.size(); ++group) {
        while (config_.windows[group] == 0 && sequence.blocks[group].size() < all) {
            if (!append_block(index, group))
                fail(ErrorKind::internal, "Sequence {} was admitted without blocks enough for it.", index);
        }
    }
    if (sequence.state == SequenceState::preempted) {
        counters_.resumed_hit_tokens += sequence.computed;
    } else {
        (sequence.sample == 0 ? counters_.prefix_hit_tokens : counters_.sample_shared_tokens) += sequence.computed;
        sequence.cached_prompt_tokens = sequence.computed;
    }
    extra.published = hits;
    extra.announced = shareable_blocks(sequence);
    extend_chain(index, extra.announced);
    for (int i = extra.published; i < extra.announced; ++i) in_flight_.try_emplace(extra.chain[at(i)], index);
    extra.prefilling = true;
    sequence.state = SequenceState::running;
    running_.insert(index);
}

void Scheduler::plan_admissions(StepPlan& plan, const StepLimits& limits) {
    if (waiting_.empty() || prefill_rows_left(plan, limits) == 0) return;
    std::int64_t outstanding = 0;
    for (const std::int32_t index : running_) outstanding += outstanding_blocks(index);
    const int most = config_.max_running > 0 ? std::min(config_.max_running, limits.max_rows) : limits.max_rows;
    int looked_at = 0;
    for (auto next = waiting_.begin(); next != waiting_.end() && looked_at < kLookAhead; ++looked_at) {
        const int rows = prefill_rows_left(plan, limits);
        if (rows == 0 || static_cast<int>(running_.size()) >= most) return;
        const std::int32_t index = *next;
        const int hits = find_hits(index);
        if (waits_for_writer(index, hits)) {
            ++counters_.deferred;
            ++next;
            continue;
        }
        const std::int64_t needed = expected_blocks(sequences_[at(index)]) - blocks_found(index, hits, false);
        // Cached blocks that waiting sequences begin with, this one's among them, are no room for others, as long as
        // something runs: a beginning that all share is held by those who run, but not where a window has passed it.
        const int kept = running_.empty() ? blocks_found(index, hits, true) : pool_.wanted();
        if (needed + outstanding > pool_.available() - kept) return;
        admit(index, hits);
        const int granted = grow_windows(index, rows, outstanding + pool_.wanted());
        outstanding += outstanding_blocks(index);
        place(plan, index, granted, SpanKind::prefill, 0);
        next = waiting_.upper_bound(index);
    }
}

// Appends a span of the sequence's next rows to the plan.
void Scheduler::place(StepPlan& plan, std::int32_t index, int rows, SpanKind kind, int held_before) {
    const Sequence& sequence = sequences_[at(index)];
    Extra& extra = extra_[at(index)];
    const int end = sequence.computed + rows;
    const bool ends = end == token_count(sequence);
    StepSpan span{
        .sequence = index, .row_begin = plan.rows, .rows = rows, .first_position = sequence.computed, .kind = kind};
    span.samples = ends && request_of(sequence).max_tokens > 0;
    span.logits = !extra.scored ? LogitRows::all : span.samples ? LogitRows::last : LogitRows::none;
    span.block_begin = static_cast<int>(plan.blocks.size());
    span.block_count = static_cast<int>(blocks_for(end));
    span.new_blocks = extra.held - held_before;
    for (int i = 0; i < rows; ++i) plan.tokens.push_back(token_at(sequence, sequence.computed + i));
    for (std::size_t group = 0; group < config_.windows.size(); ++group) {
        const auto& table = sequence.blocks[group];
        plan.blocks.insert(plan.blocks.end(), table.begin(), table.begin() + span.block_count);
        if (config_.windows[group] == 0) continue;
        const int first = first_block_seen(config_.windows[group], sequence.computed);
        counters_.window_blocks_max = std::max<std::int64_t>(counters_.window_blocks_max, span.block_count - first);
    }
    extra.planned = step_;
    plan.rows += rows;
    plan.decode_rows += kind == SpanKind::decode ? rows : 0;
    plan.spans.push_back(span);
}

}  // namespace argosy
