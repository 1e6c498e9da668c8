// Whatever is changed in a model of any family, the error names it: each tensor removed, renamed, reshaped, retyped;
// each key of config.json removed that has no default by its authors.
#include <algorithm>
#include <catch2/catch.hpp>
#include <set>

#include "runtime/model/checkpoint.hpp"
#include "tests/runtime/model/model_samples.hpp"

using namespace argosy;
using test::ConfigKeys;
using test::FileTensor;
using test::sentence_of;

namespace {

using Files = std::vector<FileTensor>;

// Tensors one behind the other, after one of them has changed.
Files packed(Files files) {
    std::int64_t at = 0;
    for (FileTensor& file : files) {
        std::int64_t bytes = file.format == "BF16" ? 2 : 8;
        for (const std::int64_t extent : file.shape) bytes *= extent;
        file.begin = at;
        file.end = at += bytes;
    }
    return files;
}

// Sorted by size of element, so that every tensor stays aligned.
Checkpoint repacked(Files files) {
    std::stable_sort(files.begin(), files.end(),
                     [](const FileTensor& a, const FileTensor& b) { return a.format != "BF16" && b.format == "BF16"; });
    return test::checkpoint_of(packed(std::move(files)));
}

void check_mutations(std::string_view family) {
    const ModelPlan plan = test::plan_of(test::sample_config(family));
    const std::vector<TensorSpec> wanted = tensor_list(plan);
    const std::vector<TensorSpec> spare = spare_tensors(plan);
    CHECK(match_tensors(wanted, repacked(test::layout_of(wanted, "BF16", 2)), spare).size() == wanted.size());
    std::vector<TensorSpec> all = wanted;
    all.insert(all.end(), spare.begin(), spare.end());
    const Files files = test::layout_of(all, "BF16", 2);
    REQUIRE(match_tensors(wanted, repacked(files), spare).size() == wanted.size());
    const auto says = [&](const Files& changed, const std::string& name) {
        const std::string sentence = sentence_of([&] { match_tensors(wanted, repacked(changed), spare); });
        CHECK_THAT(sentence, Catch::Contains(name));
    };
    for (std::size_t i = 0; i < files.size(); ++i) {
        const std::string& name = files[i].name;
        INFO(family << ": " << name);
        Files removed = files;
        removed.erase(removed.begin() + static_cast<std::ptrdiff_t>(i));
        says(removed, name);
        Files renamed = files;
        renamed[i].name += "_";
        says(renamed, name);
        Files reshaped = files;
        reshaped[i].shape.push_back(1);
        says(reshaped, name);
        Files grown = files;
        ++grown[i].shape.back();
        says(grown, name);
        Files retyped = files;
        retyped[i].format = "I64";
        says(retyped, name);
    }
}

// Keys of the samples that a configuration class of the authors, or this program where they have none, has a default
// for.
const std::set<std::string> kDefaults = {"rms_norm_eps",
                                         "rope_theta",
                                         "hidden_act",
                                         "max_position_embeddings",
                                         "num_key_value_heads",
                                         "head_dim",
                                         "norm_topk_prob",
                                         "mlp_only_layers",
                                         "clip_qkv",
                                         "sliding_window",
                                         "q_lora_rank",
                                         "n_shared_experts",
                                         "first_k_dense_replace",
                                         "topk_method",
                                         "n_group",
                                         "topk_group",
                                         "routed_scaling_factor"};

// Whether the family's plan needs the key.
bool has_default(std::string_view family, const std::string& key) {
    if (key == "rope_scaling") return family != "gpt_oss";  // others are made without
    return kDefaults.contains(key);
}

}  // namespace

TEST_CASE("a tensor that is removed, renamed, reshaped or retyped is named, in every family") {
    for (const Family& family : families()) check_mutations(family.name);
}

TEST_CASE("a key of config.json that is missing and has no default is named, in every family") {
    for (const Family& family : families()) {
        const ConfigKeys keys = test::sample_config(family.name);
        for (const auto& [key, _] : keys) {
            INFO(family.name << ": " << key);
            ConfigKeys without = keys;
            without.erase(key);
            if (has_default(family.name, key)) {
                try {
                    test::plan_of(without);
                } catch (const Error& error) {  // the default may not go together with the other keys
                    CHECK_THAT(error.what(), Catch::StartsWith("some/config.json: \""));
                }
                continue;
            }
            CHECK_THAT(sentence_of([&] { test::plan_of(without); }), Catch::Contains("\"" + key + "\""));
        }
    }
}
