// What follows from a ModelPlan alone: rope's frequencies and the words that describe a plan.
#include "runtime/model/model_plan.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "kernels/base/error.hpp"

namespace argosy {

namespace {

constexpr double kLn2 = 0.693147180559945309417232121458;
constexpr double kTwoPi = 6.283185307179586476925286766559;

// Natural logarithm of a normal positive double, to about 1e-16 absolute per unit of the exponent: x = m * 2^e with m
// in [0.75, 1.5), ln m = 2 atanh(z), z = (m - 1) / (m + 1), |z| <= 0.2, whose series z + z^3/3 + z^5/5 ... is below
// 1e-18 after 12 terms.
double series_log(double x) {
    const std::uint64_t bits = std::bit_cast<std::uint64_t>(x);
    int exponent = static_cast<int>(bits >> 52 & 0x7ff) - 1023;
    double m = std::bit_cast<double>((bits & 0x000fffffffffffffull) | 0x3ff0000000000000ull);
    if (m >= 1.5) {
        m *= 0.5;
        ++exponent;
    }
    const double z = (m - 1.0) / (m + 1.0);
    double sum = 0.0;
    for (int k = 27; k >= 1; k -= 2) sum = sum * (z * z) + 1.0 / k;
    return 2.0 * z * sum + exponent * kLn2;
}

// e^x for -700 < x <= 0: x = n ln 2 + r with |r| <= 0.35, whose Taylor series is below 1e-17 after 14 terms.
double series_exp(double x) {
    const int n = static_cast<int>(x / kLn2 - 0.5);
    const double r = x - n * kLn2;
    double sum = 1.0;
    for (int k = 16; k >= 1; --k) sum = 1.0 + sum * r / k;
    return sum * std::bit_cast<double>(static_cast<std::uint64_t>(1023 + n) << 52);
}

// Llama 3.1's stretching of one inverse frequency.
double scale_llama3(double frequency, const RopeScaling& scaling) {
    const double wavelength = kTwoPi / frequency;
    const double original = scaling.original_max_positions;
    if (wavelength < original / scaling.high_freq_factor) return frequency;
    if (wavelength > original / scaling.low_freq_factor) return frequency / scaling.factor;
    const double smooth =
        (original / wavelength - scaling.low_freq_factor) / (scaling.high_freq_factor - scaling.low_freq_factor);
    return (1.0 - smooth) * frequency / scaling.factor + smooth * frequency;
}

// The pair, as a fraction, that turns `turns` times within the original positions.
double yarn_pair(const RopePlan& rope, double turns) {
    const double pairs = rope.rotary_dim / 2.0;
    return pairs * series_log(rope.scaling.original_max_positions / (turns * kTwoPi)) / series_log(rope.theta);
}

// YaRN's stretching of pair i's inverse frequency.
double scale_yarn(double frequency, int i, const RopePlan& rope) {
    double low = yarn_pair(rope, rope.scaling.beta_fast);
    double high = yarn_pair(rope, rope.scaling.beta_slow);
    if (rope.scaling.truncate) {
        low = std::floor(low);
        high = std::ceil(high);
    }
    low = std::max(low, 0.0);
    high = std::min(high, rope.rotary_dim - 1.0);
    if (low == high) high += 0.001;
    const double stretched = std::clamp((i - low) / (high - low), 0.0, 1.0);
    return frequency / rope.scaling.factor * stretched + frequency * (1.0 - stretched);
}

void check_rope(const RopePlan& rope, int head_dim) {
    if (rope.rotary_dim < 2 || rope.rotary_dim % 2 != 0 || rope.rotary_dim > head_dim) {
        fail(ErrorKind::input,
             "Rope cannot rotate {} elements of a head of {}: the number must be even, at least 2 and at most the "
             "head's.",
             rope.rotary_dim, head_dim);
    }
    if (!(rope.theta >= 1.0 && rope.theta <= 1e30)) {
        fail(ErrorKind::input, "Rope's theta is {}; it must be between 1 and 1e30.", rope.theta);
    }
    const RopeScaling& scaling = rope.scaling;
    if (scaling.kind == RopeScalingKind::llama3 &&
        !(scaling.factor >= 1.0 && scaling.low_freq_factor > 0.0 &&
          scaling.high_freq_factor > scaling.low_freq_factor && scaling.original_max_positions > 0)) {
        fail(ErrorKind::input,
             "Llama 3 rope scaling with factor {}, low_freq_factor {}, high_freq_factor {} and {} original positions "
             "cannot be: it needs "
             "factor >= 1, 0 < low_freq_factor < high_freq_factor and at least 1 position.",
             scaling.factor, scaling.low_freq_factor, scaling.high_freq_factor, scaling.original_max_positions);
    }
    if (scaling.kind == RopeScalingKind::yarn &&
        !(scaling.factor >= 1.0 && scaling.beta_slow > 0.0 && scaling.beta_fast >= scaling.beta_slow &&
          scaling.original_max_positions > 0 && rope.theta > 1.0)) {
        fail(ErrorKind::input,
             "YaRN rope scaling with factor {}, beta_fast {}, beta_slow {}, {} original positions and theta {} cannot "
             "be: it needs factor >= 1, 0 < beta_slow <= beta_fast, at least 1 position and theta > 1.",
             scaling.factor, scaling.beta_fast, scaling.beta_slow, scaling.original_max_positions, rope.theta);
    }
}

}  // namespace

std::vector<float> rope_inverse_frequencies(const RopePlan& rope, int head_dim) {
    check_rope(rope, head_dim);
    const double log_theta = series_log(rope.theta);
    std::vector<float> frequencies(static_cast<std::size_t>(rope.rotary_dim / 2));
    for (int i = 0; i < rope.rotary_dim / 2; ++i) {
        double frequency = series_exp(-log_theta * (2.0 * i) / rope.rotary_dim);
        if (rope.scaling.kind == RopeScalingKind::llama3) frequency = scale_llama3(frequency, rope.scaling);
        if (rope.scaling.kind == RopeScalingKind::yarn) frequency = scale_yarn(frequency, i, rope);
        frequencies[static_cast<std::size_t>(i)] = static_cast<float>(frequency);
    }
    return frequencies;
}

double yarn_magnitude(double factor, double mscale) {
    return factor <= 1.0 ? 1.0 : 0.1 * mscale * series_log(factor) + 1.0;
}

ModelPlan with_predictor(ModelPlan plan) {
    plan.layers.push_back(plan.layers.back());  // mixtures stand behind the dense layers
    return plan;
}

bool runs_predictor(const ModelPlan& plan) { return std::ssize(plan.layers) > plan.layer_count; }

int moe_layer_count(const ModelPlan& plan) {
    return static_cast<int>(std::count_if(plan.layers.begin(), plan.layers.end(),
                                          [](const LayerPlan& layer) { return layer.kind == LayerKind::moe; }));
}

std::string_view name_of(LayerKind kind) { return kind == LayerKind::dense ? "dense" : "moe"; }
std::string_view name_of(QkNorm norm) {
    constexpr std::string_view kNames[] = {"none", "per head", "over all heads"};
    return kNames[static_cast<std::size_t>(norm)];
}
std::string routing_words(const RoutingRule& rule) {
    constexpr std::string_view kScoring[] = {"softmax", "sigmoid", "softmax over the chosen"};
    std::string text = fmt::format(", {}", kScoring[static_cast<std::size_t>(rule.scoring)]);
    if (rule.groups_kept < rule.groups) text += fmt::format(", {} of {} groups", rule.groups_kept, rule.groups);
    if (rule.renormalise) text += ", renormalised";
    if (rule.scale != 1) text += fmt::format(", times {}", rule.scale);
    return text;
}
std::string_view name_of(RopeScalingKind kind) {
    constexpr std::string_view kNames[] = {"none", "llama3", "yarn"};
    return kNames[static_cast<std::size_t>(kind)];
}

namespace {

std::string describe_rope(const RopePlan& rope) {
    std::string text = fmt::format("rope: theta {}, {} elements as halves", rope.theta, rope.rotary_dim);
    const RopeScaling& scaling = rope.scaling;
    if (scaling.kind == RopeScalingKind::llama3) {
        text += fmt::format(", llama3 scaling by {} from {} positions (low {}, high {})", scaling.factor,
                            scaling.original_max_positions, scaling.low_freq_factor, scaling.high_freq_factor);
    }
    if (scaling.kind == RopeScalingKind::yarn) {
        text += fmt::format(", yarn scaling by {} from {} positions (fast {}, slow {}{}), amplitude {:.6g}",
                            scaling.factor, scaling.original_max_positions, scaling.beta_fast, scaling.beta_slow,
                            scaling.truncate ? "" : ", not truncated", rope.amplitude);
    }
    return text + "\n";
}

// "layers 0-2 dense 96, layers 3-47 moe 768": runs of equal layers.
std::string describe_layers(const std::vector<LayerPlan>& layers) {
    std::vector<std::string> runs;
    for (std::size_t begin = 0; begin < layers.size();) {
        std::size_t end = begin + 1;
        while (end < layers.size() && layers[end] == layers[begin]) ++end;
        const LayerPlan& layer = layers[begin];
        runs.push_back(fmt::format("{}-{} {} {}{}", begin, end - 1, name_of(layer.kind), layer.intermediate,
                                   layer.window > 0 ? fmt::format(" window {}", layer.window) : ""));
        begin = end;
    }
    return fmt::format("layers: {}\n", fmt::join(runs, ", "));
}

std::string describe_generation(const GenerationConfig& defaults) {
    std::vector<std::string> parts;
    const auto add = [&](std::string_view name, const auto& value) {
        if (value) parts.push_back(fmt::format("{} {}", name, *value));
    };
    add("do_sample", defaults.do_sample);
    add("temperature", defaults.temperature);
    add("top_p", defaults.top_p);
    add("min_p", defaults.min_p);
    add("top_k", defaults.top_k);
    add("repetition_penalty", defaults.repetition_penalty);
    add("max_new_tokens", defaults.max_new_tokens);
    return parts.empty() ? std::string() : fmt::format("generation defaults: {}\n", fmt::join(parts, ", "));
}

}  // namespace

std::string describe(const ModelPlan& plan) {
    const AttentionPlan& attention = plan.attention;
    std::string text =
        fmt::format("family: {}\nsizes: hidden {}, {} layers, vocabulary {}{}, {} positions, rms eps {}\n", plan.family,
                    plan.hidden, plan.layer_count, plan.vocab_size, plan.tie_embeddings ? " (tied)" : "",
                    plan.max_positions, plan.rms_eps);
    text += fmt::format("attention: {} q heads, {} kv heads, head size {}, q/k norm {}{}{}{}, scale {}\n",
                        attention.q_heads, attention.kv_heads, attention.head_dim, name_of(attention.qk_norm),
                        attention.qkv_bias ? ", q/k/v bias" : "",
                        attention.clip_qkv > 0 ? fmt::format(", q/k/v within {}", attention.clip_qkv) : "",
                        attention.sinks ? ", sinks" : "", attention.softmax_scale);
    if (attention.over_latents()) {
        text += fmt::format("latents: {} elements, queries from {}, {} without position, values {}\n",
                            attention.latent.kv_rank, attention.latent.q_rank, attention.latent.nope_dim,
                            attention.latent.value_dim);
    }
    text += describe_rope(attention.rope);
    text += describe_layers(plan.layers);
    if (plan.moe.experts > 0) {
        text += fmt::format(
            "experts: {}, top {}, intermediate {}{}{}{}{}{}\n", plan.moe.experts, plan.moe.top_k, plan.moe.intermediate,
            routing_words(plan.moe.routing), plan.moe.biases ? ", biases" : "",
            plan.moe.choice_bias ? ", choice bias" : "",
            plan.moe.shared_intermediate > 0 ? fmt::format(", shared {}", plan.moe.shared_intermediate) : "",
            plan.moe.swiglu_limit > 0 ? fmt::format(", swiglu within {}", plan.moe.swiglu_limit) : "");
    }
    text += fmt::format("tokens: bos {}, eos {}\n", plan.bos_id ? std::to_string(*plan.bos_id) : "none",
                        plan.eos_ids.empty() ? "none" : fmt::format("{}", fmt::join(plan.eos_ids, " ")));
    if (plan.dtype) text += fmt::format("weights announced as: {}\n", name_of(*plan.dtype));
    return text + describe_generation(plan.generation);
}

}  // namespace argosy
