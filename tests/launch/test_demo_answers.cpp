// Right on a trained model: the demo's greedy answers against those of the reference arithmetic, and the demo job as
// `argosy run` starts it.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <iostream>

#include "tests/launch/run_program.hpp"
#include "tests/support/shared_data.hpp"

using namespace argosy;
using namespace argosy::test;
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

struct Layout {
    int ranks;
    std::string options;
};
const std::vector<Layout> kLayouts = {{0, ""}, {2, "--tp 2"}, {2, "--dp 2"}};

// Where the reference's two best logits are closer than this, another order of summation may take the other token.
// Logits in exact mode with KV in f32 agree within 2e-4; this leaves a factor of ten.
constexpr double kGapThatDecides = 0.002;

fs::path demo() { return source_dir() / "configs/demo"; }

// Steps of the reference that must be met exactly: all before the first whose two best tokens are almost equal.
std::size_t steps_that_count(const json& golden) {
    std::size_t steps = 0;
    for (const json& gap : golden.at("top2_gap")) {
        if (gap.get<double>() < kGapThatDecides) break;
        ++steps;
    }
    return steps;
}

const json& choice_of(const std::map<std::string, json>& responses, const std::string& id) {
    return responses.at(id).at("response").at("body").at("choices").at(0);
}

ProgramCall call_of(const Layout& layout, const std::vector<std::string>& arguments) {
    ProgramCall call;
    call.ranks = layout.ranks;
    call.arguments = arguments;
    for (const std::string& word : words_of(layout.options)) call.arguments.push_back(word);
    return call;
}

void check_golden(const json& golden, const Layout& layout) {
    INFO("layout: " << layout.ranks << " ranks " << layout.options);
    const TempDir temp;
    std::string requests;
    for (const json& answer : golden) {
        // The ids with nothing that ends them early, and the text as a user asks for it.
        const std::string id = answer.at("custom_id");
        const json prompt = {{"prompt", answer.at("prompt")}};
        json ids_only = prompt;
        ids_only["ignore_eos"] = true;
        requests += request_line(id, {}, static_cast<int>(answer.at("ids").size()), ids_only);
        json ended = prompt;
        if (answer.at("finish") == "stop") ended["stop"] = "\n";
        requests += request_line(id + "-text", {}, id.starts_with("task") ? 24 : 128, ended);
    }
    write_text(temp.path() / "requests.jsonl", requests);
    const ProgramResult result = run_program(
        call_of(layout, {"run", "--model", demo().string(), "--input", (temp.path() / "requests.jsonl").string(),
                         "--run-dir", (temp.path() / "run").string(), "--kv-dtype", "f32"}));
    INFO(result.err);
    REQUIRE(result.status == 0);
    const auto responses = read_responses(temp.path() / "run");
    REQUIRE(responses.size() == 2 * golden.size());
    std::size_t steps = 0, whole = 0;
    for (const json& answer : golden) {
        const std::string id = answer.at("custom_id");
        INFO(id);
        const json& choice = choice_of(responses, id);
        CHECK(choice.at("prompt_token_ids") == answer.at("prompt_ids"));
        const auto ids = choice.at("token_ids").get<std::vector<int>>();
        const auto wanted = answer.at("ids").get<std::vector<int>>();
        REQUIRE(ids.size() == wanted.size());
        const std::size_t sure = steps_that_count(answer);
        CHECK(std::vector<int>(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(sure)) ==
              std::vector<int>(wanted.begin(), wanted.begin() + static_cast<std::ptrdiff_t>(sure)));
        steps += sure;
        if (ids != wanted) continue;
        ++whole;
        const json& ended = choice_of(responses, id + "-text");
        CHECK(ended.at("text") == answer.at("text"));
        CHECK(ended.at("finish_reason") == (answer.at("finish") == "length" ? "length" : "stop"));
    }
    CHECK(steps > 1400);  // of 1,488: the comparison is about something
    std::cout << "demo answers, " << layout.ranks << " ranks " << layout.options << ": " << steps << " steps compared, "
              << whole << " of " << golden.size() << " answers equal to their end\n";
}

}  // namespace

TEST_CASE("the demo model gives the answers of the reference arithmetic") {
    if (!have_shared("demo-model/golden.json", "greedy answers of the demo model")) return;
    const json golden = json::parse(read_text(*shared_dir() / "demo-model/golden.json")).at("demo");
    REQUIRE(golden.size() == 50);
    for (const Layout& layout : kLayouts) check_golden(golden, layout);
}

TEST_CASE("the demo job solves its tasks, and gives the same bytes however it is split") {
    if (!have(std::system("command -v python3 >/dev/null") == 0, "score of the demo job", "python3",
              "ARGOSY_REQUIRE_PYTHON"))
        return;
    std::string first;
    for (const Layout& layout : kLayouts) {
        INFO("layout: " << layout.ranks << " ranks " << layout.options);
        const TempDir temp;
        const fs::path responses = temp.path() / "run/responses.jsonl";
        const ProgramResult result = run_program(call_of(layout, {"run", "--run-dir", (temp.path() / "run").string()}));
        INFO(result.err);
        REQUIRE(result.status == 0);
        const std::string text = read_text(responses);
        REQUIRE_FALSE(text.empty());
        if (first.empty()) {
            const std::string scorer = (source_dir() / "tests/launch/scripts/demo_score.py").string();
            CHECK(std::system(
                      ("python3 '" + scorer + "' '" + demo().string() + "' '" + responses.string() + "'").c_str()) ==
                  0);
            first = text;
        }
        CHECK((text == first));  // in brackets: a difference is not worth printing two files
    }
}
