// Same, for every family: a tiny model of each gives the same bytes in every layout, step size, thread count, numerics
// and instruction set.
#include <catch2/catch.hpp>
#include <random>

#include "runtime/model/families.hpp"
#include "tests/launch/run_program.hpp"
#include "tests/launch/sameness.hpp"

using namespace argosy::test;
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

// Prompts of random tokens, some with a common beginning, greedy and sampled.
std::string token_requests(int count) {
    std::mt19937 random(20261201);
    const auto below = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
    std::vector<int> common;
    for (int i = 0; i < 40; ++i) common.push_back(3 + below(500));
    std::string lines;
    for (int i = 0; i < count; ++i) {
        std::vector<int> prompt;
        if (i % 3 == 0) prompt.assign(common.begin(), common.begin() + 20 + below(20));
        for (int j = 0; j <= below(60); ++j) prompt.push_back(3 + below(500));
        json body = {{"model", "tiny"},    {"prompt", prompt},         {"max_tokens", 1 + below(40)},
                     {"ignore_eos", true}, {"return_token_ids", true}, {"logprobs", 2},
                     {"temperature", 0}};
        if (i % 2 == 1) body.update({{"temperature", 0.9}, {"seed", i}, {"top_p", 0.95}});
        if (i % 7 == 5) body["n"] = 2;
        lines += json{{"custom_id", "tokens-" + std::to_string(i)},
                      {"method", "POST"},
                      {"url", "/v1/completions"},
                      {"body", body}}
                     .dump() +
                 "\n";
    }
    return lines;
}

const auto kRan = above("steps", 0);

std::vector<Way> ways_of(bool moe, const std::string& numerics) {
    const auto with = [&](const std::string& options) { return "--numerics " + numerics + " " + options; };
    std::vector<Way> ways{{with("--tp 2" + std::string(moe ? " --etp 2" : "")), 2, above("leaf_sums", 0), {}},
                          {with("--tp 4"), 4, above("leaf_sums", 0), {}},
                          {with("--max-rows 7"), 0, equals("rows_max", 7), {}},
                          {with("--threads 2"), 0, equals("threads", 2), {}},
                          {with("--isa avx2"), 0, equals("kernels_isa", 2), {}},
                          {with("--isa portable"), 0, equals("kernels_isa", 1), {}}};
    if (moe) ways.push_back({with("--dp 2 --tp 2 --etp 2"), 4, above("exchange_rows", 0), {}});
    return ways;
}

void check_family(const std::string& name) {
    if (!have_shared("models-tiny/" + name, "sameness of " + name)) return;
    const fs::path model = *shared_dir() / "models-tiny" / name;
    const bool moe = argosy::plan_model(model).moe.experts > 0;
    for (const std::string numerics : {"exact", "bf16", "int8"}) {
        check_all_same(token_requests(40), {"--numerics " + numerics, 0, kRan, {}}, ways_of(moe, numerics), model);
        check_all_same(token_requests(6), {"--numerics " + numerics, 0, kRan, {}},
                       {{"--backend reference --numerics " + numerics, 0, equals("kernels_isa", 0), {}}}, model);
    }
}

}  // namespace

TEST_CASE("mixtral: the same bytes in all ways") { check_family("mixtral"); }
TEST_CASE("qwen3_moe in nvfp4: the same bytes in all ways") { check_family("qwen3_moe_nvfp4"); }
TEST_CASE("olmoe: the same bytes in all ways") { check_family("olmoe"); }
TEST_CASE("deepseek v2: the same bytes in all ways") { check_family("deepseek_v2"); }
TEST_CASE("deepseek v3 in fp8: the same bytes in all ways") { check_family("deepseek_v3_fp8"); }
TEST_CASE("gpt-oss: the same bytes in all ways") { check_family("gpt_oss"); }
TEST_CASE("qwen3 dense: the same bytes in all ways") { check_family("qwen3_dense"); }
TEST_CASE("llama 3.1: the same bytes in all ways") { check_family("llama31"); }
