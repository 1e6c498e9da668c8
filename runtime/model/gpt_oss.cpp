// gpt-oss (OpenAI 2025, "gpt-oss-120b & gpt-oss-20b Model Card"; openai/gpt-oss, torch/model.py): windows in every
// other layer, attention sinks, biases everywhere, the router's softmax over the chosen alone, a clamped gated
// activation.
#include <fmt/format.h>

#include "runtime/model/decoder_config.hpp"
#include "runtime/model/family_list.hpp"

namespace argosy {

namespace {

constexpr TensorName kNames[] = {
    {TensorRole::sinks, false, "model.layers.{L}.self_attn.sinks"},
    {TensorRole::router, false, "model.layers.{L}.mlp.router.weight"},
    {TensorRole::router_bias, false, "model.layers.{L}.mlp.router.bias"},
    {TensorRole::gate_up_proj, true, "model.layers.{L}.mlp.experts.gate_up_proj"},
    {TensorRole::gate_up_bias, true, "model.layers.{L}.mlp.experts.gate_up_proj_bias"},
    {TensorRole::down_proj, true, "model.layers.{L}.mlp.experts.down_proj"},
    {TensorRole::down_bias, true, "model.layers.{L}.mlp.experts.down_proj_bias"},
};

// Experts are cut between groups of mxfp4, also where they are stored otherwise.
constexpr int kLeafUnit = 32;

// Defaults: transformers, GptOssConfig.
ModelPlan plan_gpt_oss(const JsonObject& config) {
    ModelPlan plan = read_decoder(config, {.rms_eps = 1e-5,
                                           .rope_theta = 150000.0,
                                           .max_positions = 131072,
                                           .kv_heads = 8,
                                           .head_dim = 64,
                                           .bos_id = {},
                                           .eos_id = {},
                                           .biases = true,
                                           .windows = true});
    if (plan.attention.rope.scaling.kind != RopeScalingKind::yarn) {
        config.reject("rope_scaling", "is missing or not yarn, with which the released models were made");
    }
    plan.attention.qkv_bias = plan.attention.o_bias = config.boolean_or("attention_bias", true);
    plan.attention.sinks = true;
    plan.moe.experts = read_int(config, "num_local_experts", 1, kExpertsMax);
    plan.moe.top_k = read_int(config, "num_experts_per_tok", 1, plan.moe.experts);
    plan.moe.intermediate = read_int(config, "intermediate_size", 1, kIntermediateMax);
    if (plan.moe.intermediate % kLeafUnit != 0) {
        config.reject("intermediate_size",
                      fmt::format("is {}; it must be a multiple of {}", plan.moe.intermediate, kLeafUnit));
    }
    plan.moe.routing.scoring = RouterScoring::chosen_softmax;
    plan.moe.fused = true;
    plan.moe.biases = true;
    plan.moe.leaf_unit = kLeafUnit;
    plan.moe.swiglu_limit = static_cast<float>(config.number_or("swiglu_limit", 7.0, 1e-3, 1e6));
    const int window = read_window(config, plan, 128);
    std::vector<int> in_turn;
    for (int layer = 0; layer < plan.layer_count; ++layer) in_turn.push_back(layer % 2 == 0 ? window : 0);
    for (const int seen : layer_windows(config, window, in_turn))
        plan.layers.push_back({LayerKind::moe, plan.moe.intermediate, seen});
    return plan;
}

}  // namespace

Family gpt_oss_family() { return {"gpt_oss", "GptOssForCausalLM", "gpt_oss", plan_gpt_oss, kNames, false}; }

}  // namespace argosy
