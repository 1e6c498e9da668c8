// Small configurations and safetensors files made to order.
#include "tests/runtime/model/model_samples.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <fstream>

namespace argosy::test {

ConfigKeys sample_config(std::string_view family) {
    ConfigKeys keys = {{"hidden_size", "60"},        {"num_hidden_layers", "3"},
                       {"num_attention_heads", "6"}, {"num_key_value_heads", "3"},
                       {"intermediate_size", "43"},  {"vocab_size", "333"},
                       {"rms_norm_eps", "1e-05"},    {"rope_theta", "10000.0"},
                       {"hidden_act", "\"silu\""},   {"max_position_embeddings", "512"}};
    if (family == "llama") keys["architectures"] = R"(["LlamaForCausalLM"])";
    if (family == "qwen3") {
        keys["architectures"] = R"(["Qwen3ForCausalLM"])";
        keys["head_dim"] = "14";
    }
    if (family == "mixtral") {
        keys["architectures"] = R"(["MixtralForCausalLM"])";
        keys["num_local_experts"] = "5";
        keys["num_experts_per_tok"] = "2";
    }
    if (family == "gpt_oss") {
        keys["architectures"] = R"(["GptOssForCausalLM"])";
        keys["head_dim"] = "14";
        keys["intermediate_size"] = "96";
        keys["num_local_experts"] = "5";
        keys["num_experts_per_tok"] = "2";
        keys["sliding_window"] = "20";
        keys["rope_scaling"] =
            R"({"rope_type":"yarn","factor":32.0,"truncate":false,"original_max_position_embeddings":64})";
    }
    if (family == "deepseek_v2" || family == "deepseek_v3") {
        const bool v3 = family == "deepseek_v3";
        keys["architectures"] = v3 ? R"(["DeepseekV3ForCausalLM"])" : R"(["DeepseekV2ForCausalLM"])";
        keys["kv_lora_rank"] = "24";
        keys["q_lora_rank"] = v3 ? "18" : "null";
        keys["qk_nope_head_dim"] = "10";
        keys["qk_rope_head_dim"] = "6";
        keys["v_head_dim"] = "14";
        keys["n_routed_experts"] = "8";
        keys["num_experts_per_tok"] = "3";
        keys["n_shared_experts"] = "2";
        keys["moe_intermediate_size"] = "22";
        keys["first_k_dense_replace"] = "1";
        keys["topk_method"] = v3 ? "\"noaux_tc\"" : "\"group_limited_greedy\"";
        keys["n_group"] = "4";
        keys["topk_group"] = "2";
        keys["routed_scaling_factor"] = "16.0";
        keys["rope_scaling"] = R"({"type":"yarn","factor":40,"original_max_position_embeddings":64,
            "mscale":0.707,"mscale_all_dim":0.707})";
    }
    if (family == "olmoe") {
        keys["architectures"] = R"(["OlmoeForCausalLM"])";
        keys["num_experts"] = "5";
        keys["num_experts_per_tok"] = "2";
        keys["clip_qkv"] = "8.0";
    }
    if (family == "qwen3_moe") {
        keys["architectures"] = R"(["Qwen3MoeForCausalLM"])";
        keys["head_dim"] = "14";
        keys["num_experts"] = "7";
        keys["num_experts_per_tok"] = "3";
        keys["moe_intermediate_size"] = "22";
        keys["norm_topk_prob"] = "true";
        keys["mlp_only_layers"] = "[1]";
    }
    return keys;
}

std::string to_json(const ConfigKeys& keys) {
    std::vector<std::string> members;
    for (const auto& [key, value] : keys) members.push_back(fmt::format("\"{}\": {}", key, value));
    return fmt::format("{{{}}}", fmt::join(members, ",\n"));
}

ModelPlan plan_of(const ConfigKeys& keys, const std::string& generation) {
    return plan_model(ConfigText{"some/config.json", to_json(keys), "some/generation_config.json", generation});
}

std::string header_json(const std::vector<FileTensor>& tensors) {
    std::vector<std::string> members = {R"("__metadata__":{"format":"pt"})"};
    for (const FileTensor& tensor : tensors) {
        members.push_back(fmt::format(R"("{}":{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})", tensor.name,
                                      tensor.format, fmt::join(tensor.shape, ","), tensor.begin, tensor.end));
    }
    return fmt::format("{{{}}}", fmt::join(members, ","));
}

void write_text(const std::filesystem::path& path, const std::string& text) {
    std::ofstream file(path, std::ios::binary);
    file.write(text.data(), static_cast<std::streamsize>(text.size()));
    REQUIRE(file.good());
}

void write_safetensors(const std::filesystem::path& path, const std::string& header, std::int64_t data_bytes) {
    std::string text;
    for (int byte = 0; byte < 8; ++byte) text += static_cast<char>(header.size() >> (8 * byte) & 0xff);
    text += header;
    for (std::int64_t i = 0; i < data_bytes; ++i) text += static_cast<char>(i & 0xff);
    write_text(path, text);
}

std::vector<FileTensor> layout_of(const std::vector<TensorSpec>& tensors, const std::string& format,
                                  std::int64_t bytes_per_element) {
    std::vector<FileTensor> result;
    std::int64_t at = 0;
    for (const TensorSpec& tensor : tensors) {
        if (tensor.experts > 0 && tensor.expert > 0) continue;  // all experts' stand in one
        std::vector<std::int64_t> shape = tensor.shape;
        if (tensor.experts > 0) {
            shape.clear();
            for (const std::int64_t extent : {std::int64_t{tensor.experts}, tensor.shape.back()})
                shape.push_back(extent);
            if (tensor.shape.size() == 2) shape.push_back(tensor.shape[0]);
        }
        std::int64_t bytes = bytes_per_element;
        for (const std::int64_t extent : shape) bytes *= extent;
        result.push_back({tensor.name, format, shape, at, at + bytes});
        at += bytes;
    }
    return result;
}

Checkpoint checkpoint_of(const std::vector<FileTensor>& tensors) {
    CheckpointHeaders headers;
    headers.folder = "some";
    const std::string header = header_json(tensors);
    std::string prefix;
    for (int byte = 0; byte < 8; ++byte) prefix += static_cast<char>(header.size() >> (8 * byte) & 0xff);
    prefix += header;
    headers.files = {{"model.safetensors", static_cast<std::int64_t>(prefix.size()) + tensors.back().end, prefix}};
    return parse_checkpoint(headers);
}

}  // namespace argosy::test
