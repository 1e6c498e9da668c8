// Llama (Touvron et al. 2023, "LLaMA"; Grattafiori et al. 2024, "The Llama 3 Herd of Models"): dense, with Llama 3.1's
// rope scaling.
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
    {TensorRole::o_proj, false, "model.layers.{L}.self_attn.o_proj.weight"},
    {TensorRole::ffn_norm, false, "model.layers.{L}.post_attention_layernorm.weight"},
    {TensorRole::gate_proj, false, "model.layers.{L}.mlp.gate_proj.weight"},
    {TensorRole::up_proj, false, "model.layers.{L}.mlp.up_proj.weight"},
    {TensorRole::down_proj, false, "model.layers.{L}.mlp.down_proj.weight"},
    {TensorRole::final_norm, false, "model.norm.weight"},
    {TensorRole::lm_head, false, "lm_head.weight"},
};

// Defaults: transformers, LlamaConfig.
ModelPlan plan_llama(const JsonObject& config) {
    ModelPlan plan = read_decoder(config, {.rms_eps = 1e-6,
                                           .rope_theta = 10000.0,
                                           .max_positions = 2048,
                                           .kv_heads = 0,
                                           .head_dim = 0,
                                           .bos_id = 1,
                                           .eos_id = 2});
    if (config.boolean_or("mlp_bias", false))
        config.reject("mlp_bias", "is true; biases in the feed-forward are not supported");
    const int intermediate = read_int(config, "intermediate_size", 1, kIntermediateMax);
    plan.layers.assign(static_cast<std::size_t>(plan.layer_count), {LayerKind::dense, intermediate});
    return plan;
}

}  // namespace

Family llama_family() { return {"llama", "LlamaForCausalLM", "llama", plan_llama, kNames}; }

}  // namespace argosy
