// Qwen3-MoE (Yang et al. 2025, "Qwen3 Technical Report"): q and k normed per head; layers are mixtures or dense, as
// config.json says.
#include <algorithm>

#include "runtime/model/decoder_config.hpp"
#include "runtime/model/family_list.hpp"

namespace argosy {

namespace {

// A layer is a mixture unless mlp_only_layers names it or decoder_sparse_step skips it: with a step of 2, layers 1, 3,
// 5 ... are mixtures.
std::vector<LayerKind> layer_kinds(const JsonObject& config, int layer_count, int experts) {
    const auto step = config.integer_or("decoder_sparse_step", 1, 1, INT32_MAX);
    std::vector<std::int64_t> dense_layers;
    if (config.has("mlp_only_layers")) dense_layers = config.integers("mlp_only_layers", 0, layer_count - 1);
    std::vector<LayerKind> kinds;
    for (int layer = 0; layer < layer_count; ++layer) {
        const bool named = std::find(dense_layers.begin(), dense_layers.end(), layer) != dense_layers.end();
        kinds.push_back(!named && experts > 0 && (layer + 1) % step == 0 ? LayerKind::moe : LayerKind::dense);
    }
    return kinds;
}

// Defaults: transformers, Qwen3MoeConfig. A window, where used, is every layer's.
ModelPlan plan_qwen3_moe(const JsonObject& config) {
    ModelPlan plan = read_decoder(config, {.rms_eps = 1e-6,
                                           .rope_theta = 10000.0,
                                           .max_positions = 32768,
                                           .kv_heads = 4,
                                           .head_dim = 0,
                                           .bos_id = {},
                                           .eos_id = {}});
    plan.attention.qk_norm = QkNorm::per_head;
    const bool windowed = config.boolean_or("use_sliding_window", false) && !config.is_null("sliding_window");
    const int window = windowed ? read_window(config, plan, 4096) : 0;
    const int experts = read_int(config, "num_experts", 0, kExpertsMax);
    const std::vector<LayerKind> kinds = layer_kinds(config, plan.layer_count, experts);
    if (std::find(kinds.begin(), kinds.end(), LayerKind::moe) != kinds.end()) {
        plan.moe.experts = experts;
        plan.moe.top_k = read_int(config, "num_experts_per_tok", 1, experts);
        plan.moe.intermediate = read_int(config, "moe_intermediate_size", 1, kIntermediateMax);
        plan.moe.routing.renormalise = config.boolean_or("norm_topk_prob", false);
    }
    const bool some_dense = std::find(kinds.begin(), kinds.end(), LayerKind::dense) != kinds.end();
    const int dense_width = some_dense ? read_int(config, "intermediate_size", 1, kIntermediateMax) : 0;
    for (const LayerKind kind : kinds)
        plan.layers.push_back({kind, kind == LayerKind::moe ? plan.moe.intermediate : dense_width, window});
    return plan;
}

}  // namespace

Family qwen3_moe_family() { return {"qwen3_moe", "Qwen3MoeForCausalLM", "qwen3_moe", plan_qwen3_moe, {}}; }

}  // namespace argosy
