// How paged attention is cut into tasks: which queries, of which spans and heads, one thread takes at a time. Plain
// decisions, from the arguments of the op.
#pragma once

#include <cstdint>

#include "kernels/cpu/generic/attention_limits.hpp"
#include "kernels/cpu/generic/attention_tile.hpp"

namespace argosy {

// Adjacent query heads that read one KV head.
struct HeadRun {
    int first = 0;
    int count = 0;
    int kv_head = 0;
};

ARGOSY_INLINE int kv_head_of(const AttentionArgs& args, int head) {
    return args.q_to_kv != nullptr ? args.q_to_kv[head] : head / (args.q_heads / args.kv.spec.kv_heads);
}
ARGOSY_INLINE HeadRun next_head_run(const AttentionArgs& args, int first) {
    HeadRun run{first, 1, kv_head_of(args, first)};
    while (first + run.count < args.q_heads && kv_head_of(args, first + run.count) == run.kv_head) ++run.count;
    return run;
}

// Queries [query, query + count) of one span and run; query i is row i / run.count, head run.first + i % run.count. Of
// several spans, of one row each, the rows are theirs in turn.
struct AttentionTask {
    const AttentionSpan* span = nullptr;
    HeadRun run;
    int query = 0;
    int count = 0;
    bool row_each = false;  // span[row] has row `row`

    [[gnu::always_inline]] int row(int i) const { return (query + i) / run.count; }
    [[gnu::always_inline]] int keys(int i) const {
        return row_each ? span[row(i)].first_position + 1 : span->first_position + row(i) + 1;
    }
    // The first key that query i sees.
    [[gnu::always_inline]] int first_key(const AttentionArgs& args, int i) const {
        return args.window > 0 && keys(i) > args.window ? keys(i) - args.window : 0;
    }
    // Where the first segment begins that any query sees.
    [[gnu::always_inline]] int first_segment(const AttentionArgs& args) const {
        return first_key(args, 0) / kSegmentKeys * kSegmentKeys;
    }
    [[gnu::always_inline]] int head(int i) const { return run.first + (query + i) % run.count; }
    // Where query i stands among all, counted in heads of rows.
    [[gnu::always_inline]] std::int64_t place(const AttentionArgs& args, int i) const {
        const std::int64_t at = row_each ? span[row(i)].row_begin : span->row_begin + row(i);
        return args.rows_by_head > 0 ? static_cast<std::int64_t>(head(i)) * args.rows_by_head + at
                                     : at * args.q_heads + head(i);
    }
};

template <class V>
constexpr int kTilesMax = (kTaskQueries + V::kQueryRows - 1) / V::kQueryRows;

// How an op is cut into tasks: part of the queries, span and run of heads, the last fastest.
struct AttentionCut {
    std::int64_t parts = 0;  // every span gets as many as the longest needs; those it has no queries for end at once
    int runs = 0;
    int runs_together = 1;   // of spans of few queries, where there are spans enough for all threads
    int spans_together = 1;  // of one row and a common prefix
    std::int64_t tasks = 0;
};

template <class V>
static AttentionCut attention_cut(const AttentionArgs& args, const Stream& stream) {
    AttentionCut cut;
    int heads_max = 0;
    for (int head = 0; head < args.q_heads; ++cut.runs) {
        const HeadRun run = next_head_run(args, head);
        head += run.count;
        if (run.count > heads_max) heads_max = run.count;
    }
    int rows_max = 0;
    for (int s = 0; s < args.spans; ++s) {
        if (args.span[s].rows > rows_max) rows_max = args.span[s].rows;
    }
    cut.parts = (static_cast<std::int64_t>(rows_max) * heads_max + kTaskQueries - 1) / kTaskQueries;
    cut.tasks = cut.parts * args.spans * cut.runs;
    if (args.spans >= 4 * stream.threads) cut.runs_together = kTilesMax<V> < cut.runs ? kTilesMax<V> : cut.runs;
    if (heads_max <= V::kQueryRows && args.window == 0) {  // a span's queries are one tile
        const int most = kTaskQueries / heads_max;
        const int spread = stream.threads > 1 ? args.spans * cut.runs / (4 * stream.threads) : most;
        cut.spans_together = spread < 1 ? 1 : spread < most ? spread : most;
    }
    return cut;
}

// count 0: nothing to do, as beyond the last task.
ARGOSY_INLINE AttentionTask attention_task_at(const AttentionArgs& args, const AttentionCut& cut, std::int64_t index) {
    AttentionTask task;
    if (index >= cut.tasks) return task;
    // The longest parts, which see most keys, first.
    const std::int64_t part = cut.parts - 1 - index / cut.runs / args.spans;
    task.span = args.span + index / cut.runs % args.spans;
    task.query = static_cast<int>(part * kTaskQueries);
    int head = 0;
    for (std::int64_t r = index % cut.runs; r >= 0; --r) {
        task.run = next_head_run(args, head);
        head += task.run.count;
    }
    const int left = task.span->rows * task.run.count - task.query;
    task.count = left < 0 ? 0 : left < kTaskQueries ? left : kTaskQueries;
    return task;
}

// Whether all runs of the task's span are single tiles, which the first of runs_together takes along.
template <class V>
static bool is_short(const AttentionArgs& args, const AttentionCut& cut, const AttentionTask& task) {
    if (cut.runs_together == 1 || task.query > 0) return false;
    for (int head = 0; head < args.q_heads;) {
        const HeadRun run = next_head_run(args, head);
        if (task.span->rows * run.count > V::kQueryRows) return false;
        head += run.count;
    }
    return true;
}

// Blocks, whole segments of them, that span s shares with the one before and reads to their end; 0: it stands alone.
ARGOSY_INLINE int shared_with_previous(const AttentionArgs& args, const AttentionCut& cut, int s) {
    if (s % cut.spans_together == 0 || args.span[s].rows != 1 || args.span[s - 1].rows != 1) return 0;
    const int first = args.span[s - 1].first_position;
    const int keys = (args.span[s].first_position < first ? args.span[s].first_position : first) + 1;
    const int whole = keys / kKvBlockTokens;
    const int shared = args.span[s].shared_blocks;
    return (shared < whole ? shared : whole) / kSegmentBlocks * kSegmentBlocks;
}

// Spans from the task's on that it takes along, itself too, and the blocks they share; 0: another task takes it.
struct SharedSpans {
    int spans = 1;
    int blocks = 0;
};

ARGOSY_INLINE SharedSpans shared_spans(const AttentionArgs& args, const AttentionCut& cut, const AttentionTask& task) {
    constexpr int kBlocksMin = 2 * kSegmentBlocks;  // less is not worth it
    SharedSpans shared;
    const auto s = static_cast<int>(task.span - args.span);
    if (shared_with_previous(args, cut, s) >= kBlocksMin) return {0, 0};
    for (int next = s + 1; next < args.spans; ++next, ++shared.spans) {
        const int blocks = shared_with_previous(args, cut, next);
        if (blocks < kBlocksMin) break;
        if (shared.spans == 1 || blocks < shared.blocks) shared.blocks = blocks;
    }
    return shared;
}

}  // namespace argosy
