// Mixtral (Jiang et al. 2024, "Mixtral of Experts"): every layer a mixture, softmax over all experts, the chosen
// weights renormalised.
#include "runtime/model/decoder_config.hpp"
#include "runtime/model/family_list.hpp"

namespace argosy {

namespace {

constexpr TensorName kNames[] = {
    {TensorRole::router, false, "model.layers.{L}.block_sparse_moe.gate.weight"},
    {TensorRole::gate_proj, true, "model.layers.{L}.block_sparse_moe.experts.{E}.w1.weight"},
    {TensorRole::up_proj, true, "model.layers.{L}.block_sparse_moe.experts.{E}.w3.weight"},
    {TensorRole::down_proj, true, "model.layers.{L}.block_sparse_moe.experts.{E}.w2.weight"},
};

// Defaults: transformers, MixtralConfig.
ModelPlan plan_mixtral(const JsonObject& config) {
    ModelPlan plan = read_decoder(config, {.rms_eps = 1e-5,
                                           .rope_theta = 1e6,
                                           .max_positions = 131072,
                                           .kv_heads = 8,
                                           .head_dim = 0,
                                           .bos_id = 1,
                                           .eos_id = 2});
    const int window = config.has("sliding_window") ? read_window(config, plan, 0) : 0;  // every layer's
    plan.moe.experts = read_int(config, "num_local_experts", 1, kExpertsMax);
    plan.moe.top_k = read_int(config, "num_experts_per_tok", 1, plan.moe.experts);
    plan.moe.intermediate = read_int(config, "intermediate_size", 1, kIntermediateMax);
    plan.moe.routing.renormalise = true;
    plan.layers.assign(static_cast<std::size_t>(plan.layer_count), {LayerKind::moe, plan.moe.intermediate, window});
    return plan;
}

}  // namespace

Family mixtral_family() { return {"mixtral", "MixtralForCausalLM", "mixtral", plan_mixtral, kNames}; }

}  // namespace argosy
