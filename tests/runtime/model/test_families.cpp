// The list of families: each turns a configuration into the plan that its authors' code would build.
#include <catch2/catch.hpp>
#include <set>

#include "runtime/model/families.hpp"
#include "runtime/model/weight_plan.hpp"
#include "tests/runtime/model/model_samples.hpp"

using namespace argosy;
using test::ConfigKeys;
using test::plan_of;
using test::sample_config;

TEST_CASE("every family in the list plans its sample, and names each of its tensors once") {
    REQUIRE(families().size() == 8);
    for (const Family& family : families()) {
        INFO(family.name);
        const ModelPlan plan = plan_of(sample_config(family.name));
        CHECK(plan.family == family.name);
        CHECK(plan.layers.size() == 3);
        std::set<std::string> names;
        for (const TensorSpec& tensor : tensor_list(plan)) {
            CHECK(names.insert(tensor.name + (tensor.experts > 0 ? std::to_string(tensor.expert) : "")).second);
            CHECK(tensor.name.find('{') == std::string::npos);
        }
        CHECK_THAT(describe(plan), Catch::Contains(std::string(family.name)));
    }
}

TEST_CASE("a family is found by model_type when architectures is absent") {
    ConfigKeys keys = sample_config("qwen3");
    keys.erase("architectures");
    keys["model_type"] = "\"qwen3\"";
    CHECK(plan_of(keys).family == "qwen3");
}

TEST_CASE("llama: the plan and the names of a layer") {
    ConfigKeys keys = sample_config("llama");
    keys["rope_scaling"] =
        R"({"rope_type":"llama3","factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,"original_max_position_embeddings":256})";
    keys["torch_dtype"] = "\"bfloat16\"";
    const ModelPlan plan = plan_of(keys);
    ModelPlan want;
    want.family = "llama";
    want.hidden = 60;
    want.layer_count = 3;
    want.vocab_size = 333;
    want.max_positions = 512;
    want.rms_eps = 1e-5f;
    want.attention = {.q_heads = 6,
                      .kv_heads = 3,
                      .head_dim = 10,
                      .softmax_scale = 0.316227766f,
                      .rope = {10000.0, 10, {}, {RopeScalingKind::llama3, 8.0, 1.0, 4.0, 256}}};
    want.layers.assign(3, {LayerKind::dense, 43});
    want.dtype = DType::bf16;
    want.bos_id = 1;
    want.eos_ids = {2};
    CHECK(describe(plan) == describe(want));
    CHECK(plan == want);

    const std::vector<TensorSpec> list = tensor_list(plan);
    CHECK(list.size() == 1 + 3 * 9 + 2);
    CHECK(list[0] == TensorSpec{TensorRole::embedding, -1, -1, "model.embed_tokens.weight", {333, 60}});
    CHECK(list[10] == TensorSpec{TensorRole::attn_norm, 1, -1, "model.layers.1.input_layernorm.weight", {60}});
    CHECK(list[12] == TensorSpec{TensorRole::k_proj, 1, -1, "model.layers.1.self_attn.k_proj.weight", {30, 60}});
    CHECK(list[14] == TensorSpec{TensorRole::o_proj, 1, -1, "model.layers.1.self_attn.o_proj.weight", {60, 60}});
    CHECK(list[18] == TensorSpec{TensorRole::down_proj, 1, -1, "model.layers.1.mlp.down_proj.weight", {60, 43}});
    CHECK(list.back() == TensorSpec{TensorRole::lm_head, -1, -1, "lm_head.weight", {333, 60}});
}

TEST_CASE("olmoe: norms over all heads, limited q, k and v, weights as the softmax gives them") {
    ConfigKeys keys = sample_config("olmoe");
    const ModelPlan plan = plan_of(keys);
    CHECK(plan.attention.qk_norm == QkNorm::all_heads);
    CHECK(plan.attention.clip_qkv == 8.0F);
    CHECK(plan.moe == MoePlan{5, 2, 43, {}});
    CHECK(plan.eos_ids.empty());  // the family's 50279 is no token of so small a vocabulary
    CHECK(shape_of(plan, TensorRole::q_norm, 0) == std::vector<std::int64_t>{60});
    CHECK(shape_of(plan, TensorRole::k_norm, 0) == std::vector<std::int64_t>{30});
    keys["clip_qkv"] = "null";
    keys["vocab_size"] = "50304";
    CHECK(plan_of(keys).attention.clip_qkv == 0.0F);
    CHECK(plan_of(keys).eos_ids == std::vector<int>{50279});
}

TEST_CASE("gpt_oss: windows in turn, sinks, biases, fused experts cut between groups of 32") {
    ConfigKeys keys = sample_config("gpt_oss");
    const ModelPlan plan = plan_of(keys);
    CHECK(plan.attention.sinks);
    CHECK(plan.attention.qkv_bias);
    CHECK(plan.attention.o_bias);
    CHECK(plan.attention.rope.amplitude == Approx(1.3465735902799727));
    CHECK(plan.moe == MoePlan{.experts = 5,
                              .top_k = 2,
                              .intermediate = 96,
                              .routing = {.scoring = RouterScoring::chosen_softmax},
                              .fused = true,
                              .biases = true,
                              .leaf_unit = 32,
                              .swiglu_limit = 7});
    CHECK(plan.layers ==
          std::vector<LayerPlan>{{LayerKind::moe, 96, 20}, {LayerKind::moe, 96, 0}, {LayerKind::moe, 96, 20}});
    const std::vector<TensorSpec> list = tensor_list(plan);
    CHECK(list[13] == TensorSpec{TensorRole::router_bias, 0, -1, "model.layers.0.mlp.router.bias", {5}});
    CHECK(list[18] ==
          TensorSpec{TensorRole::gate_up_proj, 0, 1, "model.layers.0.mlp.experts.gate_up_proj", {192, 60}, 5});
    keys["layer_types"] = R"(["full_attention","full_attention","sliding_attention"])";
    CHECK(plan_of(keys).layers[2].window == 20);
    CHECK(plan_of(keys).layers[0].window == 0);
}

TEST_CASE("windows of other families: every layer's, or those from max_window_layers on, or none that could matter") {
    const auto windows = [](const ModelPlan& plan) {
        std::vector<int> list;
        for (const LayerPlan& layer : plan.layers) list.push_back(layer.window);
        return list;
    };
    ConfigKeys mixtral = sample_config("mixtral");
    mixtral["sliding_window"] = "511";
    CHECK(windows(plan_of(mixtral)) == std::vector<int>{511, 511, 511});
    mixtral["sliding_window"] = "512";
    CHECK(windows(plan_of(mixtral)) == std::vector<int>{0, 0, 0});
    mixtral["sliding_window"] = "null";
    CHECK(windows(plan_of(mixtral)) == std::vector<int>{0, 0, 0});
    ConfigKeys qwen3 = sample_config("qwen3");
    qwen3["use_sliding_window"] = "true";
    qwen3["sliding_window"] = "64";
    qwen3["max_window_layers"] = "2";
    CHECK(windows(plan_of(qwen3)) == std::vector<int>{0, 0, 64});
    qwen3["layer_types"] = R"(["sliding_attention","full_attention","full_attention"])";
    CHECK(windows(plan_of(qwen3)) == std::vector<int>{64, 0, 0});
    ConfigKeys moe = sample_config("qwen3_moe");
    moe["use_sliding_window"] = "true";
    moe["sliding_window"] = "64";
    CHECK(windows(plan_of(moe)) == std::vector<int>{64, 64, 64});
    moe["use_sliding_window"] = "false";
    CHECK(windows(plan_of(moe)) == std::vector<int>{0, 0, 0});
}

TEST_CASE("deepseek: latents, leading dense layers, shared experts, groups, and the scores that YaRN stretches") {
    const ModelPlan v2 = plan_of(sample_config("deepseek_v2"));
    CHECK(v2.attention.latent == LatentPlan{24, 0, 10, 14});
    CHECK(v2.attention.head_dim == 16);
    CHECK(v2.attention.cached_dim() == 30);
    CHECK(v2.attention.output_dim() == 14);
    CHECK(v2.attention.rope.rotary_dim == 6);
    CHECK(v2.attention.rope.amplitude == 1.0);
    const double magnitude = yarn_magnitude(40, 0.707);
    CHECK(v2.attention.softmax_scale == Approx(magnitude * magnitude / 4));
    CHECK(v2.moe == MoePlan{.experts = 8,
                            .top_k = 3,
                            .intermediate = 22,
                            .routing = {.groups = 4, .groups_kept = 2, .scale = 16},
                            .shared_intermediate = 44});
    CHECK(v2.layers == std::vector<LayerPlan>{{LayerKind::dense, 43}, {LayerKind::moe, 22}, {LayerKind::moe, 22}});
    CHECK(kv_bytes_per_token(v2, DType::bf16) == 3 * 30 * 2);
    const ModelPlan v3 = plan_of(sample_config("deepseek_v3"));
    CHECK(v3.attention.latent == LatentPlan{24, 18, 10, 14});
    CHECK(v3.moe.routing == RoutingRule{RouterScoring::sigmoid, true, 4, 2, 2, 16});
    CHECK(v3.moe.choice_bias);
    CHECK(shape_of(v3, TensorRole::kv_b_proj, 0) == std::vector<std::int64_t>{6 * 24, 24});
    ConfigKeys greedy = sample_config("deepseek_v2");
    greedy["topk_method"] = "\"greedy\"";
    greedy["norm_topk_prob"] = "true";
    CHECK(plan_of(greedy).moe.routing == RoutingRule{.renormalise = true});
}

TEST_CASE("mixtral: w1 is gate, w3 is up, w2 is down; weights are always renormalised") {
    const ModelPlan plan = plan_of(sample_config("mixtral"));
    CHECK(plan.moe == MoePlan{5, 2, 43, {.renormalise = true}});
    CHECK(plan.layers == std::vector<LayerPlan>(3, {LayerKind::moe, 43}));
    const std::vector<TensorSpec> list = tensor_list(plan);
    CHECK(list.size() == 1 + 3 * (7 + 15) + 2);
    CHECK(list[7] == TensorSpec{TensorRole::router, 0, -1, "model.layers.0.block_sparse_moe.gate.weight", {5, 60}});
    CHECK(list[11] ==
          TensorSpec{TensorRole::gate_proj, 0, 1, "model.layers.0.block_sparse_moe.experts.1.w1.weight", {43, 60}});
    CHECK(list[12] ==
          TensorSpec{TensorRole::up_proj, 0, 1, "model.layers.0.block_sparse_moe.experts.1.w3.weight", {43, 60}});
    CHECK(list[13] ==
          TensorSpec{TensorRole::down_proj, 0, 1, "model.layers.0.block_sparse_moe.experts.1.w2.weight", {60, 43}});
}

TEST_CASE("qwen3_moe: which layers are mixtures") {
    ConfigKeys keys = sample_config("qwen3_moe");
    const ModelPlan plan = plan_of(keys);
    CHECK(plan.attention.qk_norm == QkNorm::per_head);
    CHECK(plan.attention.head_dim == 14);
    CHECK(plan.moe == MoePlan{7, 3, 22, {.renormalise = true}});
    CHECK(plan.layers == std::vector<LayerPlan>{{LayerKind::moe, 22}, {LayerKind::dense, 43}, {LayerKind::moe, 22}});
    CHECK(moe_layer_count(plan) == 2);

    keys["num_hidden_layers"] = "6";
    keys["decoder_sparse_step"] = "2";
    keys["mlp_only_layers"] = "[3]";
    const ModelPlan stepped = plan_of(keys);
    const LayerPlan dense{LayerKind::dense, 43}, moe{LayerKind::moe, 22};
    CHECK(stepped.layers == std::vector<LayerPlan>{dense, moe, dense, dense, dense, moe});

    keys["num_experts"] = "0";  // then top_k and the experts' width do not matter
    keys.erase("num_experts_per_tok");
    const ModelPlan none = plan_of(keys);
    CHECK(none.layers == std::vector<LayerPlan>(6, dense));
    CHECK(none.moe == MoePlan{});
}

TEST_CASE("keys that may be left out get the defaults of the authors' configuration classes") {
    const auto without = [](std::string_view family, std::initializer_list<const char*> names) {
        ConfigKeys keys = sample_config(family);
        keys["num_attention_heads"] = "12";  // so that a default of 4, 8 or 32 kv heads can be told from 12
        keys["hidden_size"] = "96";
        for (const char* name : names) keys.erase(name);
        return keys;
    };
    const auto keys_off = {"rms_norm_eps", "rope_theta", "max_position_embeddings", "head_dim", "norm_topk_prob"};
    const ModelPlan llama =
        plan_of(without("llama", {"rms_norm_eps", "rope_theta", "max_position_embeddings", "num_key_value_heads"}));
    CHECK(llama.rms_eps == 1e-6f);
    CHECK(llama.attention.rope.theta == 10000.0);
    CHECK(llama.max_positions == 2048);
    CHECK(llama.attention.kv_heads == 12);
    CHECK(llama.attention.head_dim == 8);
    CHECK_FALSE(llama.tie_embeddings);

    const ModelPlan mixtral = plan_of(without("mixtral", keys_off));
    CHECK(mixtral.rms_eps == 1e-5f);
    CHECK(mixtral.attention.rope.theta == 1e6);
    CHECK(mixtral.max_positions == 131072);

    ConfigKeys moe_keys = without("qwen3_moe", keys_off);
    moe_keys.erase("num_key_value_heads");
    const ModelPlan moe = plan_of(moe_keys);
    CHECK(moe.attention.kv_heads == 4);
    CHECK(moe.attention.head_dim == 8);
    CHECK_FALSE(moe.moe.routing.renormalise);
    CHECK(moe.eos_ids.empty());
    CHECK_FALSE(moe.bos_id.has_value());

    const ModelPlan qwen3 = plan_of(without("qwen3", keys_off));
    CHECK(qwen3.attention.head_dim == 128);
    CHECK(qwen3.max_positions == 32768);
}

TEST_CASE("null is not the same as absent: no bos, no eos, as many kv heads as q heads") {
    ConfigKeys keys = sample_config("llama");
    keys["bos_token_id"] = keys["eos_token_id"] = keys["rope_scaling"] = keys["head_dim"] = "null";
    const ModelPlan plan = plan_of(keys);
    CHECK_FALSE(plan.bos_id.has_value());
    CHECK(plan.eos_ids.empty());
    ConfigKeys mixtral = sample_config("mixtral");
    mixtral["num_key_value_heads"] = mixtral["sliding_window"] = "null";
    CHECK(plan_of(mixtral).attention.kv_heads == 6);
}

TEST_CASE("end tokens of both files are joined, each once; generation defaults are taken as written") {
    ConfigKeys keys = sample_config("qwen3");
    keys["eos_token_id"] = "[5, 9]";
    const ModelPlan plan =
        plan_of(keys, R"({"eos_token_id": [9, 3], "do_sample": true, "temperature": 0.6, "top_p": 0.95, "top_k": 20,
                                             "min_p": 0, "repetition_penalty": 1.05, "max_new_tokens": 77, "transformers_version": "4"})");
    CHECK(plan.eos_ids == std::vector<int>{5, 9, 3});
    GenerationConfig want{true, 0.6, 0.95, 0.0, 20, 1.05, 77};
    CHECK(plan.generation == want);
    CHECK(plan_of(keys).generation == GenerationConfig{});
}

TEST_CASE("transformers 5 writes theta and scaling as rope_parameters and the format as dtype") {
    ConfigKeys keys = sample_config("llama");
    keys.erase("rope_theta");
    keys["dtype"] = "\"float16\"";
    keys["rope_parameters"] = R"({"rope_theta": 777.5, "rope_type": "default"})";
    CHECK(plan_of(keys).attention.rope == RopePlan{777.5, 10, RopePairing::half_split, {}});
    CHECK(plan_of(keys).dtype == DType::f16);
    keys["rope_parameters"] =
        R"({"rope_theta": 777.5, "rope_type": "llama3", "factor": 4, "low_freq_factor": 1, "high_freq_factor": 2,
                                  "original_max_position_embeddings": 99})";
    CHECK(plan_of(keys).attention.rope ==
          RopePlan{777.5, 10, RopePairing::half_split, {RopeScalingKind::llama3, 4.0, 1.0, 2.0, 99}});
}

TEST_CASE("tied embeddings have no head tensor, biases of q, k and v are listed when a plan has them") {
    ConfigKeys keys = sample_config("qwen3");
    keys["tie_word_embeddings"] = "true";
    const std::vector<TensorSpec> list = tensor_list(plan_of(keys));
    CHECK(list.back().role == TensorRole::final_norm);
    CHECK(shape_of(plan_of(keys), TensorRole::q_bias, 0) == std::vector<std::int64_t>{84});
    CHECK(shape_of(plan_of(keys), TensorRole::v_bias, 0) == std::vector<std::int64_t>{42});
}
