// A batch as the formulas see it.
#include "runtime/forward/step_meter.hpp"

#include "kernels/ops.hpp"
#include "kernels/quant/block_format.hpp"

namespace argosy {

CostModel cost_model(const ModelPlan& plan, DType weight_dtype, DType kv_dtype, int logits_rows) {
    CostModel model{.hidden = plan.hidden,
                    .q_heads = plan.attention.q_heads,
                    .kv_heads = plan.attention.kv_heads,
                    .head_dim = plan.attention.head_dim,
                    .vocab = plan.vocab_size,
                    .dense_columns = {},
                    .experts = plan.moe.experts,
                    .top_k = plan.moe.top_k,
                    .expert_columns = plan.moe.intermediate,
                    .shared_columns = plan.moe.shared_intermediate,
                    .latents = {},
                    .window = 0,
                    .windowed_layers = 0,
                    .weight_bits = block_format(weight_dtype).code_bits,
                    .kv_vector_bytes = kv_vector_bytes(kv_dtype, plan.attention.cached_dim()),
                    .sample_bytes = sizeof(SampleResult),
                    .logits_rows = logits_rows};
    if (plan.attention.over_latents()) {
        const LatentPlan& latent = plan.attention.latent;
        model.latents = {.kv_rank = latent.kv_rank,
                         .q_rank = latent.q_rank,
                         .nope_dim = latent.nope_dim,
                         .rope_dim = plan.attention.rope.rotary_dim,
                         .value_dim = latent.value_dim};
    }
    for (const LayerPlan& layer : plan.layers) {
        model.dense_columns.push_back(layer.kind == LayerKind::dense ? layer.intermediate : 0);
        if (layer.window == 0) continue;
        model.window = layer.window;
        ++model.windowed_layers;
    }
    return model;
}

CostPlace cost_place(const RankLayout& layout, const RankPlace& place) {
    return {.dp = layout.dp,
            .tp = layout.tp,
            .tp_rank = place.tp_rank,
            .ep = layout.ep,
            .ep_rank = place.ep_rank,
            .etp = layout.etp,
            .etp_rank = place.etp_rank};
}

void StepMeter::count(const StepBatch& batch, const CostRoute& route, std::int64_t sent_bytes, Phase phase) {
    CostStep step;
    for (const AttentionSpan& span : batch.kv.front().spans)
        add_sequence(step, model_, span.first_position, span.rows, WantedLogits::none);
    for (const WantedRow& wanted : batch.wanted) step.wanted_rows.push_back(wanted.row);
    step.route = route;
    const StepCost cost = step_cost(model_, place_, step);
    cost_ += cost;
    sent_bytes_ += sent_bytes;
    if (machine_) limit_ns_[static_cast<std::size_t>(phase)] += step_limit_ns(cost, *machine_);
}

}  // namespace argosy
