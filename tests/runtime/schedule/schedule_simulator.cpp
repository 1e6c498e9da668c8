// The hash model and the checks on plans.
#include "schedule_simulator.hpp"

#include <catch2/catch.hpp>

#include "kernels/ops.hpp"

namespace argosy::test {

namespace {

std::uint64_t mix(std::uint64_t hash, std::uint64_t value) {
    hash = (hash ^ value) * 0x9e3779b97f4a7c15ULL;
    return hash ^ (hash >> 29);
}

// Hash of every prefix of the tokens: element i covers tokens 0 .. i. Groups of layers hold different things of it.
std::vector<std::uint64_t> prefix_hashes(const std::vector<std::int32_t>& tokens, int group = 0) {
    std::vector<std::uint64_t> hashes;
    std::uint64_t hash = 1 + static_cast<std::uint64_t>(group);
    for (const std::int32_t token : tokens) hashes.push_back(hash = mix(hash, static_cast<std::uint64_t>(token) + 1));
    return hashes;
}

std::int32_t next_token(std::uint64_t prefix, const Request& request, int sample) {
    return static_cast<std::int32_t>(mix(mix(prefix, request.identity), static_cast<std::uint64_t>(sample)) % 23);
}

FinishReason ending(const Request& request, std::int32_t token) {
    return token == 0 && !request.ignore_eos ? FinishReason::stop : FinishReason::none;
}

}  // namespace

Answer expected_answer(const Request& request, int sample) {
    Answer answer;
    std::vector<std::int32_t> tokens = request.prompt;
    while (static_cast<int>(answer.tokens.size()) < request.max_tokens && answer.finish == FinishReason::none) {
        const std::int32_t token = next_token(prefix_hashes(tokens).back(), request, sample);
        tokens.push_back(token);
        answer.tokens.push_back(token);
        answer.finish = ending(request, token);
    }
    if (answer.finish == FinishReason::none) answer.finish = FinishReason::length;
    return answer;
}

Simulator::Simulator(const SchedulerConfig& config)
    : config_(config), scheduler_(config), slots_(static_cast<std::size_t>(config.pool_blocks) * kKvBlockTokens) {}

std::vector<std::int32_t> Simulator::tokens_of(std::int32_t sequence) const {
    const Sequence& state = scheduler_.sequence(sequence);
    std::vector<std::int32_t> tokens = scheduler_.request_of(state).prompt;
    tokens.insert(tokens.end(), state.generated.begin(), state.generated.end());
    return tokens;
}

void Simulator::check_limits(const StepPlan& plan, const StepLimits& limits) const {
    int rows = 0;
    int decode_rows = 0;
    bool prefill_seen = false;
    std::set<std::int32_t> sequences;
    for (const StepSpan& span : plan.spans) {
        REQUIRE(span.rows >= 1);
        REQUIRE(span.row_begin == rows);
        rows += span.rows;
        REQUIRE(sequences.insert(span.sequence).second);
        if (span.kind == SpanKind::decode) {
            REQUIRE_FALSE(prefill_seen);
            REQUIRE(span.rows == 1);
            ++decode_rows;
        } else {
            prefill_seen = true;
        }
    }
    REQUIRE(rows == plan.rows);
    REQUIRE(rows == static_cast<int>(plan.tokens.size()));
    REQUIRE(decode_rows == plan.decode_rows);
    REQUIRE(rows <= limits.max_rows);
    if (limits.max_prefill_rows >= 0) REQUIRE(rows - decode_rows <= limits.max_prefill_rows);
    for (const std::int32_t victim : plan.preempted) {
        REQUIRE_FALSE(sequences.contains(victim));
        REQUIRE(scheduler_.sequence(victim).blocks.empty());
        REQUIRE(scheduler_.sequence(victim).computed == 0);
    }
    if (plan.preempted.empty()) return;
    for (const StepSpan& span : plan.spans) REQUIRE(running_.contains(span.sequence));  // no admission
}

void Simulator::check_span(const StepPlan& plan, const StepSpan& span) {
    const auto tokens = tokens_of(span.sequence);
    const Request& request = scheduler_.request_of(scheduler_.sequence(span.sequence));
    const int end = span.first_position + span.rows;
    REQUIRE(end <= static_cast<int>(tokens.size()));
    REQUIRE(span.block_count == (end + kKvBlockTokens - 1) / kKvBlockTokens);
    std::set<std::int32_t> held;
    for (int group = 0; group < scheduler_.group_count(); ++group) {
        const auto table = plan.block_table(span, group);
        const int first = first_block_seen(config_.windows[static_cast<std::size_t>(group)], span.first_position);
        for (int i = 0; i < span.block_count; ++i) {
            const std::int32_t block = table[static_cast<std::size_t>(i)];
            REQUIRE((block != kNoBlock) == (i >= first));  // what its rows see and no more
            if (block != kNoBlock) REQUIRE(held.insert(block).second);
            // A block that begins with these rows holds nothing that anyone may rely on.
            if (i * kKvBlockTokens < span.first_position) continue;
            for (int slot = 0; slot < kKvBlockTokens; ++slot)
                slots_[static_cast<std::size_t>(block * kKvBlockTokens + slot)] = 0;
        }
    }
    for (int i = 0; i < span.rows; ++i) {
        const auto row = static_cast<std::size_t>(span.row_begin + i);
        REQUIRE(plan.tokens[row] == tokens[static_cast<std::size_t>(span.first_position + i)]);
    }
    const bool last = end == static_cast<int>(tokens.size());
    REQUIRE(span.samples == (last && request.max_tokens > 0));
    if (span.samples) REQUIRE(span.logits != LogitRows::none);
}

// Between steps a running sequence holds, of a group with a window, the blocks that its next row sees of those
// computed.
void Simulator::check_windows(std::int32_t sequence) const {
    const Sequence& state = scheduler_.sequence(sequence);
    if (state.state != SequenceState::running) return;
    for (int group = 0; group < scheduler_.group_count(); ++group) {
        const int window = config_.windows[static_cast<std::size_t>(group)];
        if (window == 0) continue;
        const auto& table = state.blocks[static_cast<std::size_t>(group)];
        const int first = first_block_seen(window, state.computed);
        for (int i = 0; i < static_cast<int>(table.size()); ++i)
            REQUIRE((table[static_cast<std::size_t>(i)] == kNoBlock) == (i < first));
        REQUIRE(static_cast<int>(table.size()) >= (state.computed + kKvBlockTokens - 1) / kKvBlockTokens);
    }
}

void Simulator::check_reads(const StepPlan& plan, const StepSpan& span, int positions) const {
    for (int group = 0; group < scheduler_.group_count(); ++group) {
        const auto hashes = prefix_hashes(tokens_of(span.sequence), group);
        const auto table = plan.block_table(span, group);
        const int window = config_.windows[static_cast<std::size_t>(group)];
        for (int p = window > 0 ? std::max(0, span.first_position - window + 1) : 0; p < positions; ++p) {
            const int slot = table[static_cast<std::size_t>(p / kKvBlockTokens)] * kKvBlockTokens + p % kKvBlockTokens;
            if (slot >= 0 && slots_[static_cast<std::size_t>(slot)] == hashes[static_cast<std::size_t>(p)]) continue;
            FAIL("step " << plan.step << ": position " << p << " of sequence " << span.sequence << " group " << group
                         << " holds another prefix's KV\n"
                         << describe(plan));
        }
    }
}

void Simulator::write_rows(const StepPlan& plan, const StepSpan& span) {
    for (int group = 0; group < scheduler_.group_count(); ++group) {
        const auto hashes = prefix_hashes(tokens_of(span.sequence), group);
        const auto table = plan.block_table(span, group);
        for (int p = span.first_position; p < span.first_position + span.rows; ++p) {
            const std::int32_t block = table[static_cast<std::size_t>(p / kKvBlockTokens)];
            REQUIRE(scheduler_.pool().references(block) == 1);  // nobody else reads what is being written
            const std::int64_t slot = static_cast<std::int64_t>(block) * kKvBlockTokens + p % kKvBlockTokens;
            REQUIRE(written_.insert(slot).second);
            slots_[static_cast<std::size_t>(slot)] = hashes[static_cast<std::size_t>(p)];
        }
    }
}

StepPlan Simulator::step(const StepLimits& limits) {
    running_.clear();
    for (std::size_t i = 0; i < scheduler_.sequence_count(); ++i) {
        if (scheduler_.sequence(static_cast<std::int32_t>(i)).state == SequenceState::running)
            running_.insert(static_cast<std::int32_t>(i));
    }
    const StepPlan plan = scheduler_.next(limits);
    check_limits(plan, limits);
    scheduler_.pool().check();
    written_.clear();
    for (const StepSpan& span : plan.spans) check_span(plan, span);
    for (const StepSpan& span : plan.spans) check_reads(plan, span, span.first_position);  // written by earlier steps
    for (const StepSpan& span : plan.spans) write_rows(plan, span);
    for (const StepSpan& span : plan.spans) check_reads(plan, span, span.first_position + span.rows);
    std::vector<SampleOutcome> outcomes;
    for (const StepSpan& span : plan.spans) {
        const Sequence& sequence = scheduler_.sequence(span.sequence);
        const Request& request = scheduler_.request_of(sequence);
        if (span.logits == LogitRows::all) {
            for (int i = 0; i < span.rows; ++i) scored_[sequence.request].insert(span.first_position + i);
        }
        if (!span.samples) continue;
        const std::int32_t token = next_token(prefix_hashes(tokens_of(span.sequence)).back(), request, sequence.sample);
        outcomes.push_back({.token = token, .finish = ending(request, token)});
    }
    scheduler_.complete(plan, outcomes);
    scheduler_.pool().check();
    for (const StepSpan& span : plan.spans) check_windows(span.sequence);
    return plan;
}

void Simulator::check_end() const {
    REQUIRE(scheduler_.done());
    REQUIRE(scheduler_.demand().idle());
    REQUIRE(scheduler_.pool().held() == 0);
    for (std::size_t i = 0; i < scheduler_.sequence_count(); ++i) {
        const Sequence& sequence = scheduler_.sequence(static_cast<std::int32_t>(i));
        const Request& request = scheduler_.request_of(sequence);
        REQUIRE(sequence.state == SequenceState::finished);
        REQUIRE(Answer{sequence.generated, sequence.finish} == expected_answer(request, sequence.sample));
        const auto scored = scored_.find(sequence.request);
        const std::size_t positions = scored == scored_.end() ? 0 : scored->second.size();
        REQUIRE(positions == (needs_prompt_logits(request) ? request.prompt.size() : 0));
    }
}

}  // namespace argosy::test
