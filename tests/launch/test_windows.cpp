// The KV of layers with a window, through the whole program: a sequence holds the blocks that the formula says, a pool
// that holds no more is enough, and a common beginning is found though its first blocks are gone.
#include <catch2/catch.hpp>

#include "runtime/schedule/kv_window.hpp"
#include "tests/launch/run_program.hpp"
#include "tests/support/shared_data.hpp"

using namespace argosy;
using namespace argosy::test;
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

// The tiny gpt-oss: two layers that see all and two that see 16 tokens; a block holds one pair of layers of two KV
// heads of 16 elements in bf16, keys and values.
constexpr int kWindow = 16;
constexpr int kBlockTokens = 16;
constexpr std::int64_t kBlockBytes = 2 * 2 * kBlockTokens * 2 * 16 * 2;
const std::vector<int> kWindows = {0, kWindow};

std::vector<int> tokens(int count, int seed) {
    std::vector<int> ids;
    for (int i = 0; i < count; ++i) ids.push_back(3 + (i * 37 + seed * 101 + i * i % 17) % 500);
    return ids;
}

struct Outcome {
    std::string responses;
    json witness;
};

Outcome run_tiny(const std::string& requests, const std::string& options, int ranks = 0,
                 const std::string& model = "gpt_oss") {
    INFO(options << ", " << ranks << " ranks");
    const TempDir temp;
    const ProgramResult result =
        run_program(run_call(temp.path(), *shared_dir() / "models-tiny" / model, requests, options, ranks));
    INFO(result.err);
    REQUIRE(result.status == 0);
    return {read_text(temp.path() / "run/responses.jsonl"), read_report(temp.path() / "run").at("witness")};
}

std::string kv_memory(std::int64_t blocks) { return "--kv-memory " + std::to_string(blocks * kBlockBytes); }

bool have_tiny() { return have_shared("models-tiny/gpt_oss", "windows of the tiny gpt-oss"); }

}  // namespace

TEST_CASE("a sequence holds the blocks of the formula, whatever the rows of a step") {
    if (!have_tiny()) return;
    constexpr int kPrompt = 200, kOutput = 40, kStored = kPrompt + kOutput - 1;
    const std::string request = request_line("long", tokens(kPrompt, 1), kOutput, {{"ignore_eos", true}});
    std::string first;
    for (const int rows : {1, 7, 24, 512}) {
        CAPTURE(rows);
        std::int64_t most = 0;
        for (int begin = 0; begin < kStored;) {
            const int end = begin < kPrompt ? std::min(begin + rows, kPrompt) : begin + 1;
            const int seen = std::max(0, begin - kWindow + 1);
            most = std::max<std::int64_t>(most, (end - 1) / kBlockTokens - seen / kBlockTokens + 1);
            begin = end;
        }
        const Outcome outcome = run_tiny(request, "--max-rows " + std::to_string(rows));
        CHECK(outcome.witness.at("window_blocks_max") == most);
        CHECK(most <= most_blocks(kWindow, kStored, rows));
        CHECK(outcome.witness.at("window_blocks_freed") == (kStored - kWindow + 1) / kBlockTokens);
        if (first.empty()) first = outcome.responses;
        CHECK(outcome.responses == first);
    }
}

TEST_CASE("a pool of the formula's blocks is enough, and of one less is not") {
    if (!have_tiny()) return;
    constexpr int kPrompt = 200, kOutput = 40;
    const std::string request = request_line("long", tokens(kPrompt, 1), kOutput, {{"ignore_eos", true}});
    const std::int64_t blocks = most_blocks(kWindows, kPrompt + kOutput - 1, 1);
    CHECK(blocks == 15 + 2);
    const Outcome ample = run_tiny(request, "");
    for (const auto& [options, ranks] : std::vector<std::pair<std::string, int>>{{"", 0}, {" --dp 2", 2}}) {
        const Outcome tight = run_tiny(request, kv_memory(blocks) + options, ranks);
        CHECK(tight.responses == ample.responses);
        CHECK(tight.witness.at("blocks_used_max") == blocks);
    }
    const Outcome refused = run_tiny(request, kv_memory(blocks - 1));
    CHECK_THAT(refused.responses, Catch::Contains("may need 17 KV blocks of 16 tokens"));
}

TEST_CASE("latents: a block for every 16 tokens of a sequence, of all layers") {
    if (!have_shared("models-tiny/deepseek_v2", "blocks of latents")) return;
    for (const int prompt : {1, 15, 16, 17, 200}) {
        const Outcome outcome =
            run_tiny(request_line("a", tokens(prompt, 1), 9, {{"ignore_eos", true}}), "", 0, "deepseek_v2");
        CHECK(outcome.witness.at("blocks_used_max") == most_blocks(0, prompt + 8, 1));
        CHECK(outcome.witness.at("window_blocks_max") == 0);
    }
}

TEST_CASE("a common beginning is found by its window's blocks, and sequences that are preempted find theirs again") {
    if (!have_tiny()) return;
    std::string requests;
    for (int i = 0; i < 12; ++i) {
        std::vector<int> prompt = tokens(160, 2);
        const std::vector<int> own = tokens(9 + 5 * i, 3 + i);
        prompt.insert(prompt.end(), own.begin(), own.end());
        requests += request_line("shared-" + std::to_string(i), prompt, 30, {{"ignore_eos", true}});
    }
    const Outcome alone = run_tiny(requests, "--prefix-cache off");
    CHECK(alone.witness.at("prefix_hit_tokens") == 0);
    const Outcome ample = run_tiny(requests, "--max-rows 64");
    CHECK(ample.responses == alone.responses);
    CHECK(ample.witness.at("prefix_hit_tokens") >= 11 * 160);
    const std::int64_t least = most_blocks(kWindows, 160 + 64 + 29, 1);
    const Outcome tight = run_tiny(requests, "--max-rows 64 " + kv_memory(least + 6));
    CHECK(tight.responses == alone.responses);
    CHECK(tight.witness.at("blocks_evicted") > 0);
    CHECK(tight.witness.at("prefix_hit_tokens") >= 11 * 160);
    const Outcome ranks = run_tiny(requests, "--max-rows 32 --tp 2 --etp 2 " + kv_memory(least), 2);
    CHECK(ranks.responses == alone.responses);
}
