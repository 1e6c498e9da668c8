// One group's steps: plan, forward, texts, answers.
#include "runtime/engine.hpp"

#include <algorithm>
#include <utility>

namespace argosy {

StepLimits agree_limits(std::span<const StepWord> words, int max_rows) {
    StepLimits limits{.max_rows = max_rows, .max_prefill_rows = -1};
    int decode_rows_max = 0;
    bool someone_only_decodes = false;
    for (const StepWord& word : words) {
        decode_rows_max = std::max(decode_rows_max, word.decode_rows);
        someone_only_decodes =
            someone_only_decodes || (word.decode_rows > 0 && word.prefill_rows == 0 && word.waiting == 0);
    }
    if (someone_only_decodes) limits.max_prefill_rows = std::max({decode_rows_max, max_rows / 4, 1});
    return limits;
}

Engine::Engine(const EngineConfig& config, const Tokenizer& tokenizer, ModelRunner& runner, AccountClock& clock,
               RankLedger& ledger)
    : config_(config),
      tokenizer_(tokenizer),
      runner_(runner),
      clock_(clock),
      ledger_(ledger),
      scheduler_(config.scheduler) {}

void Engine::add(std::vector<Request> requests, std::vector<std::string> metadata) {
    const InAccount account(clock_, Account::schedule);
    std::vector<Request> given = requests;
    const std::vector<Refusal> refused = scheduler_.add(std::move(requests));
    std::size_t next_refused = 0;
    // Requests that were taken are numbered in order; the first of this run follows the last of the run before.
    std::int32_t index = next_request_;
    for (std::size_t i = 0; i < given.size(); ++i) {
        if (next_refused < refused.size() && refused[next_refused].index == static_cast<std::int32_t>(i)) {
            if (config_.leader) {
                refused_.push_back({.line = given[i].line,
                                    .id = given[i].id,
                                    .code = "request_too_large",
                                    .sentence = refused[next_refused].sentence,
                                    .metadata = std::move(metadata[i])});
            }
            ++next_refused;
            continue;
        }
        answers_[index++] = {.choices = {},
                             .prompt_logprobs = {},
                             .metadata = std::move(metadata[i]),
                             .counts = {},
                             .unfinished = given[i].n};
    }
    next_request_ = index;
}

Generation& Engine::generation_of(std::int32_t sequence) {
    auto& generation = generations_[sequence];
    if (!generation) {
        const Sequence& state = scheduler_.sequence(sequence);
        generation =
            std::make_unique<Generation>(tokenizer_, scheduler_.request_of(state), state.sample, config_.eos_ids);
    }
    return *generation;
}

void Engine::step(const StepLimits& limits, bool others_have_rows) {
    clock_.switch_to(Account::schedule);
    last_finished_ = 0;
    const StepPlan plan = scheduler_.next(limits);
    last_plan_hash_ = plan_hash(plan);
    if (plan.empty() && !others_have_rows) {
        clock_.switch_to(Account::other);
        return;
    }
    current_plan_ = &plan;
    StepBatch batch = make_batch(plan, scheduler_, config_.record);
    adjust_tokens(plan, batch);
    const Phase phase = plan.rows - plan.decode_rows > plan.decode_rows ? Phase::prefill : Phase::decode;
    clock_.set_phase(phase);
    const std::vector<SampleResult>& results = runner_.run(batch);
    clock_.set_phase(Phase::none);
    clock_.switch_to(Account::output);
    const std::vector<SampleOutcome> outcomes = take_results(plan, batch, results);
    clock_.switch_to(Account::schedule);
    const std::vector<std::int32_t> finished = scheduler_.complete(plan, outcomes);
    clock_.switch_to(Account::output);
    count_step(plan, phase, static_cast<std::int64_t>(outcomes.size()));
    settle_finished(finished);
    current_plan_ = nullptr;
    clock_.switch_to(Account::other);
}

// Rows that sample get the list of tokens that penalties and bias concern; rows that score choose nothing.
void Engine::adjust_tokens(const StepPlan& plan, StepBatch& batch) {
    for (WantedRow& wanted : batch.wanted) {
        if (!wanted.samples) continue;
        const std::int32_t index = plan.spans[static_cast<std::size_t>(wanted.span)].sequence;
        const Sequence& sequence = scheduler_.sequence(index);
        const Request& request = scheduler_.request_of(sequence);
        if (!has_penalties(request) && request.logit_bias.empty()) continue;
        TokenAdjustments& adjustments = adjustments_.try_emplace(index, request).first->second;
        adjustments.follow(sequence.generated);
        wanted.how.adjusted = adjustments.tokens().data();
        wanted.how.adjusted_count = static_cast<int>(adjustments.tokens().size());
    }
}

std::vector<SampleOutcome> Engine::take_results(const StepPlan& plan, const StepBatch& batch,
                                                const std::vector<SampleResult>& results) {
    std::vector<SampleOutcome> outcomes;
    for (std::size_t i = 0; i < batch.wanted.size(); ++i) {
        const WantedRow& wanted = batch.wanted[i];
        const std::int32_t sequence = plan.spans[static_cast<std::size_t>(wanted.span)].sequence;
        const Sequence& state = scheduler_.sequence(sequence);
        if (wanted.samples) {
            ++answers_.at(state.request).counts.delivered_output;
            outcomes.push_back({.token = results[i].token, .finish = generation_of(sequence).push(results[i])});
        } else if (wanted.scores) {
            Answer& answer = answers_.at(state.request);
            prepare_prompt_logprobs(answer, scheduler_.request_of(state));
            answer.prompt_logprobs[wanted.how.position] = describe_logprob(tokenizer_, results[i]);
        }
    }
    return outcomes;
}

// A place for every prompt token; nothing stands before the first, which therefore has no value.
void Engine::prepare_prompt_logprobs(Answer& answer, const Request& request) {
    if (!answer.prompt_logprobs.empty()) return;
    answer.prompt_logprobs.resize(request.prompt.size());
    if (tokenizer_.tables) answer.prompt_logprobs[0].token = token_text(tokenizer_, request.prompt[0]);
}

void Engine::settle_finished(const std::vector<std::int32_t>& finished) {
    for (const std::int32_t index : finished) {
        const Sequence& sequence = scheduler_.sequence(index);
        Answer& answer = answers_.at(sequence.request);
        answer.choices.push_back(generation_of(index).finish(sequence.finish));
        generations_.erase(index);
        adjustments_.erase(index);
        answer.counts.cached_input += sequence.cached_prompt_tokens;
        answer.counts.uncached_input -= sequence.recomputed_rows;
        answer.counts.discarded += sequence.recomputed_rows;
        if (config_.leader && sequence.cached_prompt_tokens > 0) count(ledger_, Witness::prefix_hits);
        if (config_.leader && scheduler_.request_of(sequence).temperature > 0)
            count(ledger_, Witness::sequences_sampled);
        if (--answer.unfinished == 0) finish_request(sequence.request);
    }
}

void Engine::finish_request(std::int32_t index) {
    ++last_finished_;
    auto node = answers_.extract(index);
    Answer& answer = node.mapped();
    const Request& request = scheduler_.request(index);
    if (needs_prompt_logits(request)) prepare_prompt_logprobs(answer, request);
    if (config_.leader) {
        std::sort(answer.choices.begin(), answer.choices.end(),
                  [](const Choice& a, const Choice& b) { return a.index < b.index; });
        finished_.push_back({.line = request.line,
                             .id = request.id,
                             .model = config_.model_name,
                             .prompt_token_ids = request.prompt,
                             .return_token_ids = request.return_token_ids,
                             .echo = request.echo,
                             .logprobs = request.logprobs >= 0,
                             .chat = request.chat,
                             .marks = request.marks,
                             .prompt_text = request.echo && tokenizer_.tables ? decode(tokenizer_, request.prompt, true)
                                                                              : std::string(),
                             .prompt_logprobs = std::move(answer.prompt_logprobs),
                             .choices = std::move(answer.choices),
                             .metadata = std::move(answer.metadata),
                             .counts = answer.counts});
    }
    scheduler_.forget(index);
}

// Every row of a step is a token of one class; the leader counts for its group. Rows that were computed again are taken
// from a request's prompt rows when its sequence ends.
void Engine::count_step(const StepPlan& plan, Phase phase, std::int64_t sampled) {
    count(ledger_, plan.empty() ? Witness::empty_steps : Witness::steps);
    raise_to(ledger_, Witness::rows_max, plan.rows);
    raise_to(ledger_, Witness::blocks_used_max, scheduler_.pool().held());
    for (const StepSpan& span : plan.spans) {
        if (span.kind == SpanKind::prefill)
            answers_.at(scheduler_.sequence(span.sequence).request).counts.uncached_input += span.rows;
    }
    const SchedulerCounters now = scheduler_.counters();
    const SchedulerCounters before = std::exchange(counted_, now);
    if (!config_.leader) return;
    const std::int64_t recomputed = now.recomputed_rows - before.recomputed_rows;
    const std::int64_t found =
        now.prefix_hit_tokens - before.prefix_hit_tokens + now.sample_shared_tokens - before.sample_shared_tokens;
    count_tokens(ledger_, phase, TokenClass::uncached_input, plan.rows - plan.decode_rows - recomputed);
    count_tokens(ledger_, phase, TokenClass::discarded, recomputed);
    count_tokens(ledger_, phase, TokenClass::cached_input, found);
    count_tokens(ledger_, phase, TokenClass::delivered_output, sampled);
}

std::vector<RequestResult> Engine::take_finished() { return std::exchange(finished_, {}); }
std::vector<LineError> Engine::take_refused() { return std::exchange(refused_, {}); }

RecordedRow Engine::recorded_row(int row) const {
    for (const StepSpan& span : current_plan_->spans) {
        if (row < span.row_begin || row >= span.row_begin + span.rows) continue;
        const Sequence& sequence = scheduler_.sequence(span.sequence);
        const Request& request = scheduler_.request_of(sequence);
        const int position = span.first_position + row - span.row_begin;
        if (position >= static_cast<int>(request.prompt.size())) return {};
        return {.name = request_name(request.id, request.line), .prompt = request.prompt, .position = position};
    }
    return {};
}

}  // namespace argosy
