// Llama (Touvron et al. 2023, "LLaMA"; Grattafiori et al. 2024, "The Llama 3 Herd of Models"): dense, with Llama 3.1's
// rope scaling.
#include "runtime/model/decoder_config.hpp"
#include "runtime/model/family_list.hpp"

namespace argosy {

namespace {

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

Family llama_family() { return {"llama", "LlamaForCausalLM", "llama", plan_llama, {}}; }

}  // namespace argosy
