// Joining states with the tokens after them.
#include "runtime/forward/predictor.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

namespace argosy {

Predictor::Predictor(RankContext& rank, int rows_max) : rank_(rank) {
    const auto rows = static_cast<std::size_t>((rows_max + rank.layout.tp - 1) / rank.layout.tp);
    const std::size_t bytes = rows * static_cast<std::size_t>(rank.plan.hidden) * sizeof(float);
    embedding_ = Buffer(bytes);
    state_ = Buffer(bytes);
    both_ = Buffer(2 * bytes);
}

void Predictor::join(const StepBatch& batch, const float* state, float* x) {
    const RowRange own = own_rows(rank_, batch.rows);
    const auto rows = static_cast<int>(own.count());
    const int hidden = rank_.plan.hidden;
    const PredictorWeights& weights = rank_.weights.predictor;
    const auto norm = [&](const float* from, const float* weight, float* to) {
        run_op(rank_.ops.rms_norm,
               {.rows = rows, .hidden = hidden, .x = from, .weight = weight, .eps = rank_.plan.rms_eps, .out = to},
               rank_.stream);
    };
    rank_.clock.switch_to(Account::attention);
    std::vector<std::int32_t> next(batch.next_token.begin() + own.begin, batch.next_token.begin() + own.end);
    std::replace(next.begin(), next.end(), kNoToken, 0);
    auto* embedding = embedding_.as<float>();
    run_op(rank_.ops.embed,
           {.rows = rows,
            .hidden = hidden,
            .token = next.data(),
            .table = rank_.weights.embedding,
            .dtype = rank_.weights.embedding_dtype,
            .out = embedding},
           rank_.stream);
    norm(embedding, weights.token_norm, embedding);
    norm(state, rank_.weights.final_norm, state_.as<float>());
    norm(state_.as<float>(), weights.state_norm, state_.as<float>());
    const std::size_t row_bytes = static_cast<std::size_t>(hidden) * sizeof(float);
    for (int row = 0; row < rows; ++row) {
        float* both = both_.as<float>() + std::int64_t{2} * row * hidden;
        std::memcpy(both, embedding + std::int64_t{row} * hidden, row_bytes);
        std::memcpy(both + hidden, state_.as<float>() + std::int64_t{row} * hidden, row_bytes);
    }
    const std::int32_t group_begin[2] = {0, rows};
    run_op(rank_.ops.leaf_projection,
           {.groups = 1,
            .group_begin = group_begin,
            .weight = &weights.join,
            .x = both_.as<float>(),
            .out = x,
            .scratch = product_scratch(rank_, scratch_, weights.join.spec, rows)},
           rank_.stream);
}

std::int64_t Predictor::workspace_bytes() const {
    return static_cast<std::int64_t>(embedding_.bytes() + state_.bytes() + both_.bytes() + scratch_.bytes());
}

}  // namespace argosy
