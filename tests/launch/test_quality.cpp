// argosy bench --quality: what it prints against the answers that it leaves.
#include <catch2/catch.hpp>
#include <cstdio>
#include <regex>
#include <sstream>

#include "tests/launch/mistakes.hpp"

using namespace argosy::test;
namespace fs = std::filesystem;
using nlohmann::json;

TEST_CASE("bench --quality says what the answers to a folder's tasks and texts are worth, alone and on ranks") {
    const Place place;
    const fs::path all = demo() / "eval", folder = place.work / "some";
    fs::create_directories(folder);
    const auto first_lines = [](const std::string& text, int count) {
        std::istringstream lines(text);
        std::string some;
        for (std::string line; count > 0 && std::getline(lines, line); --count) some += line + "\n";
        return some;
    };
    write_text(folder / "tasks.jsonl", first_lines(read_text(all / "tasks.jsonl"), 60));
    write_text(folder / "answers.jsonl", first_lines(read_text(all / "answers.jsonl"), 60));
    write_text(folder / "texts.jsonl", first_lines(read_text(all / "texts.jsonl"), 9));
    const auto last_line = [&](const std::string& run, const std::string& more, int ranks) {
        std::vector<std::string> words = {"bench", "--quality", folder.string(), "--run-dir", place.at(run)};
        for (const std::string& word : words_of(more)) words.push_back(word);
        const ProgramResult result = run_program(call_at(place, ranks, words));
        INFO(result.err);
        REQUIRE(result.status == 0);
        return result.out.substr(result.out.rfind("quality  "));
    };
    const std::string alone = last_line("alone", "", 0);
    CHECK(std::regex_match(
        alone, std::regex(R"(quality  60 tasks \d\d\.\d\d % solved   perplexity \d+\.\d{4} of \d{3,} tokens\n)")));
    CHECK(last_line("two", "--tp 2 --etp 2", 2) == alone);
    CHECK(last_line("alone", "", 0) == alone);  // finished: said again
    CHECK(last_line("int4", "--weights-as nvfp4", 0) != alone);
    // Counted by hand.
    int solved = 0, tasks = 0;
    const auto responses = read_responses(place.work / "alone");
    std::istringstream answers(read_text(folder / "answers.jsonl"));
    for (std::string line; std::getline(answers, line); ++tasks) {
        const json wanted = json::parse(line);
        std::string text = responses.at(wanted["custom_id"])["response"]["body"]["choices"][0]["text"];
        text.erase(0, text.find_first_not_of(' '));
        solved += text == wanted["answer"] ? 1 : 0;
    }
    CHECK(tasks == 60);
    CHECK(solved > 20);
    char percent[16];
    std::snprintf(percent, sizeof percent, " %.2f %% ", 100.0 * solved / tasks);
    CHECK(alone.find(percent) != std::string::npos);
}

TEST_CASE("mistakes of bench --quality are sentences") {
    check_mistakes({
        {"no run-dir", {"bench", "--quality", "demo"}, 64, {"--run-dir"}},
        {"no folder", {"bench", "--quality", "{nowhere}", "--run-dir", "{run}"}, 64, {"nowhere/tasks.jsonl"}},
        {"random", {"bench", "--quality", "demo", "--run-dir", "{run}", "--weights", "random:1"}, 64, {"--weights"}},
    });
}
