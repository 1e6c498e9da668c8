// One dense feed-forward on one rank.
#include "runtime/forward/dense_block.hpp"

#include <algorithm>

namespace argosy {

namespace {
std::size_t floats(std::int64_t rows, std::int64_t columns) {
    return static_cast<std::size_t>(rows * columns) * sizeof(float);
}

// Widest share of a dense layer's columns on this rank; 0: the model has no dense layer.
std::int64_t columns_max(const RankContext& rank) {
    std::int64_t columns = 0;
    for (const LayerWeights& layer : rank.weights.layers) {
        if (layer.router.data == nullptr && !layer.gate.empty()) columns = std::max(columns, layer.gate[0].spec.n);
    }
    return columns;
}

bool has_dense(const ModelPlan& plan) {
    return std::any_of(plan.layers.begin(), plan.layers.end(),
                       [](const LayerPlan& layer) { return layer.kind == LayerKind::dense; });
}
}  // namespace

DenseBlock::DenseBlock(RankContext& rank, LeafSum& leaf_sum, int rows_max) : rank_(rank), leaf_sum_(leaf_sum) {
    if (!has_dense(rank.plan)) return;
    normed_ = Buffer(floats(rows_max, rank.plan.hidden));
    hidden_ = Buffer(floats(rows_max, columns_max(rank)));
    projected_ = Buffer(floats(rows_max, rank.plan.hidden));
}

void DenseBlock::run(int layer, int rows, float* x) {
    const ModelPlan& plan = rank_.plan;
    const LayerWeights& weights = rank_.weights.layers[static_cast<std::size_t>(layer)];
    const RowRange own = own_rows(rank_, rows);
    float* normed = normed_.as<float>();
    float* own_normed = normed + own.begin * plan.hidden;

    rank_.clock.switch_to(Account::dense_block);
    run_op(rank_.ops.rms_norm,
           {.rows = static_cast<int>(own.count()),
            .hidden = plan.hidden,
            .x = x,
            .weight = weights.ffn_norm,
            .eps = plan.rms_eps,
            .out = own_normed},
           rank_.stream);
    if (rank_.layout.tp > 1) {
        rank_.clock.switch_to(Account::leaf_sum);
        leaf_sum_.gather_rows(rows, plan.hidden, own_normed, normed);
        rank_.clock.switch_to(Account::dense_block);
    }
    const bool has_columns = !weights.down.empty();
    if (has_columns && rows > 0) {
        const std::int32_t group_begin[2] = {0, rows};
        run_op(rank_.ops.gate_up,
               {.groups = 1,
                .group_begin = group_begin,
                .row_index = nullptr,
                .gate = weights.gate.data(),
                .up = weights.up.data(),
                .x = normed,
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
    const std::uint32_t present =
        present_parts(plan.layers[static_cast<std::size_t>(layer)].intermediate, rank_.layout.tp);
    leaf_sum_.sum_rows({.rows = rows,
                        .columns = plan.hidden,
                        .present = present,
                        .partial = has_columns ? projected_.as<float>() : nullptr,
                        .residual = x,
                        .out = x},
                       rank_.stream);
}

std::int64_t DenseBlock::workspace_bytes() const {
    return static_cast<std::int64_t>(normed_.bytes() + hidden_.bytes() + projected_.bytes() + scratch_.bytes());
}

}  // namespace argosy
