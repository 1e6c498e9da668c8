// The scheduler's state between plans: requests taken in, steps completed, blocks published and given back.
#include "runtime/schedule/scheduler.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "kernels/base/error.hpp"
#include "kernels/ops.hpp"

namespace argosy {

namespace {

std::size_t at(std::int32_t index) { return static_cast<std::size_t>(index); }

}  // namespace

std::string_view to_string(SequenceState state) {
    switch (state) {
        case SequenceState::waiting:
            return "waiting";
        case SequenceState::running:
            return "running";
        case SequenceState::preempted:
            return "preempted";
        case SequenceState::finished:
            return "finished";
    }
    return "";
}

std::string describe(const SchedulerCounters& c) {
    return fmt::format(
        "steps {} (mixed {}), rows decode {} prefill {} (recomputed {}), chunked prefills {} in {} chunks, preemptions "
        "{}, tokens found: prefix {} samples {} resumed {}, admissions deferred {}, evictions {}, blocks of windows "
        "freed {} (most held {})",
        c.steps, c.mixed_steps, c.decode_rows, c.prefill_rows, c.recomputed_rows, c.chunked_prefills, c.prefill_chunks,
        c.preemptions, c.prefix_hit_tokens, c.sample_shared_tokens, c.resumed_hit_tokens, c.deferred, c.evictions,
        c.window_blocks_freed, c.window_blocks_max);
}

std::optional<std::string> refusal(const Request& request, const SchedulerConfig& config) {
    if (request.prompt.empty()) return "The prompt has no tokens; at least one is needed to generate from.";
    if (request.n < 1) return fmt::format("n is {}; at least one sample must be asked for.", request.n);
    if (request.max_tokens < 0) return fmt::format("max_tokens is {}; it cannot be negative.", request.max_tokens);
    const std::int64_t stored = longest_total(request) - (request.max_tokens > 0 ? 1 : 0);
    const std::int64_t blocks = most_blocks(config.windows, stored, 1);
    if (blocks > config.pool_blocks || stored > std::numeric_limits<std::int32_t>::max() - kKvBlockTokens) {
        return fmt::format(
            "The request may need {} KV blocks of {} tokens ({} prompt tokens and max_tokens {}); the pool has {}. "
            "Raise --kv-memory or lower max_tokens.",
            blocks, kKvBlockTokens, request.prompt.size(), request.max_tokens, config.pool_blocks);
    }
    return std::nullopt;
}

Scheduler::Scheduler(const SchedulerConfig& config) : config_(config), pool_(config.pool_blocks) {
    if (config.max_running < 0) {
        fail(ErrorKind::usage, "The scheduler cannot run {} sequences at once; give 0 for no bound.",
             config.max_running);
    }
    if (config.windows.empty()) fail(ErrorKind::internal, "The scheduler was given no group of layers.");
    for (const int window : config.windows) {
        if (window < 0) fail(ErrorKind::internal, "A group of layers cannot see {} tokens.", window);
        window_groups_ += window > 0 ? 1 : 0;
    }
}

std::vector<Refusal> Scheduler::add(std::vector<Request> run) {
    std::vector<Refusal> refused;
    for (std::size_t i = 0; i < run.size(); ++i) {
        if (auto why = refusal(run[i], config_)) {
            refused.push_back({.index = static_cast<std::int32_t>(i), .sentence = std::move(*why)});
            continue;
        }
        const auto request_index = static_cast<std::int32_t>(requests_.size());
        requests_.push_back(std::move(run[i]));
        const Request& request = requests_.back();
        first_sequence_.push_back(static_cast<std::int32_t>(sequences_.size()));
        // Without the prefix cache the samples of a request share under a root of their own, which no other request
        // has.
        const std::int64_t own[2] = {static_cast<std::int64_t>(config_.cache_seed), request_index};
        const std::string_view own_bytes(reinterpret_cast<const char*>(own), sizeof own);
        const Digest128 root = config_.prefix_cache ? Digest128{.low = config_.cache_seed, .high = 0}
                                                    : chain_digest_bytes({.low = 0, .high = 1}, own_bytes);
        for (int sample = 0; sample < request.n; ++sample) {
            const auto index = static_cast<std::int32_t>(sequences_.size());
            Sequence& sequence = sequences_.emplace_back();
            sequence.request = request_index;
            sequence.sample = sample;
            Extra& extra = extra_.emplace_back();
            extra.root = root;
            // Prompt logits are the same for every sample: the first delivers them for all.
            extra.scored = sample > 0 || !needs_prompt_logits(request);
            ++unfinished_;
            // When nothing is generated, the other samples have nothing to do: they finish with the first.
            if (request.max_tokens > 0 || sample == 0) begin_waiting(index);
        }
    }
    return refused;
}

int Scheduler::token_count(const Sequence& sequence) const {
    return static_cast<int>(request_of(sequence).prompt.size() + sequence.generated.size());
}

std::int32_t Scheduler::token_at(const Sequence& sequence, int position) const {
    const auto& prompt = request_of(sequence).prompt;
    const std::size_t place = at(position);
    return place < prompt.size() ? prompt[place] : sequence.generated[place - prompt.size()];
}

// Leading blocks of the sequence that others may use, or that it may find again.
int Scheduler::shareable_blocks(const Sequence& sequence) const {
    const Request& request = request_of(sequence);
    if (config_.prefix_cache) return token_count(sequence) / kKvBlockTokens;
    return request.n > 1 ? static_cast<int>(request.prompt.size()) / kKvBlockTokens : 0;
}

// Leading blocks that may be found instead of computed: at least one row is left to compute, since its logits are
// wanted.
int Scheduler::hit_limit(std::int32_t index) const {
    const Sequence& sequence = sequences_[at(index)];
    if (!extra_[at(index)].scored) return 0;
    return std::min(shareable_blocks(sequence), (token_count(sequence) - 1) / kKvBlockTokens);
}

void Scheduler::extend_chain(std::int32_t index, int blocks) {
    const Sequence& sequence = sequences_[at(index)];
    Extra& extra = extra_[at(index)];
    while (static_cast<int>(extra.chain.size()) < blocks) {
        std::int32_t tokens[kKvBlockTokens];
        const int first = static_cast<int>(extra.chain.size()) * kKvBlockTokens;
        for (int i = 0; i < kKvBlockTokens; ++i) tokens[i] = token_at(sequence, first + i);
        extra.chain.push_back(chain_digest(extra.chain.empty() ? extra.root : extra.chain.back(), tokens));
    }
}

// What is wanted of a prefix is wanted of it in every group: in one with a window too little may be told to be wanted
// late, since the hit may end earlier than hoped for.
void Scheduler::tell_next_use(std::span<const Digest128> wanted) {
    for (const Digest128& digest : wanted) {
        const std::int64_t next_use = uses_.next_use(digest);
        for (std::size_t group = 0; group < config_.windows.size(); ++group)
            pool_.set_next_use(group_address(digest, group), next_use);
    }
}

void Scheduler::begin_waiting(std::int32_t index) {
    waiting_.insert(index);
    const int blocks = hit_limit(index);
    extend_chain(index, blocks);
    const std::span<const Digest128> wanted(extra_[at(index)].chain.data(), at(blocks));
    uses_.add(index, wanted);
    tell_next_use(wanted);
}

void Scheduler::end_waiting(std::int32_t index) {
    waiting_.erase(index);
    const std::span<const Digest128> wanted(extra_[at(index)].chain.data(), at(hit_limit(index)));
    uses_.remove(index, wanted);
    tell_next_use(wanted);
}

// Block i of a group, if the sequence holds it.
void Scheduler::release_block(std::int32_t index, std::size_t group, int i) {
    std::int32_t& block = sequences_[at(index)].blocks[group][at(i)];
    if (block == kNoBlock) return;
    Extra& extra = extra_[at(index)];
    pool_.release(block, i < extra.published ? uses_.next_use(extra.chain[at(i)]) : kNeverUsedAgain);
    block = kNoBlock;
    --extra.held;
}

// Gives back the blocks that the sequence's next row does not see, and so no later one either. The first is evicted
// first: the later ones let a beginning that others share be found further on.
void Scheduler::free_unseen(std::int32_t index) {
    const int computed = sequences_[at(index)].computed;
    const int held_before = extra_[at(index)].held;
    for (std::size_t group = 0; group < config_.windows.size(); ++group) {
        const int end = first_block_seen(config_.windows[group], computed);
        int first = end;
        while (first > 0 && sequences_[at(index)].blocks[group][at(first - 1)] != kNoBlock) --first;
        for (int i = first; i < end; ++i) release_block(index, group, i);
    }
    counters_.window_blocks_freed += held_before - extra_[at(index)].held;
}

void Scheduler::release_blocks(std::int32_t index) {
    Sequence& sequence = sequences_[at(index)];
    Extra& extra = extra_[at(index)];
    // The deepest first: of a chain that nobody waits for, the end is evicted before the beginning, without which it
    // cannot be found.
    for (std::size_t group = 0; group < sequence.blocks.size(); ++group) {
        for (int i = static_cast<int>(sequence.blocks[group].size()) - 1; i >= 0; --i) release_block(index, group, i);
    }
    for (int i = 0; i < extra.announced; ++i) {
        const auto found = in_flight_.find(extra.chain[at(i)]);
        if (found != in_flight_.end() && found->second == index) in_flight_.erase(found);
    }
    sequence.blocks.clear();
    extra.published = extra.announced = extra.chunks = 0;
    extra.prefilling = false;
    running_.erase(index);
}

// Offers to the cache what completed steps have written.
void Scheduler::publish_written(std::int32_t index) {
    const Sequence& sequence = sequences_[at(index)];
    Extra& extra = extra_[at(index)];
    const int written = std::min(sequence.computed / kKvBlockTokens, shareable_blocks(sequence));
    extend_chain(index, written);
    for (int i = extra.published; i < written; ++i) {
        for (std::size_t group = 0; group < sequence.blocks.size(); ++group)
            pool_.publish(sequence.blocks[group][at(i)], group_address(extra.chain[at(i)], group));
        const auto found = in_flight_.find(extra.chain[at(i)]);
        if (found != in_flight_.end() && found->second == index) in_flight_.erase(found);
    }
    extra.published = std::max(extra.published, written);
}

void Scheduler::finish(std::int32_t index, FinishReason reason) {
    Sequence& sequence = sequences_[at(index)];
    release_blocks(index);
    sequence.state = SequenceState::finished;
    sequence.finish = reason;
    --unfinished_;
    ++finished_count_;
    finished_tokens_ += static_cast<std::int64_t>(sequence.generated.size());
}

void Scheduler::check_span(const StepSpan& span) const {
    if (span.sequence < 0 || at(span.sequence) >= sequences_.size()) {
        fail(ErrorKind::internal, "A completed step names sequence {}, of {}.", span.sequence, sequences_.size());
    }
    const Sequence& sequence = sequences_[at(span.sequence)];
    if (sequence.state != SequenceState::running || span.first_position != sequence.computed || span.rows < 1 ||
        span.first_position + span.rows > token_count(sequence)) {
        fail(ErrorKind::internal,
             "A completed step has rows {}..{} of sequence {}, which is {} with {} of {} tokens computed.",
             span.first_position, span.first_position + span.rows - 1, span.sequence, to_string(sequence.state),
             sequence.computed, token_count(sequence));
    }
}

void Scheduler::complete_rows(const StepSpan& span) {
    Sequence& sequence = sequences_[at(span.sequence)];
    Extra& extra = extra_[at(span.sequence)];
    sequence.computed += span.rows;
    const int recomputed = std::max(0, std::min(extra.most_computed, sequence.computed) - span.first_position);
    counters_.recomputed_rows += recomputed;
    sequence.recomputed_rows += recomputed;
    extra.most_computed = std::max(extra.most_computed, sequence.computed);
    publish_written(span.sequence);
    free_unseen(span.sequence);
    if (!extra.prefilling) return;
    ++extra.chunks;
    if (sequence.computed < token_count(sequence)) return;
    if (extra.chunks > 1) {
        ++counters_.chunked_prefills;
        counters_.prefill_chunks += extra.chunks;
    }
    extra.chunks = 0;
    extra.prefilling = false;
    extra.scored = true;
}

std::vector<std::int32_t> Scheduler::complete(const StepPlan& plan, std::span<const SampleOutcome> outcomes) {
    if (plan.empty() && !step_open_) return {};
    if (!step_open_ || plan.step != step_) {
        fail(ErrorKind::internal, "Step {} cannot be completed: step {} is {}.", plan.step, step_,
             step_open_ ? "open" : "not planned");
    }
    if (plan.sample_count() != static_cast<int>(outcomes.size())) {
        fail(ErrorKind::internal, "Step {} has {} sampling spans and {} outcomes.", plan.step, plan.sample_count(),
             outcomes.size());
    }
    for (const StepSpan& span : plan.spans) check_span(span);
    std::vector<std::int32_t> finished;
    std::size_t outcome = 0;
    for (const StepSpan& span : plan.spans) {
        complete_rows(span);
        Sequence& sequence = sequences_[at(span.sequence)];
        const Request& request = request_of(sequence);
        if (span.samples) {
            const SampleOutcome& sampled = outcomes[outcome++];
            sequence.generated.push_back(sampled.token);
            const bool full = static_cast<int>(sequence.generated.size()) >= request.max_tokens;
            if (sampled.finish == FinishReason::none && !full) continue;
            finish(span.sequence, sampled.finish != FinishReason::none ? sampled.finish : FinishReason::length);
            finished.push_back(span.sequence);
        } else if (request.max_tokens == 0 && sequence.computed == token_count(sequence)) {
            for (int sample = 0; sample < request.n; ++sample) {
                finish(span.sequence + sample, FinishReason::length);
                finished.push_back(span.sequence + sample);
            }
        }
    }
    std::sort(finished.begin(), finished.end());
    step_open_ = false;
    ++step_;
    return finished;
}

StepDemand Scheduler::demand() const {
    StepDemand demand;
    for (const std::int32_t index : running_) {
        if (extra_[at(index)].prefilling) {
            demand.prefill_rows += token_count(sequences_[at(index)]) - sequences_[at(index)].computed;
        } else {
            ++demand.decode_rows;
        }
    }
    demand.waiting = static_cast<int>(waiting_.size());
    return demand;
}

bool Scheduler::request_finished(std::int32_t request) const {
    const std::int32_t first = first_sequence(request);
    for (int sample = 0; sample < this->request(request).n; ++sample) {
        if (sequence(first + sample).state != SequenceState::finished) return false;
    }
    return true;
}

void Scheduler::forget(std::int32_t request) {
    if (!request_finished(request))
        fail(ErrorKind::internal, "Request {} cannot be forgotten before it has finished.", request);
    std::vector<std::int32_t>().swap(requests_[at(request)].prompt);
    for (int sample = 0; sample < requests_[at(request)].n; ++sample) {
        const std::size_t index = at(first_sequence(request) + sample);
        std::vector<std::int32_t>().swap(sequences_[index].generated);
        std::vector<Digest128>().swap(extra_[index].chain);
    }
}

SchedulerCounters Scheduler::counters() const {
    SchedulerCounters counters = counters_;
    counters.evictions = pool_.counters().evictions;
    return counters;
}

}  // namespace argosy
