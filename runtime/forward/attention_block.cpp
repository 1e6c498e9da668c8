// One layer's attention on one rank.
#include "runtime/forward/attention_block.hpp"

#include "kernels/base/account_clock.hpp"

namespace argosy {

HeadShare head_share(const ModelPlan& plan, int tp_rank, int tp) {
    HeadShare share{q_heads_of(plan, tp_rank, tp), kv_heads_of(plan, tp_rank, tp), {}};
    const int q_per_kv = plan.attention.q_heads / plan.attention.kv_heads;
    for (int h = share.q.begin; h < share.q.end; ++h) share.q_to_kv.push_back(h / q_per_kv - share.kv.begin);
    return share;
}

namespace {
std::size_t floats(std::int64_t rows, std::int64_t columns) {
    return static_cast<std::size_t>(rows * columns) * sizeof(float);
}
}  // namespace

AttentionBlock::AttentionBlock(RankContext& rank, LeafSum& leaf_sum, int rows_max)
    : rank_(rank),
      leaf_sum_(leaf_sum),
      present_(present_parts(rank.plan.attention.q_heads, rank.layout.tp)),
      normed_(floats(rows_max, rank.plan.hidden)),
      qkv_(floats(rows_max,
                  std::int64_t{rank.heads.q.count() + 2 * rank.heads.kv.count()} * rank.plan.attention.head_dim)),
      q_(floats(rows_max, std::int64_t{rank.heads.q.count()} * rank.plan.attention.head_dim)),
      attended_(floats(rows_max, std::int64_t{rank.heads.q.count()} * rank.plan.attention.head_dim)),
      projected_(floats(rows_max, rank.plan.hidden)) {}

void AttentionBlock::run(int layer, const StepBatch& batch, KvCache& cache, float* x) {
    const ModelPlan& plan = rank_.plan;
    const AttentionPlan& attention = plan.attention;
    const LayerWeights& weights = rank_.weights.layers[static_cast<std::size_t>(layer)];
    const RowRange own = own_rows(rank_, batch.rows);
    float* normed = normed_.as<float>();
    float* own_normed = normed + own.begin * plan.hidden;

    rank_.clock.switch_to(Account::attention);
    run_op(rank_.ops.rms_norm,
           {.rows = static_cast<int>(own.count()),
            .hidden = plan.hidden,
            .x = x,
            .weight = weights.attn_norm,
            .eps = plan.rms_eps,
            .out = own_normed},
           rank_.stream);
    if (rank_.layout.tp > 1) {
        rank_.clock.switch_to(Account::leaf_sum);
        leaf_sum_.gather_rows(batch.rows, plan.hidden, own_normed, normed);
        rank_.clock.switch_to(Account::attention);
    }
    const bool has_heads = !rank_.heads.q.empty();
    if (has_heads && batch.rows > 0) {
        const KvLayer kv = cache.layer(layer);
        run_op(rank_.ops.qkv,
               {.rows = batch.rows,
                .q_heads = rank_.heads.q.count(),
                .kv_heads = rank_.heads.kv.count(),
                .head_dim = attention.head_dim,
                .x = normed,
                .weight = weights.qkv,
                .bias = weights.qkv_bias,
                .q_norm = weights.q_norm,
                .k_norm = weights.k_norm,
                .norm_eps = plan.rms_eps,
                .rotary_dim = attention.rope.rotary_dim,
                .rope_cos = rank_.rope_cos,
                .rope_sin = rank_.rope_sin,
                .position = batch.position.data(),
                .kv_slot = batch.kv_slot.data(),
                .kv = kv,
                .qkv = qkv_.as<float>(),
                .q = q_.as<float>(),
                .scratch = product_scratch(rank_, scratch_, weights.qkv.spec, batch.rows)},
               rank_.stream);
        run_op(rank_.ops.attention,
               {.spans = static_cast<int>(batch.spans.size()),
                .span = batch.spans.data(),
                .q_heads = rank_.heads.q.count(),
                .head_dim = attention.head_dim,
                .scale = attention.softmax_scale,
                .q = q_.as<float>(),
                .kv = kv,
                .q_to_kv = rank_.heads.q_to_kv.data(),
                .out = attended_.as<float>()},
               rank_.stream);
        const std::int32_t group_begin[2] = {0, batch.rows};
        run_op(rank_.ops.leaf_projection,
               {.groups = 1,
                .group_begin = group_begin,
                .weight = &weights.o,
                .x = attended_.as<float>(),
                .out = projected_.as<float>(),
                .scratch = product_scratch(rank_, scratch_, weights.o.spec, batch.rows)},
               rank_.stream);
    }
    rank_.clock.switch_to(Account::leaf_sum);
    leaf_sum_.sum_rows({.rows = batch.rows,
                        .columns = plan.hidden,
                        .present = present_,
                        .partial = has_heads ? projected_.as<float>() : nullptr,
                        .residual = x,
                        .out = x},
                       rank_.stream);
}

std::int64_t AttentionBlock::workspace_bytes() const {
    return static_cast<std::int64_t>(normed_.bytes() + qkv_.bytes() + q_.bytes() + attended_.bytes() +
                                     projected_.bytes() + scratch_.bytes());
}

}  // namespace argosy
