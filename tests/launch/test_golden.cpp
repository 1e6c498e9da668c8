// Right: small models of every family, run through the whole program in several layouts, against the reference values
// of their authors' definition.
#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <iostream>

#include "runtime/forward/recorder.hpp"
#include "runtime/model/checkpoint.hpp"
#include "tests/launch/run_program.hpp"
#include "tests/support/shared_data.hpp"

using namespace argosy;
using namespace argosy::test;
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

constexpr double kTolerance = 2e-4;

struct Layout {
    int ranks;
    std::string options;
};

const std::vector<Layout> kMoeLayouts = {{0, ""},
                                         {2, "--tp 2"},
                                         {2, "--ep 2"},
                                         {2, "--dp 2"},
                                         {2, "--replicas 2"},
                                         {4, "--tp 4"},
                                         {4, "--dp 4"},
                                         {4, "--ep 4"},
                                         {4, "--tp 2 --dp 2"},
                                         {4, "--tp 4 --etp 2"},
                                         {2, "--tp 2 --etp 2"},
                                         {4, "--replicas 2 --tp 2"},
                                         {2, "--dp 2 --max-rows 5"}};  // prompts in chunks
const std::vector<Layout> kDenseLayouts = {{0, ""},       {2, "--tp 2"},       {2, "--dp 2"}, {2, "--replicas 2"},
                                           {4, "--tp 4"}, {4, "--tp 2 --dp 2"}};

// Runs the requests and returns the run directory's content through `look`.
void run_layout(const fs::path& model, const std::string& requests, const Layout& layout, const std::string& record,
                const std::function<void(const fs::path&)>& look) {
    INFO("layout: " << layout.ranks << " ranks " << layout.options);
    const TempDir temp;
    const std::string options =
        "--numerics exact --kv-dtype f32 " + (record.empty() ? "" : "--record " + record + " ") + layout.options;
    const ProgramResult result = run_program(run_call(temp.path(), model, requests, options, layout.ranks));
    INFO(result.err);
    REQUIRE(result.status == 0);
    look(temp.path() / "run");
}

std::vector<int> ids_of(const json& response) {
    return response.at("response").at("body").at("choices").at(0).at("token_ids").get<std::vector<int>>();
}

// An array of golden.safetensors.
template <class T>
std::vector<T> golden_array(const Checkpoint& checkpoint, const std::string& name) {
    for (const StoredTensor& tensor : checkpoint.tensors) {
        if (tensor.name != name) continue;
        std::vector<T> values(static_cast<std::size_t>(tensor.bytes) / sizeof(T));
        CheckpointFile file(checkpoint.files[static_cast<std::size_t>(tensor.file)].path);
        file.read(tensor.offset, std::as_writable_bytes(std::span(values)));
        return values;
    }
    FAIL("the reference has no " << name);
    return {};
}

double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
    REQUIRE(a.size() == b.size());
    double largest = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        const double difference = std::fabs(double{a[i]} - double{b[i]});
        largest = std::isnan(difference) ? INFINITY : std::max(largest, difference);
    }
    return largest;
}

// The reference file of a tiny model is a safetensors file of its own, in a folder where it may be called
// model.safetensors.
Checkpoint open_golden(const fs::path& model, const fs::path& scratch) {
    fs::create_symlink(model / "golden.safetensors", scratch / "model.safetensors");
    return open_checkpoint(scratch);
}

void check_tiny(const std::string& name, const std::vector<Layout>& layouts) {
    if (!have_shared("models-tiny/" + name, "golden values of " + name)) return;
    const fs::path model = *shared_dir() / "models-tiny" / name;
    const json golden = json::parse(read_text(model / "golden.json"));
    const TempDir scratch;
    const Checkpoint reference = open_golden(model, scratch.path());
    std::string requests;
    for (const json& prompt : golden.at("prompts"))
        requests +=
            request_line(prompt.at("id"), prompt.at("input_ids"), static_cast<int>(prompt.at("greedy_ids").size()));

    const bool predicts = std::any_of(reference.tensors.begin(), reference.tensors.end(),
                                      [](const StoredTensor& tensor) { return tensor.name == "mtp_logits"; });
    const std::string record_what = std::string("logits,hidden,router") + (predicts ? ",mtp" : "");

    for (const Layout& layout : layouts) {
        run_layout(model, requests, layout, record_what, [&](const fs::path& run) {
            const auto responses = read_responses(run);
            double worst_logprob = 0;
            for (const json& prompt : golden.at("prompts")) {
                const json& response = responses.at(prompt.at("id"));
                INFO("prompt " << prompt.at("id"));
                CHECK(ids_of(response) == prompt.at("greedy_ids").get<std::vector<int>>());
                const json& logprobs =
                    response.at("response").at("body").at("choices").at(0).at("logprobs").at("token_logprobs");
                for (std::size_t i = 0; i < logprobs.size(); ++i) {
                    worst_logprob = std::max(worst_logprob, std::fabs(logprobs[i].get<double>() -
                                                                      prompt.at("greedy_logprobs")[i].get<double>()));
                }
            }
            CHECK(worst_logprob <= kTolerance);
            const auto record = read_record(run / "record");
            const RecordedRequest& recorded = record.at("p24");
            const double logits = largest_difference(recorded.logits, golden_array<float>(reference, "logits"));
            const double hidden =
                largest_difference(recorded.hidden_states, golden_array<float>(reference, "hidden_states"));
            CHECK(logits <= kTolerance);
            CHECK(hidden <= kTolerance);
            double router = 0;
            if (!recorded.router_ids.empty()) {
                CHECK(recorded.router_ids == golden_array<std::int32_t>(reference, "router_ids"));
                router = largest_difference(recorded.router_weights, golden_array<float>(reference, "router_weights"));
                CHECK(router <= kTolerance);
            }
            double mtp = 0;
            if (predicts) mtp = largest_difference(recorded.mtp_logits, golden_array<float>(reference, "mtp_logits"));
            CHECK(mtp <= kTolerance);
            std::cout << name << " " << layout.ranks << " " << layout.options << ": logits " << logits << ", hidden "
                      << hidden << ", router " << router << (predicts ? fmt::format(", mtp {}", mtp) : "")
                      << ", logprobs " << worst_logprob << "\n";
        });
    }
}

void check_stories(const std::string& name, const std::vector<Layout>& layouts) {
    if (!have_shared("models-raw/" + name, "the published story with " + name)) return;
    const fs::path model = *shared_dir() / "models-raw" / name;
    const json golden = json::parse(read_text(*shared_dir() / "models-raw/stories260K-hf/golden.json"));
    const auto ids = golden.at("greedy_ids").get<std::vector<int>>();
    const std::string requests =
        request_line("story", {ids[0]}, static_cast<int>(ids.size()) - 1) + request_line("teacher", ids, 1);
    for (const Layout& layout : layouts) {
        run_layout(model, requests, layout, "logits", [&](const fs::path& run) {
            const auto responses = read_responses(run);
            CHECK(ids_of(responses.at("story")) == std::vector<int>(ids.begin() + 1, ids.end()));
            const std::string text = responses.at("story").at("response").at("body").at("choices").at(0).at("text");
            const std::string published = golden.at("greedy_text");
            CHECK(text.substr(text.find_first_not_of(' ')) == published.substr(published.find_first_not_of(' ')));
            const auto record = read_record(run / "record");
            const std::vector<float>& logits = record.at("teacher").logits;
            double worst = 0;
            for (const auto& [position, row] : golden.at("logits").items()) {
                const auto wanted = row.get<std::vector<float>>();
                const auto begin = logits.begin() + static_cast<std::ptrdiff_t>(std::stoul(position) * wanted.size());
                worst = std::max(
                    worst, largest_difference(
                               std::vector<float>(begin, begin + static_cast<std::ptrdiff_t>(wanted.size())), wanted));
            }
            CHECK(worst <= kTolerance);
            std::cout << name << " " << layout.ranks << " " << layout.options << ": logits " << worst << "\n";
        });
    }
}

}  // namespace

TEST_CASE("stories260K as Llama") { check_stories("stories260K-hf", kDenseLayouts); }
TEST_CASE("stories260K as Mixtral 8x2") { check_stories("stories260K-mixtral-8x2", kMoeLayouts); }
TEST_CASE("stories260K as Mixtral 4x4") { check_stories("stories260K-mixtral-4x4", kMoeLayouts); }
TEST_CASE("tiny mixtral") { check_tiny("mixtral", kMoeLayouts); }
TEST_CASE("tiny qwen3_moe") { check_tiny("qwen3_moe", kMoeLayouts); }
TEST_CASE("tiny qwen3_moe in three files") { check_tiny("qwen3_moe_sharded", kMoeLayouts); }
TEST_CASE("tiny qwen3_moe in nvfp4") { check_tiny("qwen3_moe_nvfp4", kMoeLayouts); }
TEST_CASE("tiny deepseek v2") { check_tiny("deepseek_v2", kMoeLayouts); }
TEST_CASE("tiny deepseek v2 with groups") { check_tiny("deepseek_v2_grouped", kMoeLayouts); }
TEST_CASE("tiny deepseek v3") { check_tiny("deepseek_v3", kMoeLayouts); }
TEST_CASE("tiny deepseek v3 in fp8") { check_tiny("deepseek_v3_fp8", kMoeLayouts); }
TEST_CASE("tiny gpt-oss") { check_tiny("gpt_oss", kMoeLayouts); }
TEST_CASE("tiny gpt-oss in bf16") { check_tiny("gpt_oss_bf16", kMoeLayouts); }
TEST_CASE("tiny olmoe") { check_tiny("olmoe", kMoeLayouts); }
TEST_CASE("tiny qwen3 dense") { check_tiny("qwen3_dense", kDenseLayouts); }
TEST_CASE("tiny llama 3.1") { check_tiny("llama31", kDenseLayouts); }
