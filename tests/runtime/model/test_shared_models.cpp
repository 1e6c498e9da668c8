// Every model of the reference data that belongs to a family here: planned, its tensors found in its files, figures as
// published.
#include <catch2/catch.hpp>
#include <cmath>

#include "runtime/model/checkpoint.hpp"
#include "runtime/model/inspect.hpp"
#include "runtime/model/weight_plan.hpp"
#include "tests/runtime/model/model_samples.hpp"
#include "tests/support/shared_data.hpp"

using namespace argosy;
namespace fs = std::filesystem;

namespace {

// Plans a model, matches its tensors, and accounts for every byte of its files.
void check_model(const fs::path& folder, std::string_view family) {
    INFO(folder.string());
    const ModelPlan plan = plan_model(folder);
    CHECK(plan.family == family);
    const Checkpoint checkpoint = open_checkpoint(folder);
    const std::vector<StoredTensor> stored = match_tensors(tensor_list(plan), checkpoint);
    std::int64_t elements = 0, bytes = 0;
    for (const StoredTensor& tensor : stored) {
        elements += tensor.bytes / static_cast<std::int64_t>(size_of(tensor.dtype));
        bytes += tensor.bytes;
    }
    for (const Checkpoint::File& file : checkpoint.files) bytes += file.header_bytes;
    CHECK(elements == count_parameters(plan).total);
    CHECK(bytes == total_bytes(checkpoint));
    WeightBytes held = weight_bytes(plan, stored, {});
    if (plan.tie_embeddings) held[WeightClass::head] = 0;
    for (const Checkpoint::File& file : checkpoint.files) bytes -= file.header_bytes;
    CHECK(held.total() == bytes);
    CHECK_THAT(inspect_text(plan, stored), Catch::Contains("as stored"));
}

}  // namespace

TEST_CASE("the tiny, raw and demo models match their plans to the byte") {
    const std::pair<const char*, const char*> models[] = {{"models-tiny/mixtral", "mixtral"},
                                                          {"models-tiny/qwen3_moe", "qwen3_moe"},
                                                          {"models-tiny/qwen3_moe_sharded", "qwen3_moe"},
                                                          {"models-tiny/olmoe", "olmoe"},
                                                          {"models-tiny/deepseek_v2", "deepseek_v2"},
                                                          {"models-tiny/deepseek_v2_grouped", "deepseek_v2"},
                                                          {"models-tiny/gpt_oss_bf16", "gpt_oss"},
                                                          {"models-tiny/qwen3_dense", "qwen3"},
                                                          {"models-tiny/llama31", "llama"},
                                                          {"models-raw/stories260K-hf", "llama"},
                                                          {"models-raw/stories260K-mixtral-8x2", "mixtral"},
                                                          {"models-raw/stories260K-mixtral-4x4", "mixtral"},
                                                          {"demo-model/demo", "qwen3_moe"}};
    for (const auto& [folder, family] : models) {
        if (!test::have_shared(folder, std::string("plan and tensors of ") + folder)) continue;
        check_model(*test::shared_dir() / folder, family);
    }
}

TEST_CASE("the demo model's plan: tied, two end tokens, greedy by default") {
    if (!test::have_shared("demo-model/demo", "the demo model's plan")) return;
    const ModelPlan plan = plan_model(*test::shared_dir() / "demo-model/demo");
    CHECK(plan.tie_embeddings);
    CHECK(plan.eos_ids == std::vector<int>{2045, 2047});
    CHECK_FALSE(plan.bos_id.has_value());
    CHECK(plan.generation.do_sample == false);
    CHECK(plan.generation.max_new_tokens == 256);
    CHECK(count_parameters(plan).total == 2485952);
}

TEST_CASE("the tiny llama has llama3 scaling, the tiny qwen3 q/k norms and its own head size") {
    if (!test::have_shared("models-tiny/llama31", "details of the tiny models")) return;
    const ModelPlan llama = plan_model(*test::shared_dir() / "models-tiny/llama31");
    CHECK(llama.attention.rope ==
          RopePlan{500000.0, 16, RopePairing::half_split, {RopeScalingKind::llama3, 8.0, 1.0, 4.0, 256}});
    const ModelPlan qwen3 = plan_model(*test::shared_dir() / "models-tiny/qwen3_moe");
    CHECK(qwen3.attention.head_dim == 32);
    CHECK(qwen3.attention.qk_norm == QkNorm::per_head);
    CHECK(qwen3.moe == MoePlan{16, 4, 32, {.renormalise = true}});
}

TEST_CASE("a quantised checkpoint is recognised by its tensors, and a quantised config by its method") {
    if (!test::have_shared("models-tiny", "quantised models")) return;
    const fs::path packed = *test::shared_dir() / "models-tiny/qwen3_moe_nvfp4";
    const std::vector<TensorSpec> wanted = tensor_list(plan_model(packed));
    const std::vector<StoredTensor> stored = match_tensors(wanted, open_checkpoint(packed));
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        if (wanted[i].role != TensorRole::gate_proj) continue;
        CHECK(stored[i].dtype == DType::nvfp4);
        CHECK(stored[i].shape == wanted[i].shape);
        CHECK(stored[i].scales.has_value());
        CHECK(stored[i].matrix_scales.has_value());
    }
    CHECK(plan_model(*test::shared_dir() / "model-configs/Qwen3-30B-A3B-FP8.json").layer_count == 48);
}

TEST_CASE(
    "parameters of the released models are as published; every configuration of a family here has a plan and a text") {
    if (!test::have_shared("model-configs", "published parameter counts")) return;
    struct Published {
        const char* file;
        double total, active, within;  // billions, and how far rounding in the model card may lie
    };
    const Published models[] = {{"Mixtral-8x7B-v0.1", 46.7, 12.9, 0.05},
                                {"Mixtral-8x22B-v0.1", 141, 39, 0.5},
                                {"Qwen3-30B-A3B", 30.5, 3.3, 0.06},
                                {"Qwen3-235B-A22B", 235, 22, 0.5},
                                {"Qwen3-Coder-480B-A35B-Instruct", 480, 35, 0.6},
                                {"OLMoE-1B-7B-0924.assembled", 6.9, 1.3, 0.05},
                                {"gpt-oss-20b", 20.9, 3.6, 0.05},
                                {"gpt-oss-120b", 116.8, 5.1, 0.05},
                                {"DeepSeek-V2-Lite", 15.7, 2.4, 0.06},
                                {"DeepSeek-V3", 671, 37, 0.6},
                                {"Kimi-K2-Instruct", 1026, 32, 0.8},
                                {"Qwen3-8B", 8.2, 8.2, 0.05},
                                {"Qwen3-0.6B", 0.6, 0.6, 0.05},
                                {"Qwen3-32B", 32.8, 32.8, 0.05},
                                {"Llama-3.1-8B", 8.0, 8.0, 0.05},
                                {"Llama-3.1-70B", 70.6, 70.6, 0.05}};
    for (const Published& model : models) {
        INFO(model.file);
        const ModelPlan plan = plan_model(*test::shared_dir() / "model-configs" / (std::string(model.file) + ".json"));
        const ParameterCount count = count_parameters(plan);
        CHECK(std::abs(static_cast<double>(count.total) / 1e9 - model.total) <= model.within);
        CHECK(std::abs(static_cast<double>(count.active) / 1e9 - model.active) <= model.within);
        if (plan.family != "gpt_oss") CHECK(plan.dtype == DType::bf16);  // which does not say
        CHECK_THAT(inspect_text(plan, {2, 4, 0, 1}), Catch::Contains("on 8 ranks"));
    }
}

TEST_CASE("exact counts that can be worked out by hand") {
    if (!test::have_shared("model-configs", "exact parameter counts")) return;
    const auto plan = [](const char* file) { return plan_model(*test::shared_dir() / "model-configs" / file); };
    CHECK(count_parameters(plan("Llama-3.1-8B.json")).total == 8030261248);
    CHECK(count_parameters(plan("Mixtral-8x7B-v0.1.json")) == ParameterCount{46702792704, 12879925248});
    CHECK(count_parameters(plan("Qwen3-30B-A3B.json")).total == 30532122624);
    CHECK(kv_bytes_per_token(plan("Mixtral-8x7B-v0.1.json"), DType::bf16) == 131072);
    CHECK(kv_bytes_per_token(plan("Qwen3-235B-A22B.json"), DType::f32) == 2 * 94 * 4 * 128 * 4);
}
