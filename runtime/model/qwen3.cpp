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
                                           .eos_id = {},
                                           .biases = false,
                                           .windows = true});
    plan.attention.qk_norm = QkNorm::per_head;
    const bool windowed = config.boolean_or("use_sliding_window", false) && !config.is_null("sliding_window");
    const int window = windowed ? read_window(config, plan, 4096) : 0;
    const auto full_layers = config.integer_or("max_window_layers", 28, 0, INT32_MAX);
    std::vector<int> from_there;
    for (int layer = 0; layer < plan.layer_count; ++layer) from_there.push_back(layer >= full_layers ? window : 0);
    const int intermediate = read_int(config, "intermediate_size", 1, kIntermediateMax);
    for (const int seen : layer_windows(config, window, from_there))
        plan.layers.push_back({LayerKind::dense, intermediate, seen});
    return plan;
}

}  // namespace

Family qwen3_family() { return {"qwen3", "Qwen3ForCausalLM", "qwen3", plan_qwen3, kNames}; }

}  // namespace argosy
