// The attention half of a layer over latents (DeepSeek-V2): norm, queries and latents, attention in the latents' space,
// back to values, output projection, sum over tensor-parallel ranks.
#pragma once

#include "kernels/base/buffer.hpp"
#include "parallel/leaf_sum.hpp"
#include "runtime/forward/kv_cache.hpp"
#include "runtime/forward/rank_context.hpp"
#include "runtime/forward/step_batch.hpp"

namespace argosy {

class LatentBlock {
  public:
    // Buffers for steps of up to rows_max rows.
    LatentBlock(RankContext& rank, LeafSum& leaf_sum, int rows_max);

    // x [own rows, hidden] += output projection of the attention over norm(x).
    void run(int layer, const StepBatch& batch, KvCache& cache, float* x);

    std::int64_t workspace_bytes() const;

  private:
    void product(const WeightMatrix& weight, int rows, const float* x, float* out);
    void by_head(const std::vector<WeightMatrix>& weight, const float* x, float* out, std::int64_t out_stride,
                 std::int64_t out_group);
    void project(const LayerWeights& weights, const StepBatch& batch, const KvRows& rows, const KvLayer& kv);
    void attend(int layer, const LayerWeights& weights, const StepBatch& batch, const KvRows& rows, const KvLayer& kv);

    RankContext& rank_;
    LeafSum& leaf_sum_;
    std::uint32_t present_;                // tensor-parallel ranks that have heads
    std::vector<std::int32_t> head_rows_;  // [heads + 1] where each head's rows begin among those of all
    Buffer normed_;                        // [rows, hidden]; the own rows stand at their place
    Buffer q_a_;                           // [rows, q_rank]
    Buffer q_;                             // [rows, q * head_dim]
    Buffer latent_;                        // [rows, kv_rank + rotary_dim]
    Buffer q_nope_;                        // [q, rows, nope_dim]
    Buffer q_latent_;                      // [q, rows, kv_rank + rotary_dim]
    Buffer attended_;                      // [q, rows, kv_rank]
    Buffer values_;                        // [rows, q * value_dim]
    Buffer projected_;                     // [rows, hidden] this rank's leaves
    Buffer scratch_;                       // of the products
};

}  // namespace argosy
