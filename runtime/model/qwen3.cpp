// Qwen3 (Yang et al. 2025, "Qwen3 Technical Report"): dense, q and k normed per head, head size of its own.
#include "runtime/model/decoder_config.hpp"
#include "runtime/model/family_list.hpp"

namespace argosy {

namespace {

constexpr TensorName kNames[] = {
    {TensorRole::embedding, false, "model.embed_tokens.weight"},
    {TensorRole::attn_norm, false, "model.layers.{L}.input_layernorm.weight"},
    {TensorRole::q_proj, false, "model.layers.{L}.self_attn.q_proj.weight"},
    {TensorRole::k_proj, false, "model.layers.{L}.self_attn.k_proj.weight"},
    {TensorRole::v_proj, false, "model.layers.{L}.self_attn.v_proj.weight"},
    {TensorRole::q_norm, false, "model.layers.{L}.self_attn.q_norm.weight"},
    {TensorRole::k_norm, false, "model.layers.{L}.self_attn.k_norm.weight"},
    {TensorRole::o_proj, false, "model.layers.{L}.self_attn.o_proj.weight"},
    {TensorRole::ffn_norm, false, "model.layers.{L}.post_attention_layernorm.weight"},
    {TensorRole::gate_proj, false, "model.layers.{L}.mlp.gate_proj.weight"},
    {TensorRole::up_proj, false, "model.layers.{L}.mlp.up_proj.weight"},
    {TensorRole::down_proj, false, "model.layers.{L}.mlp.down_proj.weight"},
    {TensorRole::final_norm, false, "model.norm.weight"},
    {TensorRole::lm_head, false, "lm_head.weight"},
};

// Defaults: transformers, Qwen3Config. A window is used by layers from max_window_layers on.
ModelPlan plan_qwen3(const JsonObject& config) {
    ModelPlan plan = read_decoder(config, {.rms_eps = 1e-6,
                                           .rope_theta = 10000.0,
                                           .max_positions = 32768,
                                           .kv_heads = 32,
                                           .head_dim = 128,
                                           .bos_id = {},
                                           .eos_id = {}});
    plan.attention.qk_norm = QkNorm::per_head;
    if (config.boolean_or("use_sliding_window", false) && !config.is_null("sliding_window")) {
        const auto window = config.integer_or("sliding_window", 4096, 1, INT32_MAX);
        const auto full_layers = config.integer_or("max_window_layers", 28, 0, INT32_MAX);
        if (full_layers < plan.layer_count) refuse_window(config, plan, window);
    }
    const int intermediate = read_int(config, "intermediate_size", 1, kIntermediateMax);
    plan.layers.assign(static_cast<std::size_t>(plan.layer_count), {LayerKind::dense, intermediate});
    return plan;
}

}  // namespace

Family qwen3_family() { return {"qwen3", "Qwen3ForCausalLM", "qwen3", plan_qwen3, kNames}; }

}  // namespace argosy
