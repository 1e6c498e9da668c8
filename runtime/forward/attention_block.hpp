// The attention half of a layer: norm, qkv with rotary embedding and KV write, paged attention, output projection, sum
// over tensor-parallel ranks.
#pragma once

#include <array>

#include "kernels/base/buffer.hpp"
#include "parallel/leaf_sum.hpp"
#include "runtime/forward/kv_cache.hpp"
#include "runtime/forward/rank_context.hpp"
#include "runtime/forward/step_batch.hpp"

namespace argosy {

class AttentionBlock {
  public:
    // Buffers for steps of up to rows_max rows.
    AttentionBlock(RankContext& rank, LeafSum& leaf_sum, int rows_max);

    // x [own rows, hidden] += output projection of the attention over norm(x).
    void run(int layer, const StepBatch& batch, KvCache& cache, float* x);

    std::int64_t workspace_bytes() const;

  private:
    void project(int layer, const StepBatch& batch, const KvRows& rows, const KvLayer& kv);

    RankContext& rank_;
    LeafSum& leaf_sum_;
    std::uint32_t present_;         // tensor-parallel ranks that have heads
    std::array<WideNorm, 2> wide_;  // of q and k, where norms go over all heads
    Buffer normed_;                 // [rows, hidden]; the own rows stand at their place
    Buffer qkv_;                    // [rows, (q + 2 kv) * head_dim]
    Buffer q_;                      // [rows, q * head_dim]
    Buffer squares_;                // [rows, 2, kLeafCount] where norms go over all heads
    Buffer attended_;               // [rows, q * head_dim]
    Buffer projected_;              // [rows, hidden] this rank's leaves
    Buffer scratch_;                // of the products
};

}  // namespace argosy
