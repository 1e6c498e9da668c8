// DeepSeek-V2 and V2-Lite (DeepSeek-AI 2024, "DeepSeek-V2"), DeepSeek-V3, R1 and Kimi-K2 (DeepSeek-AI 2024,
// "DeepSeek-V3 Technical Report"; deepseek-ai/DeepSeek-V3, inference/model.py): attention over latents, leading dense
// layers, experts in groups beside a shared feed-forward.
#include <fmt/format.h>

#include <cmath>

#include "runtime/model/decoder_config.hpp"
#include "runtime/model/family_list.hpp"

namespace argosy {

namespace {

constexpr TensorName kNames[] = {
    {TensorRole::q_a_proj, false, "model.layers.{L}.self_attn.q_a_proj.weight"},
    {TensorRole::q_a_norm, false, "model.layers.{L}.self_attn.q_a_layernorm.weight"},
    {TensorRole::q_b_proj, false, "model.layers.{L}.self_attn.q_b_proj.weight"},
    {TensorRole::kv_a_proj, false, "model.layers.{L}.self_attn.kv_a_proj_with_mqa.weight"},
    {TensorRole::kv_a_norm, false, "model.layers.{L}.self_attn.kv_a_layernorm.weight"},
    {TensorRole::kv_b_proj, false, "model.layers.{L}.self_attn.kv_b_proj.weight"},
    {TensorRole::choice_bias, false, "model.layers.{L}.mlp.gate.e_score_correction_bias"},
    {TensorRole::shared_gate_proj, false, "model.layers.{L}.mlp.shared_experts.gate_proj.weight"},
    {TensorRole::shared_up_proj, false, "model.layers.{L}.mlp.shared_experts.up_proj.weight"},
    {TensorRole::shared_down_proj, false, "model.layers.{L}.mlp.shared_experts.down_proj.weight"},
    {TensorRole::predictor_token_norm, false, "model.layers.{L}.enorm.weight"},
    {TensorRole::predictor_state_norm, false, "model.layers.{L}.hnorm.weight"},
    {TensorRole::predictor_join, false, "model.layers.{L}.eh_proj.weight"},
    {TensorRole::predictor_embedding, false, "model.layers.{L}.embed_tokens.weight"},
    {TensorRole::predictor_norm, false, "model.layers.{L}.shared_head.norm.weight"},
    {TensorRole::predictor_head, false, "model.layers.{L}.shared_head.head.weight"},
};

constexpr int kHeadMax = 1 << 12;

// With YaRN the authors stretch the scores too: by the square of its magnitude for mscale_all_dim.
double stretched_scores(const JsonObject& config, const RopeScaling& scaling) {
    if (scaling.kind != RopeScalingKind::yarn) return 1.0;
    const JsonObject words = config.object(config.has("rope_parameters") ? "rope_parameters" : "rope_scaling");
    const double magnitude = yarn_magnitude(scaling.factor, words.number_or("mscale_all_dim", 0.0, 0.0, 100.0));
    return magnitude * magnitude;
}

void read_latents(const JsonObject& config, ModelPlan& plan) {
    AttentionPlan& attention = plan.attention;
    LatentPlan& latent = attention.latent;
    latent.kv_rank = read_int(config, "kv_lora_rank", 1, kHiddenMax);
    latent.q_rank = config.has("q_lora_rank") ? read_int(config, "q_lora_rank", 1, kHiddenMax) : 0;
    latent.nope_dim = read_int(config, "qk_nope_head_dim", 1, kHeadMax);
    latent.value_dim = read_int(config, "v_head_dim", 1, kHeadMax);
    const int rotary = read_int(config, "qk_rope_head_dim", 2, kHeadMax);
    if (rotary % 2 != 0) config.reject("qk_rope_head_dim", fmt::format("is {}; it must be even", rotary));
    attention.rope.rotary_dim = rotary;
    attention.kv_heads = 1;
    attention.head_dim = latent.nope_dim + rotary;
    attention.softmax_scale = static_cast<float>(stretched_scores(config, attention.rope.scaling) /
                                                 std::sqrt(static_cast<double>(attention.head_dim)));
}

// Experts in n_group groups of which topk_group are kept.
void read_groups(const JsonObject& config, RoutingRule& rule, const MoePlan& moe) {
    constexpr int kGroupsMax = 256;
    rule.groups = static_cast<int>(config.integer_or("n_group", 1, 1, kGroupsMax));
    rule.groups_kept = static_cast<int>(config.integer_or("topk_group", 1, 1, rule.groups));
    if (moe.experts % rule.groups != 0) {
        config.reject("n_group",
                      fmt::format("is {}; it must divide n_routed_experts, which is {}", rule.groups, moe.experts));
    }
    if (rule.group_best > moe.experts / rule.groups) {
        config.reject("n_group", fmt::format("is {}; a group must have at least {} of the {} experts", rule.groups,
                                             rule.group_best, moe.experts));
    }
    if (moe.experts / rule.groups * rule.groups_kept < moe.top_k) {
        config.reject("topk_group", fmt::format("is {}; so many groups of {} experts hold fewer than the {} of a token",
                                                rule.groups_kept, moe.experts / rule.groups, moe.top_k));
    }
}

// Leading layers are dense, the others mixtures.
void read_layers(const JsonObject& config, ModelPlan& plan) {
    MoePlan& moe = plan.moe;
    moe.experts = read_int(config, "n_routed_experts", 1, kExpertsMax);
    moe.top_k = read_int(config, "num_experts_per_tok", 1, moe.experts);
    moe.intermediate = read_int(config, "moe_intermediate_size", 1, kIntermediateMax);
    const std::int64_t shared = config.has("n_shared_experts") ? config.integer("n_shared_experts", 0, 1024) : 0;
    if (shared * moe.intermediate > kIntermediateMax) {
        config.reject("n_shared_experts",
                      fmt::format("is {}; times moe_intermediate_size, which is {}, that is more than {}", shared,
                                  moe.intermediate, kIntermediateMax));
    }
    moe.shared_intermediate = static_cast<int>(shared * moe.intermediate);
    if (config.integer_or("moe_layer_freq", 1, 1, INT32_MAX) != 1)
        config.reject("moe_layer_freq",
                      "is not 1; released models have a mixture in every layer behind the dense ones");
    const auto dense = config.integer_or("first_k_dense_replace", 0, 0, plan.layer_count);
    const int width = dense > 0 ? read_int(config, "intermediate_size", 1, kIntermediateMax) : 0;
    for (int layer = 0; layer < plan.layer_count; ++layer)
        plan.layers.push_back(layer < dense ? LayerPlan{LayerKind::dense, width}
                                            : LayerPlan{LayerKind::moe, moe.intermediate});
    if (dense == plan.layer_count) config.reject("first_k_dense_replace", "leaves no layer with experts");
}

ModelPlan read_deepseek(const JsonObject& config) {
    // kv_heads and head_dim mean nothing over latents; read_latents says what does.
    ModelPlan plan = read_decoder(config, {.rms_eps = 1e-6,
                                           .rope_theta = 10000.0,
                                           .max_positions = 2048,
                                           .kv_heads = 0,
                                           .head_dim = 2,
                                           .bos_id = {},
                                           .eos_id = {}});
    read_latents(config, plan);
    read_layers(config, plan);
    return plan;
}

// Defaults: DeepSeek's configuration_deepseek.py for V2.
ModelPlan plan_deepseek_v2(const JsonObject& config) {
    ModelPlan plan = read_deepseek(config);
    RoutingRule& rule = plan.moe.routing;
    if (config.text_or("scoring_func", "softmax") != "softmax")
        config.reject("scoring_func", "is not softmax, which DeepSeek-V2 scores experts by");
    const std::string method = config.text_or("topk_method", "greedy");
    if (method == "group_limited_greedy") {
        read_groups(config, rule, plan.moe);
    } else if (method != "greedy") {
        config.reject("topk_method", fmt::format("is \"{}\"; supported are greedy and group_limited_greedy", method));
    }
    // The authors scale weights that are not renormalised, and no others.
    rule.renormalise = plan.moe.top_k > 1 && config.boolean_or("norm_topk_prob", false);
    const double scale = config.number_or("routed_scaling_factor", 1.0, 0.0, 1e6);
    rule.scale = rule.renormalise ? 1.0F : static_cast<float>(scale);
    return plan;
}

// Defaults: DeepSeek's configuration_deepseek.py for V3.
ModelPlan plan_deepseek_v3(const JsonObject& config) {
    ModelPlan plan = read_deepseek(config);
    RoutingRule& rule = plan.moe.routing;
    if (config.text_or("scoring_func", "sigmoid") != "sigmoid")
        config.reject("scoring_func", "is not sigmoid, which DeepSeek-V3 scores experts by");
    if (config.text_or("topk_method", "noaux_tc") != "noaux_tc")
        config.reject("topk_method", "is not noaux_tc, by which DeepSeek-V3 chooses experts");
    rule.scoring = RouterScoring::sigmoid;
    rule.group_best = 2;
    read_groups(config, rule, plan.moe);
    rule.renormalise = plan.moe.top_k > 1 && config.boolean_or("norm_topk_prob", true);
    rule.scale = static_cast<float>(config.number_or("routed_scaling_factor", 2.5, 0.0, 1e6));
    plan.moe.choice_bias = true;
    plan.predictors = static_cast<int>(config.integer_or("num_nextn_predict_layers", 1, 0, 1));
    return plan;
}

}  // namespace

Family deepseek_v2_family() {
    return {"deepseek_v2", "DeepseekV2ForCausalLM", "deepseek_v2", plan_deepseek_v2, kNames, false};
}
Family deepseek_v3_family() {
    return {"deepseek_v3", "DeepseekV3ForCausalLM", "deepseek_v3", plan_deepseek_v3, kNames, false};
}

}  // namespace argosy
