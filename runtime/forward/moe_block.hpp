// The feed-forward half of an MoE layer: norm, router, rows to their experts, grouped products, results back and
// joined.
#pragma once

#include "kernels/base/buffer.hpp"
#include "parallel/expert_exchange.hpp"
#include "runtime/forward/rank_context.hpp"

namespace argosy {

class MoeBlock {
  public:
    // rows_max: rows of a step of a data-parallel group; rows_per_round: of the exchange, between two ranks.
    MoeBlock(RankContext& rank, int rows_max, int rows_per_round);

    // x [own rows, hidden] += the weighted experts of norm(x). Collective over the stage, also with no rows.
    void run(int layer, int own_rows, float* x);

    // What the router chose for the own rows of the last run: [own rows, top_k].
    const std::int32_t* ids() const { return ids_.as<std::int32_t>(); }
    const float* weights() const { return weights_.as<float>(); }

    const ExpertExchange::PlannedTraffic& planned() const { return exchange_.planned(); }
    // Rows and experts computed here since the start: one row per row and chosen expert, an expert each time its
    // weights are read.
    struct Computed {
        std::int64_t grouped_rows = 0;
        std::int64_t experts_hit = 0;
    };
    const Computed& computed() const { return computed_; }
    std::int64_t workspace_bytes() const;

  private:
    void note_busiest(const ExpertExchange::Received& in);
    void compute(const LayerWeights& weights, const ExpertExchange::Received& in);

    RankContext& rank_;
    ExpertExchange exchange_;
    Computed computed_;
    bool brings_bias_ = true;            // this rank has the experts' first leaf
    std::vector<std::int32_t> experts_;  // [local experts] global ids
    Buffer normed_;                      // [own rows, hidden]
    Buffer router_scratch_;              // [own rows, 2 * experts]
    Buffer ids_;                         // [own rows, top_k]
    Buffer weights_;                     // [own rows, top_k]
    Buffer hidden_;                      // [grouped rows, columns of an expert on this rank]
    Buffer results_;                     // [grouped rows, hidden]
    Buffer scratch_;                     // of the products
};

}  // namespace argosy
