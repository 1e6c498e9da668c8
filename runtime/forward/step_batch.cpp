// A StepPlan turned into arrays.
#include "runtime/forward/step_batch.hpp"

#include <algorithm>

#include "kernels/base/error.hpp"

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

std::int32_t token_after(const Sequence& sequence, const Request& request, int position) {
    const auto next = static_cast<std::size_t>(position) + 1;
    const std::size_t prompt_tokens = request.prompt.size();
    if (next < prompt_tokens) return request.prompt[next];
    return next - prompt_tokens < sequence.generated.size() ? sequence.generated[next - prompt_tokens] : kNoToken;
}

// Blocks in which both sequences begin.
int shared_blocks(std::span<const std::int32_t> before, std::span<const std::int32_t> blocks) {
    const auto [end, _] = std::mismatch(before.begin(), before.end(), blocks.begin(), blocks.end());
    return static_cast<int>(end - before.begin());
}

// Of every span's table in a group, entries that no row sees become block 0, where reading does no harm; any other
// without a block is a broken plan, which would write over that block.
void point_unseen(const StepPlan& plan, int group, int window, std::vector<std::int32_t>& blocks) {
    for (const StepSpan& span : plan.spans) {
        std::int32_t* table = blocks.data() + span.block_begin + group * span.block_count;
        const int first = first_block_seen(window, span.first_position);
        for (int i = 0; i < span.block_count; ++i) {
            if (table[i] != kNoBlock) continue;
            if (i >= first)
                fail(ErrorKind::internal, "Step {} has no KV block {} of sequence {} in group {}, which its rows see.",
                     plan.step, i, span.sequence, group);
            table[i] = 0;
        }
    }
}

// The plan's spans and slots in one group of layers.
KvRows kv_rows(const StepPlan& plan, const std::vector<std::int32_t>& blocks, int group) {
    KvRows kv;
    kv.slot.reserve(static_cast<std::size_t>(plan.rows));
    std::span<const std::int32_t> before;
    for (const StepSpan& span : plan.spans) {
        const std::span<const std::int32_t> table(blocks.data() + span.block_begin + group * span.block_count,
                                                  static_cast<std::size_t>(span.block_count));
        for (int position = span.first_position; position < span.first_position + span.rows; ++position) {
            const std::int64_t block = table[static_cast<std::size_t>(position / kKvBlockTokens)];
            kv.slot.push_back(block * kKvBlockTokens + position % kKvBlockTokens);
        }
        kv.spans.push_back({.row_begin = span.row_begin,
                            .rows = span.rows,
                            .first_position = span.first_position,
                            .blocks = table.data(),
                            .shared_blocks = shared_blocks(before, table)});
        before = table;
    }
    return kv;
}

}  // namespace

StepBatch make_batch(const StepPlan& plan, const Scheduler& scheduler, bool every_prompt_row) {
    StepBatch batch;
    batch.rows = plan.rows;
    batch.token = plan.tokens;
    batch.blocks = plan.blocks;
    for (int group = 0; group < scheduler.group_count(); ++group) {
        point_unseen(plan, group, scheduler.windows()[static_cast<std::size_t>(group)], batch.blocks);
        batch.kv.push_back(kv_rows(plan, batch.blocks, group));
    }
    batch.position.reserve(static_cast<std::size_t>(plan.rows));
    for (std::size_t s = 0; s < plan.spans.size(); ++s) {
        const StepSpan& span = plan.spans[s];
        const Sequence& sequence = scheduler.sequence(span.sequence);
        for (int i = 0; i < span.rows; ++i) {
            batch.position.push_back(span.first_position + i);
            batch.next_token.push_back(token_after(sequence, scheduler.request_of(sequence), span.first_position + i));
        }
        if (span.logits == LogitRows::none && !every_prompt_row) continue;
        add_wanted(span, static_cast<int>(s), sequence, scheduler.request_of(sequence), every_prompt_row, batch.wanted);
    }
    return batch;
}

}  // namespace argosy
