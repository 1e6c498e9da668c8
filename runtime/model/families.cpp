// The list of families, and the way from config.json to a checked plan.
#include "runtime/model/families.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "kernels/base/error.hpp"
#include "runtime/model/family_list.hpp"
#include "runtime/model/json_file.hpp"

namespace argosy {

namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kConfigBytesMax = 16 << 20;
constexpr double kTensorsMax = 4e6;      // beyond any model; keeps the tensor list in memory
constexpr double kParametersMax = 1e15;  // beyond any model; keeps every count of bytes within 64 bits

std::string supported_families() {
    std::string list;
    for (const Family& family : families()) {
        list += fmt::format("{}{} ({})", list.empty() ? "" : ", ", family.name, family.architecture);
    }
    return list;
}

const Family& family_of_config(const JsonObject& config) {
    if (config.has("architectures")) {
        const std::vector<std::string> names = config.texts("architectures");
        for (const Family& family : families()) {
            if (std::find(names.begin(), names.end(), family.architecture) != names.end()) return family;
        }
        config.reject("architectures", fmt::format("names no model that is supported, but {}; supported are {}",
                                                   names.empty() ? "nothing" : names.front(), supported_families()));
    }
    if (!config.has("model_type")) {
        config.reject("architectures",
                      fmt::format("is missing, and so is \"model_type\"; supported are {}", supported_families()));
    }
    const std::string type = config.text("model_type");
    for (const Family& family : families()) {
        if (family.model_type == type) return family;
    }
    config.reject("model_type",
                  fmt::format("is \"{}\", which is not supported; supported are {}", type, supported_families()));
}

// Parameters of one layer's attention.
double attention_parameters(const ModelPlan& plan) {
    const AttentionPlan& attention = plan.attention;
    const double hidden = plan.hidden, heads = attention.q_heads, head_dim = attention.head_dim;
    if (!attention.over_latents()) return 2.0 * hidden * head_dim * (heads + attention.kv_heads);
    const LatentPlan& latent = attention.latent;
    const double q_from = latent.q_rank > 0 ? latent.q_rank : hidden;
    return hidden * latent.q_rank + hidden * attention.cached_dim() + heads * head_dim * q_from +
           heads * (latent.nope_dim + latent.value_dim) * latent.kv_rank + heads * latent.value_dim * hidden;
}

// Sizes that are each in range may still multiply to a model that no machine could hold, or whose bytes a number could
// not.
void refuse_giants(const JsonObject& config, const ModelPlan& plan) {
    double tensors = 3.0 + 16.0 * plan.layer_count;
    double parameters = 2.0 * plan.vocab_size * plan.hidden;
    for (const LayerPlan& layer : plan.layers) {
        const double matrices = 3.0 * (layer.kind == LayerKind::moe ? plan.moe.experts : 1);
        tensors += matrices;
        parameters += matrices * plan.hidden * layer.intermediate + 3.0 * plan.hidden * plan.moe.shared_intermediate +
                      attention_parameters(plan);
    }
    if (tensors > kTensorsMax || parameters > kParametersMax) {
        config.reject("num_hidden_layers",
                      fmt::format("and the other sizes make a model of {:.3g} parameters in {:.3g} tensors; at most "
                                  "{:.0e} and {:.0e} can be",
                                  parameters, tensors, kParametersMax, kTensorsMax));
    }
}

GenerationConfig read_generation(const JsonObject& file) {
    GenerationConfig defaults;
    if (file.has("do_sample")) defaults.do_sample = file.boolean_or("do_sample", false);
    if (file.has("temperature")) defaults.temperature = file.number("temperature", 0.0, 1e6);
    if (file.has("top_p")) defaults.top_p = file.number("top_p", 0.0, 1.0);
    if (file.has("min_p")) defaults.min_p = file.number("min_p", 0.0, 1.0);
    if (file.has("top_k")) defaults.top_k = static_cast<int>(file.integer("top_k", -1, INT32_MAX));
    if (file.has("repetition_penalty")) defaults.repetition_penalty = file.number("repetition_penalty", 1e-6, 1e6);
    if (file.has("max_new_tokens"))
        defaults.max_new_tokens = static_cast<int>(file.integer("max_new_tokens", 0, INT32_MAX));
    return defaults;
}

}  // namespace

std::span<const Family> families() {
    static const std::array list = {mixtral_family(),     qwen3_moe_family(),   olmoe_family(), gpt_oss_family(),
                                    deepseek_v2_family(), deepseek_v3_family(), qwen3_family(), llama_family()};
    return list;
}

const Family& family_of(const ModelPlan& plan) {
    for (const Family& family : families()) {
        if (family.name == plan.family) return family;
    }
    fail(ErrorKind::internal, "A plan names the family \"{}\", which is not in the list of families.", plan.family);
}

ConfigText read_config_text(const fs::path& model) {
    const bool folder = fs::is_directory(model);
    if (!folder && !fs::exists(model)) {
        fail(ErrorKind::input, "{} does not exist; give a model's folder or its config.json.", model.string());
    }
    const fs::path config = folder ? model / "config.json" : model;
    if (!fs::exists(config))
        fail(ErrorKind::input, "{} holds no config.json; give the folder of a model.", model.string());
    ConfigText text;
    text.config_path = config.string();
    text.config = read_text_file(config, kConfigBytesMax);
    const fs::path generation = config.parent_path() / "generation_config.json";
    text.generation_path = generation.string();
    if (config.filename() == "config.json" && fs::exists(generation))
        text.generation = read_text_file(generation, kConfigBytesMax);
    return text;
}

ModelPlan plan_model(const ConfigText& text) {
    const JsonObject config = JsonObject::parse(text.config, text.config_path);
    const Family& family = family_of_config(config);
    ModelPlan plan = family.plan(config);
    plan.family = family.name;
    refuse_giants(config, plan);
    if (text.generation.empty()) return plan;
    const JsonObject generation = JsonObject::parse(text.generation, text.generation_path);
    plan.generation = read_generation(generation);
    for (const std::int64_t id : generation.integer_list("eos_token_id", 0, plan.vocab_size - 1)) {
        if (std::find(plan.eos_ids.begin(), plan.eos_ids.end(), id) == plan.eos_ids.end())
            plan.eos_ids.push_back(static_cast<int>(id));
    }
    return plan;
}

ModelPlan plan_model(const fs::path& model) { return plan_model(read_config_text(model)); }

}  // namespace argosy
