// OLMoE (Muennighoff et al. 2024, "OLMoE: Open Mixture-of-Experts Language Models"): q and k normed over all heads
// together, every layer a mixture, the chosen weights as the softmax over all experts gives them.
#include "runtime/model/decoder_config.hpp"
#include "runtime/model/family_list.hpp"

namespace argosy {

namespace {

// Defaults: transformers, OlmoeConfig. The authors' code (allenai/OLMo, OLMoBlock) limits q, k and v as they come from
// their projections, before the norm.
ModelPlan plan_olmoe(const JsonObject& config) {
    ModelPlan plan = read_decoder(config, {.rms_eps = 1e-5,
                                           .rope_theta = 10000.0,
                                           .max_positions = 4096,
                                           .kv_heads = 0,
                                           .head_dim = 0,
                                           .bos_id = {},
                                           .eos_id = 50279});
    plan.attention.qk_norm = QkNorm::all_heads;
    if (config.has("clip_qkv")) plan.attention.clip_qkv = static_cast<float>(config.number("clip_qkv", 1e-3, 1e6));
    plan.moe.experts = read_int(config, "num_experts", 1, kExpertsMax);
    plan.moe.top_k = read_int(config, "num_experts_per_tok", 1, plan.moe.experts);
    plan.moe.intermediate = read_int(config, "intermediate_size", 1, kIntermediateMax);
    plan.moe.routing.renormalise = config.boolean_or("norm_topk_prob", false);
    plan.layers.assign(static_cast<std::size_t>(plan.layer_count), {LayerKind::moe, plan.moe.intermediate});
    return plan;
}

}  // namespace

Family olmoe_family() { return {"olmoe", "OlmoeForCausalLM", "olmoe", plan_olmoe, {}}; }

}  // namespace argosy
