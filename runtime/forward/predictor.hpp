// What the predictor (DeepSeek-V3's multi-token prediction module) puts before its layer: the last layer's state of a
// token and the embedding of the token after it, joined. DeepSeek-AI 2024, "DeepSeek-V3 Technical Report", equation 21;
// the state is taken behind the final norm, and the embedding stands first, as in the released weights.
#pragma once

#include "kernels/base/buffer.hpp"
#include "runtime/forward/rank_context.hpp"
#include "runtime/forward/step_batch.hpp"

namespace argosy {

class Predictor {
  public:
    Predictor(RankContext& rank, int rows_max);

    // state [own rows, hidden] before the final norm -> x [own rows, hidden], the input of the predictor's layer. Of a
    // row whose next token is not known yet, token 0 is taken for it: what becomes of such a row means nothing, and no
    // row before it sees it.
    void join(const StepBatch& batch, const float* state, float* x);

    std::int64_t workspace_bytes() const;

  private:
    RankContext& rank_;
    Buffer embedding_;  // [own rows, hidden]
    Buffer state_;      // [own rows, hidden]
    Buffer both_;       // [own rows, 2 * hidden]
    Buffer scratch_;    // of the product
};

}  // namespace argosy
