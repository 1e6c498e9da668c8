// One dense feed-forward on one rank.
#include "runtime/forward/dense_block.hpp"

#include <algorithm>

#include "runtime/forward/normed_rows.hpp"

namespace argosy {

namespace {
std::size_t floats(std::int64_t rows, std::int64_t columns) {
    return static_cast<std::size_t>(rows * columns) * sizeof(float);
}

// The matrices of a layer's dense feed-forward that this rank holds; empty: none of them.
struct DenseWeights {
    const std::vector<WeightMatrix>& gate;
    const std::vector<WeightMatrix>& up;
    const std::vector<WeightMatrix>& down;
};
DenseWeights dense_weights(const ModelPlan& plan, const LayerWeights& weights, int layer) {
    if (plan.layers[static_cast<std::size_t>(layer)].kind == LayerKind::moe)
        return {weights.shared_gate, weights.shared_up, weights.shared_down};
    return {weights.gate, weights.up, weights.down};
}

// Width of a layer's dense feed-forward; 0: it has none.
int dense_width(const ModelPlan& plan, int layer) {
    const LayerPlan& of = plan.layers[static_cast<std::size_t>(layer)];
    return of.kind == LayerKind::moe ? plan.moe.shared_intermediate : of.intermediate;
}

// Widest share of a dense feed-forward's columns on this rank; 0: the model has none.
std::int64_t columns_max(const RankContext& rank) {
    std::int64_t columns = 0;
    for (int layer = 0; layer < rank.plan.layer_count; ++layer) {
        const DenseWeights weights =
            dense_weights(rank.plan, rank.weights.layers[static_cast<std::size_t>(layer)], layer);
        if (!weights.gate.empty()) columns = std::max(columns, weights.gate[0].spec.n);
    }
    return columns;
}

bool has_dense(const ModelPlan& plan) {
    for (int layer = 0; layer < plan.layer_count; ++layer) {
        if (dense_width(plan, layer) > 0) return true;
    }
    return false;
}
}  // namespace

DenseBlock::DenseBlock(RankContext& rank, LeafSum& leaf_sum, int rows_max) : rank_(rank), leaf_sum_(leaf_sum) {
    if (!has_dense(rank.plan)) return;
    normed_ = Buffer(floats(rows_max, rank.plan.hidden));
    hidden_ = Buffer(floats(rows_max, columns_max(rank)));
    projected_ = Buffer(floats(rows_max, rank.plan.hidden));
}

void DenseBlock::run(int layer, int rows, const float* x, const float* residual, float* out) {
    const ModelPlan& plan = rank_.plan;
    const LayerWeights& all = rank_.weights.layers[static_cast<std::size_t>(layer)];
    const DenseWeights weights = dense_weights(plan, all, layer);
    norm_all_rows(rank_, leaf_sum_, Account::dense_block, rows, x, all.ffn_norm, normed_.as<float>());
    const bool has_columns = !weights.down.empty();
    if (has_columns && rows > 0) {
        const std::int32_t group_begin[2] = {0, rows};
        run_op(rank_.ops.gate_up,
               {.groups = 1,
                .group_begin = group_begin,
                .row_index = nullptr,
                .gate = weights.gate.data(),
                .up = weights.up.data(),
                .x = normed_.as<float>(),
                .h = hidden_.as<float>(),
                .x_rows = rows,
                .scratch = product_scratch(rank_, scratch_, weights.gate[0].spec, rows)},
               rank_.stream);
        run_op(rank_.ops.leaf_projection,
               {.groups = 1,
                .group_begin = group_begin,
                .weight = weights.down.data(),
                .x = hidden_.as<float>(),
                .out = projected_.as<float>(),
                .scratch = product_scratch(rank_, scratch_, weights.down[0].spec, rows)},
               rank_.stream);
    }
    rank_.clock.switch_to(Account::leaf_sum);
    const std::uint32_t present = present_parts(dense_width(plan, layer), rank_.layout.tp);
    leaf_sum_.sum_rows({.rows = rows,
                        .columns = plan.hidden,
                        .present = present,
                        .partial = has_columns ? projected_.as<float>() : nullptr,
                        .residual = residual,
                        .out = out},
                       rank_.stream);
}

std::int64_t DenseBlock::workspace_bytes() const {
    return static_cast<std::int64_t>(normed_.bytes() + hidden_.bytes() + projected_.bytes() + scratch_.bytes());
}

}  // namespace argosy
