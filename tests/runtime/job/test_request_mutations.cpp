// Thousands of damaged request lines: never a crash, always a request or an error that says something, and the same
// each time.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <random>

#include "runtime/job/json_text.hpp"
#include "runtime/job/request_file.hpp"
#include "runtime/job/response.hpp"

using namespace argosy;

namespace {

const std::vector<std::string> kSeeds{
    R"({"custom_id":"a-1","method":"POST","url":"/v1/completions","body":{"model":"m","prompt":"Hello, \u00e9t\u00e9 \ud83d\ude00","max_tokens":16,"temperature":0.7,"stop":["\n","END"],"seed":42,"logprobs":5}})",
    R"({"custom_id":"b","method":"POST","url":"/v1/chat/completions","body":{"messages":[{"role":"user","content":"hi"}]}})",
    R"({"id":"gsm8k-test-00001","source":"gsm8k-test","prompt":"Janet’s ducks lay 16 eggs per day."})",
    R"({"custom_id":"c","url":"/v1/completions","body":{"prompt":"x","logit_bias":{"50":-100,"7":1.5},"presence_penalty":-0.5,"frequency_penalty":1e-3,"repetition_penalty":1.1}})",
    R"({"prompt":[1,2,3,4,5],"n":3,"top_k":40,"top_p":0.95,"min_p":0.05,"echo":true,"ignore_eos":false,"return_token_ids":true,"extra":{"deep":[[[1e-7,null]]]}})",
};

std::string mutate(std::string text, std::mt19937& random) {
    static const std::vector<std::string> pieces{"\"",
                                                 "{",
                                                 "}",
                                                 "[",
                                                 "]",
                                                 ",",
                                                 ":",
                                                 "\\",
                                                 "\\u",
                                                 "\xff",
                                                 "\xc3",
                                                 "null",
                                                 "-",
                                                 "1e999",
                                                 "99999999999999999999",
                                                 "true",
                                                 std::string(1, '\0'),
                                                 "\"prompt\":",
                                                 "\"stop\":[",
                                                 "{\"body\":",
                                                 "0.",
                                                 "\xed\xa0\x80"};
    const int edits = 1 + static_cast<int>(random() % 6);
    for (int i = 0; i < edits && !text.empty(); ++i) {
        const std::size_t place = random() % text.size();
        switch (random() % 5) {
            case 0:
                text.erase(place, 1 + random() % 8);
                break;
            case 1:
                text.insert(place, pieces[random() % pieces.size()]);
                break;
            case 2:
                text[place] = static_cast<char>(random());
                break;
            case 3:
                text.insert(place, text.substr(random() % text.size(), random() % 40));
                break;
            default:
                text.resize(place);
                break;
        }
    }
    return text;
}

}  // namespace

TEST_CASE("damaged lines give a request or an error record, and both can be written and read back") {
    std::mt19937 random(17);
    int accepted = 0, refused = 0;
    for (int round = 0; round < 40000; ++round) {
        const std::string text = mutate(kSeeds[random() % kSeeds.size()], random);
        const auto parsed = parse_request_line(text, round + 1, InputFormat::jsonl, {});
        REQUIRE(parsed == parse_request_line(text, round + 1, InputFormat::jsonl, {}));
        if (const auto* error = std::get_if<LineError>(&parsed)) {
            ++refused;
            REQUIRE(error->sentence.size() > 10);
            REQUIRE_FALSE(error->code.empty());
            const std::string line = error_line(*error);
            REQUIRE(line.find('\n') == line.npos);
            REQUIRE(nlohmann::json::parse(line)["error"]["line"] == round + 1);
            continue;
        }
        ++accepted;
        const auto& request = std::get<ParsedRequest>(parsed);
        REQUIRE((request.text.has_value() || !request.request.prompt.empty()));
        REQUIRE(request.request.max_tokens >= 0);
        REQUIRE(request.request.temperature >= 0);
        RequestResult result{.line = request.request.line, .id = request.request.id, .metadata = request.metadata};
        REQUIRE(nlohmann::json::parse(response_line(result))["custom_id"] == request_name(result.id, result.line));
    }
    CHECK(accepted > 600);
    CHECK(refused > 10000);
}
