// ModelPlan: everything the engine has to know of a model, as plain data, and the few quantities that follow from it
// alone.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/base/dtype.hpp"
#include "kernels/base/routing_rule.hpp"

namespace argosy {

// Root-mean-square norm of q and k before the rotation: not at all, each head by itself with one weight vector
// [head_dim] (Qwen3), or all heads together with one weight per element (OLMoE).
enum class QkNorm : std::uint8_t { none, per_head, all_heads };

// Which two of a head's elements turn together. half_split: element i with i + rotary_dim/2, as in the published
// checkpoints of all families here.
enum class RopePairing : std::uint8_t { half_split };

enum class RopeScalingKind : std::uint8_t { none, llama3, yarn };

// Llama 3.1 (meta-llama/llama-models, apply_scaling): wavelengths up to original_max_positions / high_freq_factor stay,
// those from original_max_positions / low_freq_factor on are stretched by factor, those between are blended.
// YaRN (Peng et al. 2023, "YaRN: Efficient Context Window Extension of Large Language Models"): pairs that turn
// beta_fast times or more within the original positions stay, those that turn beta_slow times or fewer are stretched,
// between them a ramp over the pairs' numbers, whose ends are whole numbers if `truncate`.
struct RopeScaling {
    RopeScalingKind kind = RopeScalingKind::none;
    double factor = 1.0;
    double low_freq_factor = 1.0;
    double high_freq_factor = 1.0;
    int original_max_positions = 0;
    double beta_fast = 32.0;
    double beta_slow = 1.0;
    bool truncate = true;
    bool operator==(const RopeScaling&) const = default;
};

struct RopePlan {
    double theta = 10000.0;
    int rotary_dim = 0;  // leading elements of a head that are rotated; even, at most head_dim
    RopePairing pairing = RopePairing::half_split;
    RopeScaling scaling;
    double amplitude = 1.0;  // multiplies cosine and sine, as YaRN wants
    bool operator==(const RopePlan&) const = default;
};

// Multi-head latent attention (DeepSeek-V2): keys and values of all heads are made from one latent per token, which is
// what the cache holds, beside the part of the key that is turned by rope (rotary_dim elements). A head of q has
// nope_dim + rotary_dim elements, its value value_dim.
struct LatentPlan {
    int kv_rank = 0;  // elements of the latent; 0: attention is not of this kind
    int q_rank = 0;   // of the latent that queries are made from; 0: they are made from the row itself
    int nope_dim = 0;
    int value_dim = 0;
    bool operator==(const LatentPlan&) const = default;
};

// Grouped-query attention, or over latents; the same in every layer but for the window (LayerPlan). q head h reads kv
// head h / (q_heads / kv_heads).
struct AttentionPlan {
    int q_heads = 0;
    int kv_heads = 0;  // divides q_heads
    int head_dim = 0;
    QkNorm qk_norm = QkNorm::none;
    bool qkv_bias = false;       // q, k and v projections add a bias
    bool o_bias = false;         // the output projection does
    bool sinks = false;          // every q head has the score of one more key, whose value is zero
    float clip_qkv = 0.0f;       // q, k and v are limited to [-clip_qkv, clip_qkv], before the norm; 0: they are not
    float softmax_scale = 0.0f;  // scores are (q . k) * softmax_scale
    RopePlan rope;
    LatentPlan latent = {};
    bool operator==(const AttentionPlan&) const = default;

    bool over_latents() const { return latent.kv_rank > 0; }
    // Of one head's part of what the output projection takes.
    int output_dim() const { return over_latents() ? latent.value_dim : head_dim; }
    // Of one vector that the cache keeps per token and kv head.
    int cached_dim() const { return over_latents() ? latent.kv_rank + rope.rotary_dim : head_dim; }
};

enum class LayerKind : std::uint8_t { dense, moe };

struct LayerPlan {
    LayerKind kind = LayerKind::dense;
    int intermediate = 0;  // width of the feed-forward: of the dense one, or of each expert
    int window = 0;        // a token sees itself and the window - 1 tokens before it; 0: all
    bool operator==(const LayerPlan&) const = default;
};

// The mixture of experts; the same in every layer of kind moe.
struct MoePlan {
    int experts = 0;              // 0: the model has no layer of kind moe
    int top_k = 0;                // experts per token
    int intermediate = 0;         // width of one expert
    RoutingRule routing;          // how the router chooses and weighs them
    bool fused = false;           // gate and up of an expert are one matrix, whose rows are theirs in turn
    bool biases = false;          // of the router and of every expert's matrices
    int leaf_unit = 1;            // columns of an expert that stay together when it is cut (rule R2)
    float swiglu_limit = 0.0f;    // > 0: gpt-oss's clamped activation, else silu
    bool choice_bias = false;     // a bias per expert counts in the choice of experts
    int shared_intermediate = 0;  // width of the dense feed-forward beside the experts that every token takes; 0: none
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
    std::vector<LayerPlan> layers;  // [layer_count], and the predictor's behind them where it runs
    // 1: checkpoints of the family may bring a predictor (DeepSeek-V3's multi-token prediction module): a layer behind
    // the last that sees a token's final state and the token after it, and predicts the one after that.
    int predictors = 0;
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

// YaRN's 0.1 * mscale * ln(factor) + 1; 1 where nothing is stretched.
double yarn_magnitude(double factor, double mscale);

// Layers of kind moe.
int moe_layer_count(const ModelPlan& plan);

// The same model with its predictor running; `plan.predictors` must be 1.
ModelPlan with_predictor(ModelPlan plan);
bool runs_predictor(const ModelPlan& plan);

// One line per subject, for logs and error reports.
std::string describe(const ModelPlan& plan);
// ", sigmoid, 4 of 8 groups, renormalised, times 2.5": what comes behind the numbers of experts.
std::string routing_words(const RoutingRule& rule);
std::string_view name_of(LayerKind kind);
std::string_view name_of(QkNorm norm);
std::string_view name_of(RopeScalingKind kind);

}  // namespace argosy
