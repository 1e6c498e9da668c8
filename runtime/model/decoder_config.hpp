// What all families read from config.json alike, each with the defaults that its authors' configuration class gives.
#pragma once

#include "runtime/model/json_file.hpp"
#include "runtime/model/model_plan.hpp"

namespace argosy {

// Defaults of one family for keys that config.json may leave out. Sizes have none: a file that leaves them out is
// damaged.
struct DecoderDefaults {
    double rms_eps = 1e-6;
    double rope_theta = 10000.0;
    int max_positions = 0;
    int kv_heads = 0;  // 0: as many as q heads
    int head_dim = 0;  // 0: hidden / q heads
    std::optional<int> bos_id = {};
    std::optional<int> eos_id = {};
    bool biases = false;   // attention may have them
    bool windows = false;  // layers may see a window each, as the family's own file reads it
};

// Bounds of sizes, far above any model's; they keep every product of two within 64 bits.
inline constexpr int kHiddenMax = 1 << 20;
inline constexpr int kIntermediateMax = 1 << 24;
inline constexpr int kLayersMax = 4096;
inline constexpr int kExpertsMax = 65536;
inline constexpr int kHeadsMax = 16384;
inline constexpr int kVocabMax = 1 << 24;

// Everything of a plan but family, q/k norm, window, layers and experts. Refuses what no family here has: quantised
// weights, an activation other than silu, biases in attention, partial rotation, rope scaling other than llama3's.
ModelPlan read_decoder(const JsonObject& config, const DecoderDefaults& defaults);

// sliding_window; 0 where there is none, or no sequence is long enough to lose sight of a token.
int read_window(const JsonObject& config, const ModelPlan& plan, std::int64_t fallback);

// Each layer's window: where layer_types says sliding_attention it is `window`, else 0; without layer_types as
// `otherwise` [layers] has it.
std::vector<int> layer_windows(const JsonObject& config, int window, const std::vector<int>& otherwise);

// A whole number between least and most, as int.
int read_int(const JsonObject& config, std::string_view key, int least, int most);

}  // namespace argosy
