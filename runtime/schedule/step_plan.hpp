// StepPlan: everything one step of a group computes, as plain data that every rank of the group makes for itself and
// compares by hash.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace argosy {

struct StepLimits {
    int max_rows = 512;         // rows of the step at most; >= 1
    int max_prefill_rows = -1;  // rows of prefill at most; -1: as many as fit. 0 makes a step of decode rows only
    bool operator==(const StepLimits&) const = default;
};

// What a group could do in its next step: goes into the control word, so that groups that move together agree on a
// split.
struct StepDemand {
    int decode_rows = 0;            // sequences that wait for their next token
    std::int64_t prefill_rows = 0;  // rows of running sequences that are still to be prefilled
    int waiting = 0;                // sequences not yet admitted
    bool operator==(const StepDemand&) const = default;
    bool idle() const { return decode_rows == 0 && prefill_rows == 0 && waiting == 0; }
};

enum class SpanKind : std::uint8_t { decode, prefill };

enum class LogitRows : std::uint8_t {
    none,  // a chunk that does not end its sequence's known tokens
    last,  // the last row's logits
    all,   // every row's: row i scores the prompt token after it (echo with logprobs, or max_tokens 0)
};

// Adjacent rows of one sequence: row i stands at position first_position + i.
struct StepSpan {
    std::int32_t sequence = 0;  // index of the sequence in the scheduler
    int row_begin = 0;          // first row in the step: rows of a span are adjacent, spans stand in row order
    int rows = 0;
    int first_position = 0;
    SpanKind kind = SpanKind::decode;
    LogitRows logits = LogitRows::none;
    bool samples = false;  // the last row's logits give the sequence's next token
    int block_begin = 0;   // of group g the block table is the block_count entries of plan.blocks from here
    int block_count = 0;   // + g * block_count on: the blocks of positions 0 to the end of these rows
    int new_blocks = 0;    // blocks of all groups that were acquired or found for this step
    bool operator==(const StepSpan&) const = default;
};

struct StepPlan {
    std::int64_t step = 0;  // counted from 0
    int rows = 0;           // sum over spans
    int decode_rows = 0;    // they come first
    // Decode, then prefill going on, then prefill newly admitted; each by rising sequence.
    std::vector<StepSpan> spans{};
    std::vector<std::int32_t> tokens{};  // [rows] input token of every row
    // The spans' block tables, one after the other, each group by group; kNoBlock where a window has gone on.
    std::vector<std::int32_t> blocks{};
    std::vector<std::int32_t> preempted{};  // sequences that lost their blocks to make this plan
    bool operator==(const StepPlan&) const = default;

    bool empty() const { return spans.empty(); }
    std::span<const std::int32_t> block_table(const StepSpan& span, int group = 0) const {
        return {blocks.data() + span.block_begin + group * span.block_count,
                static_cast<std::size_t>(span.block_count)};
    }
    int sample_count() const;  // spans that sample
};

std::string_view to_string(SpanKind kind);

// Lines for a log: one for the step, one per span.
std::string describe(const StepPlan& plan);

// 64 bits over every field; equal plans have equal hashes on every machine.
std::uint64_t plan_hash(const StepPlan& plan);

}  // namespace argosy
