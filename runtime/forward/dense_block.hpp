// The feed-forward half of a dense layer, or what stands beside the experts of a mixture: norm, gate and up, down, sum
// over tensor-parallel ranks.
#pragma once

#include "kernels/base/buffer.hpp"
#include "parallel/leaf_sum.hpp"
#include "runtime/forward/rank_context.hpp"

namespace argosy {

class DenseBlock {
  public:
    DenseBlock(RankContext& rank, LeafSum& leaf_sum, int rows_max);

    // out = residual + down(silu(gate n) * up n), n = norm(x); all of [own rows of `rows`, hidden]. residual: x, or
    // null for none; out may be x. Of a mixture it is the shared feed-forward.
    void run(int layer, int rows, const float* x, const float* residual, float* out);

    std::int64_t workspace_bytes() const;

  private:
    RankContext& rank_;
    LeafSum& leaf_sum_;
    Buffer normed_;     // [rows, hidden]
    Buffer hidden_;     // [rows, this rank's columns]
    Buffer projected_;  // [rows, hidden]
    Buffer scratch_;    // of the products
};

}  // namespace argosy
