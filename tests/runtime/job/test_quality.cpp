// What answers are worth, from files written by hand.
#include <catch2/catch.hpp>

#include <cmath>
#include <fstream>

#include "kernels/base/error.hpp"
#include "runtime/job/quality.hpp"
#include "tests/support/shared_data.hpp"

using namespace argosy;
using namespace argosy::test;
using Catch::Matchers::Contains;

namespace {

std::string answer(const std::string& id, const std::string& text, const std::string& logprobs = "null") {
    return R"({"custom_id":")" + id + R"(","response":{"status_code":200,"body":{"choices":[{"index":0,"text":")" +
           text + R"(","logprobs":)" + logprobs + R"(}]}},"error":null})" + "\n";
}

void write(const std::filesystem::path& path, const std::string& text) { std::ofstream(path) << text; }

}  // namespace

TEST_CASE("tasks are solved by their answer, blanks apart, and texts add up their log probabilities") {
    const TempDir temp;
    const auto responses = temp.path() / "responses.jsonl", answers = temp.path() / "answers.jsonl";
    write(answers, R"({"custom_id":"a","answer":"13"}
{"custom_id":"b","task":"x","answer":"two words"}
{"custom_id":"c","answer":"7"}
{"custom_id":"d","answer":"missing"}

)");
    write(responses, answer("a", " 13\\n") + answer("b", "two  words") + answer("c", "7") +
                         answer("t1", "unused", R"({"token_logprobs":[null,-1.5,-0.25]})") +
                         answer("t2", "unused", R"({"token_logprobs":[null,-0.25]})") +
                         R"({"custom_id":"d","response":null,"error":{"code":"x"}})" + "\n");
    const Quality quality = quality_of(responses, answers);
    CHECK(quality == Quality{.tasks = 4, .solved = 2, .tokens = 3, .loss = 2.0});
    CHECK(describe(quality) == "quality  4 tasks 50.00 % solved   perplexity 1.9477 of 3 tokens\n");
    CHECK(describe({.tasks = 1, .solved = 1, .tokens = 0, .loss = 0}) == "quality  1 tasks 100.00 % solved\n");
}

TEST_CASE("files that are no answers are told with their line") {
    const TempDir temp;
    const auto responses = temp.path() / "responses.jsonl", answers = temp.path() / "answers.jsonl";
    CHECK_THROWS_WITH(quality_of(responses, answers), Contains("answers.jsonl cannot be read"));
    write(answers, "\n");
    CHECK_THROWS_WITH(quality_of(responses, answers), Contains("has no answers"));
    write(answers, "{\"custom_id\":\"a\",\"answer\":\"1\"}\n{\"custom_id\":\"b\"}\n");
    CHECK_THROWS_WITH(quality_of(responses, answers), Contains("answers.jsonl, line 2") && Contains("answer"));
    write(answers, "{\"custom_id\":\"a\",\"answer\":\"1\"}\n");
    write(responses, answer("a", "1") + "{\"custom_id\":\"a\",\"response\":7}\n");
    CHECK_THROWS_AS(quality_of(responses, answers), Error);
    write(responses, "nonsense\n");
    CHECK_THROWS_WITH(quality_of(responses, answers), Contains("responses.jsonl, line 1"));
}
