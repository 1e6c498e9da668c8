// Configurations with one fault each: the error names the file, the key and what is wrong.
#include <catch2/catch.hpp>
#include <random>

#include "kernels/base/error.hpp"
#include "tests/runtime/model/model_samples.hpp"
#include "tests/support/shared_data.hpp"

using namespace argosy;
using test::ConfigKeys;
using test::plan_of;
using test::sample_config;
using test::sentence_of;

namespace {

struct Fault {
    const char* family;
    const char* key;
    const char* value;  // "" removes the key
    const char* says;
};

const Fault kFaults[] = {
    {"llama", "hidden_size", "", "\"hidden_size\" is missing"},
    {"llama", "hidden_size", "null", "\"hidden_size\" is missing"},
    {"llama", "hidden_size", "\"64\"", "\"hidden_size\" is \"64\"; it must be an integer"},
    {"llama", "hidden_size", "64.5", "\"hidden_size\" is 64.5; it must be an integer"},
    {"llama", "hidden_size", "0", "\"hidden_size\" is 0; it must be between 1 and"},
    {"llama", "hidden_size", "-64", "\"hidden_size\" is -64; it must be between 1 and"},
    {"llama", "hidden_size", "99999999999999999999", "\"hidden_size\" is"},
    {"llama", "hidden_size", "18446744073709551615", "\"hidden_size\" is 18446744073709551615; it must be between"},
    {"llama", "hidden_size", "61", "without head_dim it must divide hidden_size, which is 61"},
    {"llama", "num_hidden_layers", "", "\"num_hidden_layers\" is missing"},
    {"llama", "num_hidden_layers", "0", "\"num_hidden_layers\" is 0"},
    {"llama", "vocab_size", "", "\"vocab_size\" is missing"},
    {"llama", "vocab_size", "true", "\"vocab_size\" is true; it must be an integer"},
    {"llama", "intermediate_size", "", "\"intermediate_size\" is missing"},
    {"llama", "num_attention_heads", "0", "\"num_attention_heads\" is 0"},
    {"llama", "num_key_value_heads", "0", "\"num_key_value_heads\" is 0"},
    {"llama", "num_key_value_heads", "4",
     "\"num_key_value_heads\" is 4; it must divide num_attention_heads, which is 6"},
    {"llama", "head_dim", "9", "\"head_dim\" is 9; rope rotates pairs"},
    {"llama", "head_dim", "0", "\"head_dim\" is 0"},
    {"llama", "rms_norm_eps", "\"small\"", "\"rms_norm_eps\" is \"small\"; it must be a number"},
    {"llama", "rms_norm_eps", "-1e-6", "\"rms_norm_eps\" is -1e-06; it must be between 0 and 1"},
    {"llama", "rope_theta", "0", "\"rope_theta\" is 0; it must be between 1 and"},
    {"llama", "rope_scaling", "[]", "\"rope_scaling\" is []; it must be an object"},
    {"llama", "rope_scaling", "{\"rope_type\":\"yarn\",\"factor\":4.0}",
     "\"rope_scaling.original_max_position_embeddings\" is missing"},
    {"llama", "rope_scaling",
     "{\"rope_type\":\"yarn\",\"factor\":4.0,\"original_max_position_embeddings\":64,\"beta_slow\":33}",
     "\"rope_scaling.beta_fast\" is 32; it must not be below beta_slow, which is 33"},
    {"llama", "rope_scaling", "{\"rope_type\":\"dynamic\",\"factor\":4.0}",
     "\"rope_scaling.rope_type\" is \"dynamic\"; supported are default, llama3 and yarn"},
    {"llama", "rope_scaling", "{\"type\":\"linear\",\"factor\":4.0}", "\"rope_scaling.type\" is \"linear\""},
    {"llama", "rope_scaling", "{\"factor\":4.0}", "\"rope_scaling.rope_type\" is missing"},
    {"llama", "rope_scaling", "{\"rope_type\":\"llama3\",\"factor\":8,\"low_freq_factor\":1,\"high_freq_factor\":4}",
     "\"rope_scaling.original_max_position_embeddings\" is missing"},
    {"llama", "rope_scaling",
     "{\"rope_type\":\"llama3\",\"factor\":8,\"low_freq_factor\":4,\"high_freq_factor\":4,\"original_max_position_"
     "embeddings\":256}",
     "\"rope_scaling.high_freq_factor\" is 4; it must be above low_freq_factor, which is 4"},
    {"llama", "partial_rotary_factor", "0.5", "\"partial_rotary_factor\" is not 1"},
    {"llama", "hidden_act", "\"gelu\"", "\"hidden_act\" is \"gelu\"; supported is silu"},
    {"llama", "attention_bias", "true", "\"attention_bias\" is true"},
    {"llama", "attention_bias", "1", "\"attention_bias\" is 1; it must be true or false"},
    {"llama", "mlp_bias", "true", "\"mlp_bias\" is true"},
    {"llama", "tie_word_embeddings", "\"no\"", "\"tie_word_embeddings\" is \"no\"; it must be true or false"},
    {"llama", "eos_token_id", "333", "\"eos_token_id\" is 333; it must be between 0 and 332"},
    {"llama", "eos_token_id", "[1, \"two\"]", "\"eos_token_id\" is \"two\"; it must be an integer"},
    {"llama", "bos_token_id", "-1", "\"bos_token_id\" is -1"},
    {"llama", "layer_types", "[\"full_attention\", \"sliding_attention\"]",
     "\"layer_types\" holds \"sliding_attention\""},
    {"llama", "quantization_config", "{\"quant_method\":\"gptq\"}", "is \"gptq\"; weights can be read as fp8"},
    {"llama", "quantization_config", "{\"quant_method\":\"fp8\",\"weight_block_size\":[64,64]}", "is not [128, 128]"},
    {"llama", "architectures", "[\"FalconForCausalLM\"]",
     "but FalconForCausalLM; supported are mixtral (MixtralForCausalLM), qwen3_moe"},
    {"llama", "architectures", "[]", "names no model that is supported, but nothing"},
    {"llama", "architectures", "\"LlamaForCausalLM\"", "it must be an array of strings"},
    {"llama", "architectures", "", "\"architectures\" is missing, and so is \"model_type\"; supported are mixtral"},
    {"mixtral", "num_local_experts", "", "\"num_local_experts\" is missing"},
    {"mixtral", "num_local_experts", "0", "\"num_local_experts\" is 0"},
    {"mixtral", "num_experts_per_tok", "6", "\"num_experts_per_tok\" is 6; it must be between 1 and 5"},
    {"mixtral", "num_experts_per_tok", "0", "\"num_experts_per_tok\" is 0"},
    {"mixtral", "sliding_window", "0", "\"sliding_window\" is 0; it must be between 1"},
    {"gpt_oss", "layer_types", "[\"full_attention\"]", "\"layer_types\" has 1 entries; num_hidden_layers is 3"},
    {"gpt_oss", "rope_scaling", "", "\"rope_scaling\" is missing or not yarn"},
    {"gpt_oss", "intermediate_size", "100", "\"intermediate_size\" is 100; it must be a multiple of 32"},
    {"deepseek_v2", "n_group", "3", "\"n_group\" is 3; it must divide n_routed_experts, which is 8"},
    {"deepseek_v2", "topk_method", "\"noaux_tc\"", "\"topk_method\" is \"noaux_tc\"; supported are greedy"},
    {"deepseek_v3", "n_group", "8", "a group must have at least 2 of the 8 experts"},
    {"deepseek_v3", "topk_group", "1", "\"topk_group\" is 1; so many groups of 2 experts hold fewer than the 3"},
    {"deepseek_v3", "scoring_func", "\"softmax\"", "\"scoring_func\" is not sigmoid"},
    {"deepseek_v3", "kv_lora_rank", "", "\"kv_lora_rank\" is missing"},
    {"deepseek_v3", "qk_rope_head_dim", "5", "\"qk_rope_head_dim\" is 5; it must be even"},
    {"deepseek_v3", "first_k_dense_replace", "3", "leaves no layer with experts"},
    {"olmoe", "clip_qkv", "0", "\"clip_qkv\" is 0"},
    {"qwen3", "num_key_value_heads", "", "\"num_key_value_heads\" is 32; it must divide"},
    {"qwen3_moe", "num_experts", "", "\"num_experts\" is missing"},
    {"qwen3_moe", "num_experts", "-1", "\"num_experts\" is -1"},
    {"qwen3_moe", "num_experts_per_tok", "8", "\"num_experts_per_tok\" is 8; it must be between 1 and 7"},
    {"qwen3_moe", "moe_intermediate_size", "", "\"moe_intermediate_size\" is missing"},
    {"qwen3_moe", "decoder_sparse_step", "0", "\"decoder_sparse_step\" is 0"},
    {"qwen3_moe", "mlp_only_layers", "[3]", "\"mlp_only_layers\" is 3; it must be between 0 and 2"},
    {"qwen3_moe", "mlp_only_layers", "1", "\"mlp_only_layers\" is 1; it must be an array of integers"},
    {"qwen3_moe", "intermediate_size", "", "\"intermediate_size\" is missing"},
    {"qwen3_moe", "norm_topk_prob", "\"yes\"", "\"norm_topk_prob\" is \"yes\""},
};

}  // namespace

TEST_CASE("each fault of a configuration has its sentence") {
    for (const Fault& fault : kFaults) {
        INFO(fault.family << ": " << fault.key << " = " << fault.value);
        ConfigKeys keys = sample_config(fault.family);
        if (*fault.value == '\0')
            keys.erase(fault.key);
        else
            keys[fault.key] = fault.value;
        const std::string sentence = sentence_of([&] { plan_of(keys); });
        CHECK_THAT(sentence,
                   Catch::StartsWith("some/config.json: ") && Catch::Contains(fault.says) && Catch::EndsWith("."));
    }
}

TEST_CASE("faults that need two keys") {
    ConfigKeys type_only = sample_config("llama");
    type_only.erase("architectures");
    type_only["model_type"] = "\"falcon\"";
    CHECK_THAT(sentence_of([&] { plan_of(type_only); }),
               Catch::Contains("\"model_type\" is \"falcon\", which is not supported"));
    ConfigKeys giant = sample_config("mixtral");
    giant["num_local_experts"] = "65536";
    giant["num_hidden_layers"] = "4096";
    CHECK_THAT(sentence_of([&] { plan_of(giant); }), Catch::Contains("make a model of"));
}

TEST_CASE("text that is not a JSON object, or says a thing twice") {
    const auto sentence = [](const std::string& config, const std::string& generation) {
        return sentence_of([&] { plan_model(ConfigText{"c.json", config, "g.json", generation}); });
    };
    const std::string good = test::to_json(sample_config("llama"));
    CHECK_THAT(sentence("", ""), Catch::Contains("c.json is not valid JSON"));
    CHECK_THAT(sentence("{\"a\": ", ""), Catch::Contains("c.json is not valid JSON"));
    CHECK_THAT(sentence("[1, 2]", ""), Catch::Contains("c.json does not hold a JSON object"));
    CHECK_THAT(sentence("{\"vocab_size\": 1, \"vocab_size\": 2}", ""),
               Catch::Contains("the key \"vocab_size\" appears twice"));
    CHECK_THAT(sentence(std::string(200000, '['), ""), Catch::Contains("c.json is not valid JSON"));
    CHECK_THAT(sentence("{\"a\": \"\xff\xfe\"}", ""), Catch::Contains("c.json is not valid JSON"));
    CHECK_THAT(sentence(good, "{"), Catch::Contains("g.json is not valid JSON"));
    CHECK_THAT(sentence(good, "{\"temperature\": \"hot\"}"), Catch::Contains("g.json: \"temperature\" is \"hot\""));
    CHECK_THAT(sentence(good, "{\"top_p\": 1.5}"), Catch::Contains("g.json: \"top_p\" is 1.5"));
    CHECK_THAT(sentence(good, "{\"eos_token_id\": [1, 333]}"), Catch::Contains("g.json: \"eos_token_id\" is 333"));
}

TEST_CASE("a damaged configuration is an Error or a plan, never anything else") {
    std::mt19937 random(11);
    int errors = 0;
    for (const Family& family : families()) {
        const std::string good = test::to_json(sample_config(family.name));
        for (int trial = 0; trial < 500; ++trial) {
            std::string bad = good;
            const std::size_t at = std::uniform_int_distribution<std::size_t>(0, bad.size() - 1)(random);
            const int how = std::uniform_int_distribution<int>(0, 2)(random);
            if (how == 0) bad[at] = static_cast<char>(random() & 0xff);
            if (how == 1) bad.erase(at, 1 + random() % 9);
            if (how == 2) bad.resize(at);
            try {
                tensor_list(plan_model(ConfigText{"c.json", bad, "", ""}));
            } catch (const Error& error) {
                CHECK(error.kind() == ErrorKind::input);
                ++errors;
            }
        }
    }
    CHECK(errors > 1000);
}

TEST_CASE("a folder without a model, a model that is not there") {
    const test::TempDir folder;
    CHECK_THAT(sentence_of([&] { plan_model(folder.path()); }), Catch::Contains("holds no config.json"));
    CHECK_THAT(sentence_of([&] { plan_model(folder.path() / "nowhere"); }), Catch::Contains("does not exist"));
    test::write_text(folder.path() / "config.json", test::to_json(sample_config("llama")));
    test::write_text(folder.path() / "generation_config.json", "{\"top_k\": 5}");
    CHECK(plan_model(folder.path()).generation.top_k == 5);
    CHECK(plan_model(folder.path() / "config.json").generation.top_k == 5);
    std::filesystem::rename(folder.path() / "config.json", folder.path() / "other.json");
    CHECK_FALSE(plan_model(folder.path() / "other.json").generation.top_k.has_value());
}
