// ModelPlan: everything the engine has to know of a model, as plain data, and the few quantities that follow from it
// alone.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/base/dtype.hpp"

namespace argosy {

// Root-mean-square norm of q and k before the rotation: not at all, or each head by itself with one weight vector
// [head_dim] (Qwen3).
enum class QkNorm : std::uint8_t { none, per_head };

// Which two of a head's elements turn together. half_split: element i with i + rotary_dim/2, as in the published
// checkpoints of all families here.
enum class RopePairing : std::uint8_t { half_split };

enum class RopeScalingKind : std::uint8_t { none, llama3 };

// Llama 3.1 (meta-llama/llama-models, apply_scaling): wavelengths up to original_max_positions / high_freq_factor stay,
// those from original_max_positions / low_freq_factor on are stretched by factor, those between are blended.
struct RopeScaling {
    RopeScalingKind kind = RopeScalingKind::none;
    double factor = 1.0;
    double low_freq_factor = 1.0;
    double high_freq_factor = 1.0;
    int original_max_positions = 0;
    bool operator==(const RopeScaling&) const = default;
};

struct RopePlan {
    double theta = 10000.0;
    int rotary_dim = 0;  // leading elements of a head that are rotated; even, at most head_dim
    RopePairing pairing = RopePairing::half_split;
    RopeScaling scaling;
    bool operator==(const RopePlan&) const = default;
};

// Grouped-query attention; the same in every layer. q head h reads kv head h / (q_heads / kv_heads).
struct AttentionPlan {
    int q_heads = 0;
    int kv_heads = 0;  // divides q_heads
    int head_dim = 0;
    QkNorm qk_norm = QkNorm::none;
    bool qkv_bias = false;       // q, k and v projections add a bias; the output projection never does
    float softmax_scale = 0.0f;  // scores are (q . k) * softmax_scale
    int window = 0;              // a token sees itself and the window - 1 tokens before it; 0: all
    RopePlan rope;
    bool operator==(const AttentionPlan&) const = default;
};

enum class LayerKind : std::uint8_t { dense, moe };

struct LayerPlan {
    LayerKind kind = LayerKind::dense;
    int intermediate = 0;  // width of the feed-forward: of the dense one, or of each expert
    bool operator==(const LayerPlan&) const = default;
};

// How the router's scores become weights. softmax: over all experts, in FP32, then the top_k largest.
enum class RouterScoring : std::uint8_t { softmax };

// The mixture of experts; the same in every layer of kind moe.
struct MoePlan {
    int experts = 0;       // 0: the model has no layer of kind moe
    int top_k = 0;         // experts per token
    int intermediate = 0;  // width of one expert
    RouterScoring scoring = RouterScoring::softmax;
    bool renormalise = false;  // the chosen weights are divided by their sum
    bool operator==(const MoePlan&) const = default;
};

// What generation_config.json says, as it says it; what it leaves out is absent. do_sample = false means greedy
// whatever the rest says.
struct GenerationConfig {
    std::optional<bool> do_sample;
    std::optional<double> temperature;
    std::optional<double> top_p;
    std::optional<double> min_p;
    std::optional<int> top_k;
    std::optional<double> repetition_penalty;
    std::optional<int> max_new_tokens;
    bool operator==(const GenerationConfig&) const = default;
};

// A decoder: embedding, layers of (norm, attention, residual, norm, feed-forward, residual), final norm, vocabulary
// projection. The feed-forward is down(silu(gate x) * up x), dense or of the chosen experts.
struct ModelPlan {
    std::string family;  // a name of families.hpp's list
    int hidden = 0;
    int layer_count = 0;
    int vocab_size = 0;     // rows of the embedding; the tokenizer may know fewer
    int max_positions = 0;  // the longest sequence that the authors made the model for
    float rms_eps = 0.0f;
    bool tie_embeddings = false;  // the vocabulary projection is the embedding
    AttentionPlan attention;
    MoePlan moe;
    std::vector<LayerPlan> layers;  // [layer_count]
    std::optional<DType>
        dtype;  // number format that config.json announces for the weights; a checkpoint's own word counts more
    std::optional<int> bos_id;  // token that starts a sequence, where the model has one
    std::vector<int> eos_ids;   // tokens that end one: config.json's, then generation_config.json's, each once
    GenerationConfig generation;
    bool operator==(const ModelPlan&) const = default;
};

// Inverse frequency of each rotated pair, radians per position, [rotary_dim / 2]: theta^(-2i/rotary_dim), then the
// scaling. head_dim must be at least rotary_dim. Computed in double from +, -, *, / and a series (no libm), so that all
// machines get the same bits, and rounded once to float; within 1e-7 relative of the exact value. Throws Error(input)
// for a theta, width or scaling that cannot be.
std::vector<float> rope_inverse_frequencies(const RopePlan& rope, int head_dim);

// Layers of kind moe.
int moe_layer_count(const ModelPlan& plan);

// One line per subject, for logs and error reports.
std::string describe(const ModelPlan& plan);
std::string_view name_of(LayerKind kind);
std::string_view name_of(QkNorm norm);
std::string_view name_of(RopeScalingKind kind);

}  // namespace argosy
