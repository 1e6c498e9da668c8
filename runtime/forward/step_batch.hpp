// One step's work as the ops want it: arrays per row, spans of attention, and the rows whose logits are wanted. Made
// from a StepPlan by a pure function.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "kernels/ops.hpp"
#include "runtime/schedule/scheduler.hpp"
#include "runtime/schedule/step_plan.hpp"

namespace argosy {

// A row whose logits are needed, and what for.
struct WantedRow {
    int row = 0;           // of the step
    int span = 0;          // of the plan
    bool samples = false;  // gives the sequence's next token
    bool scores = false;   // scores the prompt's next token for the answer; neither: wanted by the recorder alone
    SampleRow how;
};

// Where the rows' keys and values stand in one group of layers.
struct KvRows {
    std::vector<std::int64_t> slot;    // [rows]
    std::vector<AttentionSpan> spans;  // their blocks point into the batch
};

inline constexpr std::int32_t kNoToken = -1;

struct StepBatch {
    int rows = 0;
    std::vector<std::int32_t> token;       // [rows]
    std::vector<std::int32_t> next_token;  // [rows] the sequence's token after each; kNoToken: not known yet
    std::vector<std::int32_t> position;    // [rows]
    std::vector<std::int32_t> blocks;      // of the plan; what no row sees is block 0, where reading does no harm
    std::vector<KvRows> kv;                // [groups]
    std::vector<WantedRow> wanted;         // by rising row
};

// How a request's tokens are chosen, for its next token at `position` of sample `sample`. Which tokens its penalties
// and bias concern is not in it: see TokenAdjustments.
SampleRow sample_row(const Request& request, int sample, int position);

// `plan` as arrays. Of a span whose every row is wanted, row i scores the prompt token after it. With every_prompt_row
// the logits of all prompt rows are computed, for the recorder.
StepBatch make_batch(const StepPlan& plan, const Scheduler& scheduler, bool every_prompt_row);

}  // namespace argosy
