// What every part of the forward pass needs of its rank: model, weights, place, communicators, ops, clock. Plain
// references; the engine owns them all.
#pragma once

#include <vector>

#include "kernels/base/account_clock.hpp"
#include "kernels/base/buffer.hpp"
#include "kernels/kernel_meter.hpp"
#include "kernels/ops.hpp"
#include "parallel/mpi_session.hpp"
#include "parallel/rank_layout.hpp"
#include "runtime/forward/weight_arenas.hpp"
#include "runtime/model/model_plan.hpp"
#include "runtime/model/weight_plan.hpp"

namespace argosy {

// The rank's share of the attention heads.
struct HeadShare {
    HeadRange q;                        // global query heads
    HeadRange kv;                       // global kv heads
    std::vector<std::int32_t> q_to_kv;  // [q.count()] local kv head of each local query head
};
HeadShare head_share(const ModelPlan& plan, int tp_rank, int tp);

struct RankContext {
    const ModelPlan& plan;
    const RankWeights& weights;
    const Ops& ops;
    Stream stream;
    const RankLayout& layout;
    const RankPlace& place;
    Groups& groups;
    AccountClock& clock;
    HeadShare heads;
    const float* rope_cos = nullptr;  // [positions, rotary_dim / 2]
    const float* rope_sin = nullptr;
};

// Scratch for a product of `rows` rows with a matrix of `spec`; the buffer grows to the largest seen and stays.
inline std::byte* product_scratch(const RankContext& rank, Buffer& buffer, const MatrixSpec& spec, std::int64_t rows) {
    buffer.grow(rank.ops.product_scratch_bytes(spec, rows, rank.stream.threads));
    return buffer.as<std::byte>();
}

// The rows of a step of `rows` that this rank owns in the residual stream.
inline RowRange own_rows(const RankContext& rank, int rows) {
    return row_share(rows, rank.place.tp_rank, rank.layout.tp);
}

}  // namespace argosy
