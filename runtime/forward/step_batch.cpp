// A StepPlan turned into arrays.
#include "runtime/forward/step_batch.hpp"

#include <algorithm>

namespace argosy {

SampleRow sample_row(const Request& request, int sample, int position) {
    SampleRow row;
    row.temperature = static_cast<float>(request.temperature);
    row.min_p = static_cast<float>(request.min_p);
    row.top_k = request.top_k;
    row.top_p = static_cast<float>(request.top_p);
    row.seed = request.seed;
    row.request = request.identity;
    row.sample = static_cast<std::uint32_t>(sample);
    row.position = static_cast<std::uint32_t>(position);
    row.top_logprobs = request.logprobs;
    row.repetition_penalty = static_cast<float>(request.repetition_penalty);
    row.frequency_penalty = static_cast<float>(request.frequency_penalty);
    row.presence_penalty = static_cast<float>(request.presence_penalty);
    return row;
}

namespace {

// The rows of a span whose logits are wanted. A prompt's last row scores nothing: what comes after it is sampled.
void add_wanted(const StepSpan& span, int span_index, const Sequence& sequence, const Request& request,
                bool every_prompt_row, std::vector<WantedRow>& wanted) {
    const int prompt_tokens = static_cast<int>(request.prompt.size());
    for (int i = 0; i < span.rows; ++i) {
        const bool last = i == span.rows - 1;
        const int next = span.first_position + i + 1;
        WantedRow row{.row = span.row_begin + i,
                      .span = span_index,
                      .samples = span.samples && last,
                      .scores = false,
                      .how = sample_row(request, sequence.sample, next)};
        row.scores = span.logits == LogitRows::all && !row.samples && next < prompt_tokens;
        const bool recorded = every_prompt_row && next <= prompt_tokens;
        if (!row.samples && !row.scores && !recorded) continue;
        if (!row.samples)
            row.how.forced_token = next < prompt_tokens ? request.prompt[static_cast<std::size_t>(next)] : 0;
        wanted.push_back(row);
    }
}

// Blocks in which both sequences begin.
int shared_blocks(std::span<const std::int32_t> before, std::span<const std::int32_t> blocks) {
    const auto [end, _] = std::mismatch(before.begin(), before.end(), blocks.begin(), blocks.end());
    return static_cast<int>(end - before.begin());
}

}  // namespace

StepBatch make_batch(const StepPlan& plan, const Scheduler& scheduler, bool every_prompt_row) {
    StepBatch batch;
    batch.rows = plan.rows;
    batch.token = plan.tokens;
    batch.position.reserve(static_cast<std::size_t>(plan.rows));
    batch.kv_slot.reserve(static_cast<std::size_t>(plan.rows));
    for (std::size_t s = 0; s < plan.spans.size(); ++s) {
        const StepSpan& span = plan.spans[s];
        const std::span<const std::int32_t> blocks = plan.block_table(span);
        for (int i = 0; i < span.rows; ++i) {
            const int position = span.first_position + i;
            batch.position.push_back(position);
            batch.kv_slot.push_back(std::int64_t{blocks[static_cast<std::size_t>(position / kKvBlockTokens)]} *
                                        kKvBlockTokens +
                                    position % kKvBlockTokens);
        }
        batch.spans.push_back(
            {.row_begin = span.row_begin,
             .rows = span.rows,
             .first_position = span.first_position,
             .blocks = blocks.data(),
             .shared_blocks = s > 0 ? shared_blocks(plan.block_table(plan.spans[s - 1]), blocks) : 0});
        if (span.logits == LogitRows::none && !every_prompt_row) continue;
        const Sequence& sequence = scheduler.sequence(span.sequence);
        add_wanted(span, static_cast<int>(s), sequence, scheduler.request_of(sequence), every_prompt_row, batch.wanted);
    }
    return batch;
}

}  // namespace argosy
