// One layer's attention over latents on one rank.
//
// In the absorbed form a head's key is its latent turned by key_up, so q is turned instead and keys stay latents:
// q . (key_up' c) = (key_up q) . c. The weighted sum of latents becomes one of values behind the attention.
#include "runtime/forward/latent_block.hpp"

#include "runtime/forward/normed_rows.hpp"

namespace argosy {

namespace {
std::size_t floats(std::int64_t rows, std::int64_t columns) {
    return static_cast<std::size_t>(rows * columns) * sizeof(float);
}

// DeepSeek's modelling code norms the latents with this, whatever rms_norm_eps says.
constexpr float kLatentEps = 1e-6F;
}  // namespace

LatentBlock::LatentBlock(RankContext& rank, LeafSum& leaf_sum, int rows_max)
    : rank_(rank), leaf_sum_(leaf_sum), present_(present_parts(rank.plan.attention.q_heads, rank.layout.tp)) {
    const AttentionPlan& attention = rank.plan.attention;
    const std::int64_t heads = rank.heads.q.count();
    const auto buffer = [&](std::int64_t columns) { return Buffer(floats(rows_max, columns)); };
    normed_ = buffer(rank.plan.hidden);
    q_a_ = buffer(attention.latent.q_rank);
    q_ = buffer(heads * attention.head_dim);
    latent_ = buffer(attention.cached_dim());
    q_nope_ = buffer(heads * attention.latent.nope_dim);
    q_latent_ = buffer(heads * attention.cached_dim());
    attended_ = buffer(heads * attention.latent.kv_rank);
    values_ = buffer(heads * attention.latent.value_dim);
    projected_ = buffer(rank.plan.hidden);
}

void LatentBlock::product(const WeightMatrix& weight, int rows, const float* x, float* out) {
    const std::int32_t group_begin[2] = {0, rows};
    run_op(rank_.ops.leaf_projection,
           {.groups = 1,
            .group_begin = group_begin,
            .weight = &weight,
            .x = x,
            .out = out,
            .scratch = product_scratch(rank_, scratch_, weight.spec, rows)},
           rank_.stream);
}

// A product per head of x [heads, rows, k].
void LatentBlock::by_head(const std::vector<WeightMatrix>& weight, const float* x, float* out, std::int64_t out_stride,
                          std::int64_t out_group) {
    run_op(rank_.ops.leaf_projection,
           {.groups = static_cast<int>(weight.size()),
            .group_begin = head_rows_.data(),
            .weight = weight.data(),
            .x = x,
            .out = out,
            .scratch = product_scratch(rank_, scratch_, weight[0].spec, head_rows_.back()),
            .out_stride = out_stride,
            .out_group = out_group},
           rank_.stream);
}

// Queries in the latents' space, and latents into the cache.
void LatentBlock::project(const LayerWeights& weights, const StepBatch& batch, const KvRows& rows, const KvLayer& kv) {
    const AttentionPlan& attention = rank_.plan.attention;
    const float* q_from = normed_.as<float>();
    if (attention.latent.q_rank > 0) {
        product(weights.q_a, batch.rows, normed_.as<float>(), q_a_.as<float>());
        run_op(rank_.ops.rms_norm,
               {.rows = batch.rows,
                .hidden = attention.latent.q_rank,
                .x = q_a_.as<float>(),
                .weight = weights.q_a_norm,
                .eps = kLatentEps,
                .out = q_a_.as<float>()},
               rank_.stream);
        q_from = q_a_.as<float>();
    }
    product(weights.q_b, batch.rows, q_from, q_.as<float>());
    product(weights.kv_a, batch.rows, normed_.as<float>(), latent_.as<float>());
    run_op(rank_.ops.latent,
           {.rows = batch.rows,
            .q_heads = rank_.heads.q.count(),
            .nope_dim = attention.latent.nope_dim,
            .rotary_dim = attention.rope.rotary_dim,
            .latent_dim = attention.latent.kv_rank,
            .q = q_.as<float>(),
            .latent = latent_.as<float>(),
            .norm = weights.kv_a_norm,
            .norm_eps = kLatentEps,
            .rope_cos = rank_.rope_cos,
            .rope_sin = rank_.rope_sin,
            .position = batch.position.data(),
            .kv_slot = rows.slot.data(),
            .kv = kv,
            .q_nope = q_nope_.as<float>(),
            .q_latent = q_latent_.as<float>()},
           rank_.stream);
    by_head(weights.key_up, q_nope_.as<float>(), q_latent_.as<float>(), attention.cached_dim(), 0);
}

void LatentBlock::attend(int layer, const LayerWeights& weights, const StepBatch& batch, const KvRows& rows,
                         const KvLayer& kv) {
    const AttentionPlan& attention = rank_.plan.attention;
    const std::int64_t value_dim = attention.latent.value_dim;
    run_op(rank_.ops.attention,
           {.spans = static_cast<int>(rows.spans.size()),
            .span = rows.spans.data(),
            .q_heads = rank_.heads.q.count(),
            .head_dim = attention.cached_dim(),
            .scale = attention.softmax_scale,
            .window = rank_.plan.layers[static_cast<std::size_t>(layer)].window,
            .q = q_latent_.as<float>(),
            .kv = kv,
            .q_to_kv = rank_.heads.q_to_kv.data(),
            .out = attended_.as<float>(),
            .rows_by_head = batch.rows},
           rank_.stream);
    by_head(weights.value_up, attended_.as<float>(), values_.as<float>(), rank_.heads.q.count() * value_dim, value_dim);
    product(weights.o, batch.rows, values_.as<float>(), projected_.as<float>());
}

void LatentBlock::run(int layer, const StepBatch& batch, KvCache& cache, float* x) {
    const ModelPlan& plan = rank_.plan;
    const LayerWeights& weights = rank_.weights.layers[static_cast<std::size_t>(layer)];
    norm_all_rows(rank_, leaf_sum_, Account::attention, batch.rows, x, weights.attn_norm, normed_.as<float>());
    const bool has_heads = !rank_.heads.q.empty();
    if (has_heads && batch.rows > 0) {
        head_rows_.clear();
        for (int head = 0; head <= rank_.heads.q.count(); ++head) head_rows_.push_back(head * batch.rows);
        const KvLayer kv = cache.layer(layer);
        const KvRows& rows = batch.kv[static_cast<std::size_t>(cache.group_of(layer))];
        project(weights, batch, rows, kv);
        attend(layer, weights, batch, rows, kv);
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

std::int64_t LatentBlock::workspace_bytes() const {
    std::int64_t bytes = 0;
    for (const Buffer* buffer :
         {&normed_, &q_a_, &q_, &latent_, &q_nope_, &q_latent_, &attended_, &values_, &projected_, &scratch_})
        bytes += static_cast<std::int64_t>(buffer->bytes());
    return bytes;
}

}  // namespace argosy
