// One layer's attention on one rank.
#include "runtime/forward/attention_block.hpp"

#include "runtime/forward/normed_rows.hpp"

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

// One of the norms over all heads: of q or k, of which the model has `heads` and this rank holds those from `first` on.
WideNorm wide_norm(const RankContext& rank, int heads, int first) {
    const std::int64_t head_dim = rank.plan.attention.head_dim;
    const LeafShare share = leaf_share(heads, head_dim, rank.place.tp_rank, rank.layout.tp);
    return {.weight = nullptr,
            .columns = heads * head_dim,
            .cut = share.cut,
            .first = share.k_begin - first * head_dim,
            .present = present_parts(heads, kLeafCount)};
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
      projected_(floats(rows_max, rank.plan.hidden)) {
    const AttentionPlan& attention = rank.plan.attention;
    if (attention.qk_norm != QkNorm::all_heads) return;
    wide_ = {wide_norm(rank, attention.q_heads, rank.heads.q.begin),
             wide_norm(rank, attention.kv_heads, rank.heads.kv.begin)};
    squares_ = Buffer(floats(rows_max, 2 * kLeafCount));
}

// q of the batch's rows, and their k and v into the cache.
void AttentionBlock::project(int layer, const StepBatch& batch, const KvRows& rows, const KvLayer& kv) {
    const AttentionPlan& attention = rank_.plan.attention;
    const LayerWeights& weights = rank_.weights.layers[static_cast<std::size_t>(layer)];
    const bool has_heads = !rank_.heads.q.empty();
    const bool wide = attention.qk_norm == QkNorm::all_heads;
    QkvArgs args{.rows = batch.rows,
                 .q_heads = rank_.heads.q.count(),
                 .kv_heads = rank_.heads.kv.count(),
                 .head_dim = attention.head_dim,
                 .x = normed_.as<float>(),
                 .weight = weights.qkv,
                 .bias = weights.qkv_bias,
                 .clip = attention.clip_qkv,
                 .q_norm = wide ? nullptr : weights.q_norm,
                 .k_norm = wide ? nullptr : weights.k_norm,
                 .norm_eps = rank_.plan.rms_eps,
                 .rotary_dim = attention.rope.rotary_dim,
                 .rope_cos = rank_.rope_cos,
                 .rope_sin = rank_.rope_sin,
                 .position = batch.position.data(),
                 .kv_slot = rows.slot.data(),
                 .kv = kv,
                 .qkv = qkv_.as<float>(),
                 .q = q_.as<float>()};
    if (has_heads) args.scratch = product_scratch(rank_, scratch_, weights.qkv.spec, batch.rows);
    if (wide) {
        std::int64_t head_dim = attention.head_dim;
        wide_[0].weight = weights.q_norm + rank_.heads.q.begin * head_dim;
        wide_[1].weight = weights.k_norm + rank_.heads.kv.begin * head_dim;
        args.wide = wide_.data();
        args.squares = squares_.as<float>();
        if (has_heads) run_op(rank_.ops.qkv, args, rank_.stream);
        rank_.clock.switch_to(Account::leaf_sum);
        leaf_sum_.gather_leaves(std::int64_t{2} * batch.rows, args.squares);
        rank_.clock.switch_to(Account::attention);
        args.summed = true;
    }
    if (has_heads) run_op(rank_.ops.qkv, args, rank_.stream);
}

void AttentionBlock::run(int layer, const StepBatch& batch, KvCache& cache, float* x) {
    const ModelPlan& plan = rank_.plan;
    const AttentionPlan& attention = plan.attention;
    const LayerWeights& weights = rank_.weights.layers[static_cast<std::size_t>(layer)];
    norm_all_rows(rank_, leaf_sum_, Account::attention, batch.rows, x, weights.attn_norm, normed_.as<float>());
    const bool has_heads = !rank_.heads.q.empty();
    const KvLayer kv = cache.layer(layer);
    const KvRows& rows = batch.kv[static_cast<std::size_t>(cache.group_of(layer))];
    if (batch.rows > 0) project(layer, batch, rows, kv);
    if (has_heads && batch.rows > 0) {
        run_op(rank_.ops.attention,
               {.spans = static_cast<int>(rows.spans.size()),
                .span = rows.spans.data(),
                .q_heads = rank_.heads.q.count(),
                .head_dim = attention.head_dim,
                .scale = attention.softmax_scale,
                .window = plan.layers[static_cast<std::size_t>(layer)].window,
                .sink = weights.sinks != nullptr ? weights.sinks + rank_.heads.q.begin : nullptr,
                .q = q_.as<float>(),
                .kv = kv,
                .q_to_kv = rank_.heads.q_to_kv.data(),
                .out = attended_.as<float>()},
               rank_.stream);
        const std::int32_t group_begin[2] = {0, batch.rows};
        const bool biased = weights.o_bias != nullptr && rank_.heads.q.begin == 0;  // this rank has the first leaf
        run_op(rank_.ops.leaf_projection,
               {.groups = 1,
                .group_begin = group_begin,
                .weight = &weights.o,
                .x = attended_.as<float>(),
                .out = projected_.as<float>(),
                .scratch = product_scratch(rank_, scratch_, weights.o.spec, batch.rows),
                .bias = biased ? &weights.o_bias : nullptr},
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
    return static_cast<std::int64_t>(normed_.bytes() + qkv_.bytes() + q_.bytes() + squares_.bytes() +
                                     attended_.bytes() + projected_.bytes() + scratch_.bytes());
}

}  // namespace argosy
