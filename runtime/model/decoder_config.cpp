// Reading config.json: sizes, attention, rope, token ids, and refusing what the engine does not offer.
#include "runtime/model/decoder_config.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "kernels/base/error.hpp"

namespace argosy {

namespace {

constexpr int kPositionsMax = 1 << 30;

RopeScaling read_llama3(const JsonObject& scaling) {
    RopeScaling plan{.kind = RopeScalingKind::llama3};
    plan.factor = scaling.number("factor", 1.0, 1e6);
    plan.low_freq_factor = scaling.number("low_freq_factor", 1e-6, 1e6);
    plan.high_freq_factor = scaling.number("high_freq_factor", 1e-6, 1e6);
    if (plan.high_freq_factor <= plan.low_freq_factor) {
        scaling.reject("high_freq_factor", fmt::format("is {}; it must be above low_freq_factor, which is {}",
                                                       plan.high_freq_factor, plan.low_freq_factor));
    }
    plan.original_max_positions = read_int(scaling, "original_max_position_embeddings", 1, kPositionsMax);
    return plan;
}

// Defaults: transformers, modeling_rope_utils.
void read_yarn(const JsonObject& scaling, RopePlan& rope) {
    RopeScaling& plan = rope.scaling;
    plan.kind = RopeScalingKind::yarn;
    plan.factor = scaling.number("factor", 1.0, 1e6);
    plan.beta_fast = scaling.number_or("beta_fast", 32.0, 1e-6, 1e6);
    plan.beta_slow = scaling.number_or("beta_slow", 1.0, 1e-6, 1e6);
    if (plan.beta_fast < plan.beta_slow) {
        scaling.reject("beta_fast", fmt::format("is {}; it must not be below beta_slow, which is {}", plan.beta_fast,
                                                plan.beta_slow));
    }
    plan.original_max_positions = read_int(scaling, "original_max_position_embeddings", 1, kPositionsMax);
    plan.truncate = scaling.boolean_or("truncate", true);
    if (rope.theta <= 1.0) scaling.reject("rope_type", "is yarn, which needs a rope_theta above 1");
    const double amplitude = scaling.has("mscale") && scaling.has("mscale_all_dim")
                                 ? yarn_magnitude(plan.factor, scaling.number("mscale", 0.0, 100.0)) /
                                       yarn_magnitude(plan.factor, scaling.number("mscale_all_dim", 0.0, 100.0))
                                 : yarn_magnitude(plan.factor, 1.0);
    rope.amplitude = scaling.number_or("attention_factor", amplitude, 1e-3, 1e3);
}

// transformers 5 keeps theta and scaling together in "rope_parameters"; earlier files have "rope_theta" and
// "rope_scaling".
RopePlan read_rope(const JsonObject& config, const DecoderDefaults& defaults, int head_dim) {
    RopePlan rope;
    rope.rotary_dim = head_dim;
    if (head_dim % 2 != 0)
        config.reject("head_dim", fmt::format("is {}; rope rotates pairs, so it must be even", head_dim));
    if (config.number_or("partial_rotary_factor", 1.0, 0.0, 1.0) != 1.0) {
        config.reject("partial_rotary_factor", "is not 1; models that rotate a part of each head are not supported");
    }
    const bool joined = config.has("rope_parameters");
    const JsonObject& theta_holder = joined ? config.object("rope_parameters") : config;
    rope.theta =
        theta_holder.number_or("rope_theta", config.number_or("rope_theta", defaults.rope_theta, 1.0, 1e30), 1.0, 1e30);
    const char* scaling_key = joined ? "rope_parameters" : "rope_scaling";
    if (!config.has(scaling_key)) return rope;

    const JsonObject scaling = config.object(scaling_key);
    const char* type_key = scaling.has("rope_type") || !scaling.has("type") ? "rope_type" : "type";
    const std::string type = joined ? scaling.text_or(type_key, "default") : scaling.text(type_key);
    if (type == "llama3") {
        rope.scaling = read_llama3(scaling);
    } else if (type == "yarn") {
        read_yarn(scaling, rope);
    } else if (type != "default") {
        scaling.reject(type_key, fmt::format("is \"{}\"; supported are default, llama3 and yarn", type));
    }
    return rope;
}

AttentionPlan read_attention(const JsonObject& config, const DecoderDefaults& defaults, int hidden) {
    AttentionPlan attention;
    attention.q_heads = read_int(config, "num_attention_heads", 1, kHeadsMax);
    // null means "as many as q heads", absent means the family's default, which may be a number.
    const int kv_fallback =
        defaults.kv_heads == 0 || config.is_null("num_key_value_heads") ? attention.q_heads : defaults.kv_heads;
    attention.kv_heads = static_cast<int>(config.integer_or("num_key_value_heads", kv_fallback, 1, kHeadsMax));
    if (attention.q_heads % attention.kv_heads != 0) {
        config.reject("num_key_value_heads", fmt::format("is {}; it must divide num_attention_heads, which is {}",
                                                         attention.kv_heads, attention.q_heads));
    }
    const bool derived = !config.has("head_dim") && (defaults.head_dim == 0 || config.is_null("head_dim"));
    if (derived && hidden % attention.q_heads != 0) {
        config.reject(
            "num_attention_heads",
            fmt::format("is {}; without head_dim it must divide hidden_size, which is {}", attention.q_heads, hidden));
    }
    const int head_fallback = derived ? hidden / attention.q_heads : defaults.head_dim;
    attention.head_dim = static_cast<int>(config.integer_or("head_dim", head_fallback, 1, 1 << 16));
    if (std::int64_t{attention.q_heads} * attention.head_dim > kIntermediateMax) {
        config.reject("num_attention_heads", fmt::format("is {}; times the head size {} that is more than {}",
                                                         attention.q_heads, attention.head_dim, kIntermediateMax));
    }
    if (!defaults.biases && config.boolean_or("attention_bias", false)) {
        config.reject(
            "attention_bias",
            "is true; biases in attention are not supported for this family, whose released models have none");
    }
    // The authors' head_dim^-0.5. A square root is exact to the last bit on every machine (IEEE 754).
    attention.softmax_scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(attention.head_dim)));
    attention.rope = read_rope(config, defaults, attention.head_dim);
    return attention;
}

// bos and eos: absent means the family's default, null means none.
void read_token_ids(const JsonObject& config, const DecoderDefaults& defaults, ModelPlan& plan) {
    const int last = plan.vocab_size - 1;
    if (config.has("bos_token_id")) {
        plan.bos_id = static_cast<int>(config.integer("bos_token_id", 0, last));
    } else if (!config.is_null("bos_token_id")) {
        plan.bos_id = defaults.bos_id;
    }
    for (const std::int64_t id : config.integer_list("eos_token_id", 0, last))
        plan.eos_ids.push_back(static_cast<int>(id));
    if (!config.has("eos_token_id") && !config.is_null("eos_token_id") && defaults.eos_id && *defaults.eos_id <= last)
        plan.eos_ids.push_back(*defaults.eos_id);
}

std::optional<DType> read_dtype(const JsonObject& config) {
    const char* key = config.has("torch_dtype") ? "torch_dtype" : "dtype";
    const std::string name = config.text_or(key, "");
    if (name == "bfloat16") return DType::bf16;
    if (name == "float16") return DType::f16;
    if (name == "float32") return DType::f32;
    return std::nullopt;  // "auto" and the like: the checkpoint decides
}

// The tensors themselves say how they are stored (stored_format.hpp); what is written otherwise is told early.
void check_quantisation(const JsonObject& config) {
    const std::string method = config.text_or("quant_method", "modelopt");
    constexpr std::array<std::string_view, 5> kMethods{"fp8", "modelopt", "quark", "compressed-tensors", "mxfp4"};
    if (std::find(kMethods.begin(), kMethods.end(), method) == kMethods.end()) {
        config.reject("quant_method",
                      fmt::format("is \"{}\"; weights can be read as {}", method, fmt::join(kMethods, ", ")));
    }
    if (!config.has("weight_block_size")) return;
    if (config.integers("weight_block_size", 1, kHiddenMax) != std::vector<std::int64_t>{128, 128})
        config.reject("weight_block_size", "is not [128, 128], the only size of blocks that can be read");
}

void refuse_layer_types(const JsonObject& config) {
    if (!config.has("layer_types")) return;
    for (const std::string& type : config.texts("layer_types")) {
        if (type != "full_attention") {
            config.reject("layer_types",
                          fmt::format("holds \"{}\"; supported for this family is full_attention", type));
        }
    }
}

}  // namespace

int read_int(const JsonObject& config, std::string_view key, int least, int most) {
    return static_cast<int>(config.integer(key, least, most));
}

ModelPlan read_decoder(const JsonObject& config, const DecoderDefaults& defaults) {
    if (!defaults.windows) refuse_layer_types(config);
    if (config.has("quantization_config")) check_quantisation(config.object("quantization_config"));
    const std::string activation = config.text_or("hidden_act", "silu");
    if (activation != "silu" && activation != "swish") {
        config.reject("hidden_act", fmt::format("is \"{}\"; supported is silu", activation));
    }
    ModelPlan plan;
    plan.hidden = read_int(config, "hidden_size", 1, kHiddenMax);
    plan.layer_count = read_int(config, "num_hidden_layers", 1, kLayersMax);
    plan.vocab_size = read_int(config, "vocab_size", 1, kVocabMax);
    plan.max_positions =
        static_cast<int>(config.integer_or("max_position_embeddings", defaults.max_positions, 1, kPositionsMax));
    plan.rms_eps = static_cast<float>(config.number_or("rms_norm_eps", defaults.rms_eps, 0.0, 1.0));
    plan.tie_embeddings = config.boolean_or("tie_word_embeddings", false);
    plan.attention = read_attention(config, defaults, plan.hidden);
    plan.dtype = read_dtype(config);
    read_token_ids(config, defaults, plan);
    return plan;
}

int read_window(const JsonObject& config, const ModelPlan& plan, std::int64_t fallback) {
    const std::int64_t window = config.integer_or("sliding_window", fallback, 1, INT32_MAX);
    return window >= plan.max_positions ? 0 : static_cast<int>(window);
}

std::vector<int> layer_windows(const JsonObject& config, int window, const std::vector<int>& otherwise) {
    if (!config.has("layer_types")) return otherwise;
    const std::vector<std::string> types = config.texts("layer_types");
    if (types.size() != otherwise.size()) {
        config.reject("layer_types",
                      fmt::format("has {} entries; num_hidden_layers is {}", types.size(), otherwise.size()));
    }
    std::vector<int> windows;
    for (const std::string& type : types) {
        if (type != "sliding_attention" && type != "full_attention") {
            config.reject("layer_types",
                          fmt::format("holds \"{}\"; supported are full_attention and sliding_attention", type));
        }
        windows.push_back(type == "sliding_attention" ? window : 0);
    }
    return windows;
}

}  // namespace argosy
