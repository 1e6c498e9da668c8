// A step plan in words and as a hash.
#include "runtime/schedule/step_plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "runtime/schedule/token_hash.hpp"

namespace argosy {

int StepPlan::sample_count() const {
    return static_cast<int>(
        std::count_if(spans.begin(), spans.end(), [](const StepSpan& span) { return span.samples; }));
}

std::string_view to_string(SpanKind kind) { return kind == SpanKind::decode ? "decode" : "prefill"; }

std::string describe(const StepPlan& plan) {
    std::string text = fmt::format("step {}: {} rows in {} spans, {} of decode, {} sample", plan.step, plan.rows,
                                   plan.spans.size(), plan.decode_rows, plan.sample_count());
    if (!plan.preempted.empty()) text += fmt::format(", preempted {}", fmt::join(plan.preempted, " "));
    text += '\n';
    for (const StepSpan& span : plan.spans) {
        const char* logits = span.logits == LogitRows::none ? "no" : span.logits == LogitRows::last ? "last" : "all";
        fmt::format_to(std::back_inserter(text),
                       "  {} sequence {} positions {}..{} rows {}..{} logits {}{} blocks {} ({} new)\n",
                       to_string(span.kind), span.sequence, span.first_position, span.first_position + span.rows - 1,
                       span.row_begin, span.row_begin + span.rows - 1, logits, span.samples ? " samples" : "",
                       fmt::join(plan.block_table(span), " "), span.new_blocks);
    }
    return text;
}

std::uint64_t plan_hash(const StepPlan& plan) {
    std::vector<std::int64_t> words{plan.step, plan.rows, plan.decode_rows};
    words.reserve(8 + plan.spans.size() * 10 + (plan.tokens.size() + plan.blocks.size()) / 2);
    for (const StepSpan& span : plan.spans) {
        words.insert(words.end(), {span.sequence, span.row_begin, span.rows, span.first_position,
                                   static_cast<std::int64_t>(span.kind), static_cast<std::int64_t>(span.logits),
                                   span.samples ? 1 : 0, span.block_begin, span.block_count, span.new_blocks});
    }
    const auto bytes = [](const auto& values) {
        return std::string_view(reinterpret_cast<const char*>(values.data()), values.size() * sizeof values[0]);
    };
    // Each list is hashed under the hash of what came before, so that nothing can move from one list to the next
    // unseen.
    std::uint64_t hash = hash64(bytes(words), 0);
    hash = hash64(bytes(plan.tokens), hash);
    hash = hash64(bytes(plan.blocks), hash);
    return hash64(bytes(plan.preempted), hash);
}

}  // namespace argosy
