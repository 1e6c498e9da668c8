// Qwen3 (Yang et al. 2025, "Qwen3 Technical Report"): dense, q and k normed per head, head size of its own.
#include "runtime/model/decoder_config.hpp"
#include "runtime/model/family_list.hpp"

namespace argosy {

namespace {

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

Family qwen3_family() { return {"qwen3", "Qwen3ForCausalLM", "qwen3", plan_qwen3, {}}; }

}  // namespace argosy
