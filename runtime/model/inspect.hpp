// What `argosy inspect MODEL` prints of a model.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/model/checkpoint.hpp"
#include "runtime/model/model_plan.hpp"
#include "runtime/model/weight_plan.hpp"

namespace argosy {

struct InspectOptions {
    int dp = 1;
    int tp = 1;
    int ep = 0;  // 0: dp * tp / etp
    int etp = 1;
};

// The share of each rank of one stage of dp * tp ranks: rank r has tp_rank r % tp; experts go to ep rank r / etp,
// column part r % etp. Throws Error(usage) when ep * etp is not dp * tp or a part is out of range. Dense models have ep
// = 1 and etp = 1.
std::vector<LayoutShare> layout_shares(const ModelPlan& plan, const InspectOptions& options);

// Family, parameters, shape of the layers, KV bytes per token, bytes per rank. With `stored` (match_tensors) bytes are
// those of the checkpoint's formats; else of the format that config.json announces, bf16 if it announces none.
std::string inspect_text(const ModelPlan& plan, const InspectOptions& options = {});
std::string inspect_text(const ModelPlan& plan, const std::vector<StoredTensor>& stored,
                         const InspectOptions& options = {});

}  // namespace argosy
