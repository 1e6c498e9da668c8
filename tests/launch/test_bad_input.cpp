// Request lines and input files with mistakes: an error record for the line that has one while the job goes on, a
// sentence for an input that cannot be read, and the ends of lines and marks that other systems write.
#include <catch2/catch.hpp>

#include <sstream>

#include "tests/launch/mistakes.hpp"

using namespace argosy;
using namespace argosy::test;
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

struct BadLine {
    std::string line, code, word;  // a word that the message must hold
};

std::string batch(const std::string& id, const std::string& body) {
    return R"({"custom_id": ")" + id + R"(", "method": "POST", "url": "/v1/completions", "body": )" + body + "}";
}

// A prompt of the demo's whole context, as ids.
std::string long_prompt() {
    std::string ids = "48";
    for (int i = 1; i < 1024; ++i) ids += ",48";
    return "[" + ids + "]";
}

std::vector<BadLine> bad_lines() {
    return {
        {"this is not JSON", "invalid_json", ""},
        {R"({"prompt": "cut off)", "invalid_json", ""},
        {R"(["a", "list"])", "invalid_line", "object"},
        {batch("x1", R"({"prompt": "a", "max_tokens": "many"})"), "invalid_type", "max_tokens"},
        {batch("x2", R"({"prompt": 7})"), "invalid_type", "prompt"},
        {batch("x3", R"({"prompt": "a", "temperatur": 1})"), "unsupported_field", "temperature"},
        {batch("x4", R"({"max_tokens": 3})"), "missing_field", "prompt"},
        {batch("x5", R"({"prompt": "a", "temperature": -1})"), "invalid_value", "temperature"},
        {R"({"custom_id": "x6", "method": "GET", "url": "/v1/completions", "body": {"prompt": "a"}})",
         "unsupported_method", "POST"},
        {R"({"custom_id": "x7", "method": "POST", "url": "/v1/images", "body": {"prompt": "a"}})", "unsupported_url",
         "/v1/images"},
        {batch("x8", R"({"prompt": [5000000]})"), "invalid_token_id", "5000000"},
        {batch("x9", R"({"prompt": [48, -1]})"), "invalid_value", "-1"},
        {batch("x10", R"({"prompt": "a", "stop_token_ids": [2048]})"), "invalid_token_id", "2048"},
        {batch("x11", R"({"prompt": "a", "logit_bias": {"2048": 1}})"), "invalid_token_id", "2048"},
        {batch("x12", R"({"prompt": ""})"), "empty_prompt", ""},
        {batch("x13", R"({"prompt": []})"), "invalid_value", "empty list"},
        {batch("x14", "{\"prompt\": " + long_prompt() + "}"), "context_length_exceeded", "1024"},
        {batch("good-1", R"({"prompt": "again"})"), "duplicate_id", "line 1"},
        {"{\"prompt\": \"\xff\xfe\"}", "invalid_utf8", "UTF-8"},
    };
}

std::vector<json> lines_of(const fs::path& file) {
    std::vector<json> values;
    std::istringstream lines(read_text(file));
    for (std::string line; std::getline(lines, line);) values.push_back(json::parse(line));
    return values;
}

// The lines between two good ones, with these line ends.
std::string requests_of(const std::vector<BadLine>& bad, const std::string& end) {
    const auto good = [&](const char* id) {
        std::string line = request_line(id, {48, 25, 220}, 4);
        line.pop_back();
        return line;
    };
    std::string requests = good("good-1") + end;
    for (const BadLine& line : bad) requests += line.line + end;
    return requests + good("good-2");  // the last line has no end
}

}  // namespace

TEST_CASE("bad lines get error records, and the job goes on") {
    const std::vector<BadLine> bad = bad_lines();
    const Place place;
    std::string want, want_errors;
    for (const auto& [ranks, form] :
         std::vector<std::pair<int, std::string>>{{0, "plain"}, {2, "plain"}, {2, "marked"}}) {
        INFO("ranks " << ranks << ", " << form);
        // As other systems write text: a byte order mark first, and two characters at the end of each line.
        const bool marked = form == "marked";
        write_text(place.work / "in.jsonl",
                   marked ? "\xef\xbb\xbf" + requests_of(bad, "\r\n") : requests_of(bad, "\n"));
        const fs::path run = place.work / (form + std::to_string(ranks));
        const ProgramResult result = run_at(place, ranks, run_words(place, run.filename(), "in.jsonl"));
        INFO(result.err);
        REQUIRE(result.status == 0);
        CHECK(sentences_of(result).empty());
        CHECK(result.out.find(std::to_string(bad.size()) + " with an error record") != std::string::npos);

        const std::vector<json> answers = lines_of(run / "responses.jsonl");
        REQUIRE(answers.size() == bad.size() + 2);
        CHECK(answers.front().at("custom_id") == "good-1");
        CHECK(answers.front().at("error").is_null());
        CHECK(answers.back().at("custom_id") == "good-2");
        CHECK(answers.back().at("error").is_null());
        for (std::size_t i = 0; i < bad.size(); ++i) {
            INFO("line " << i + 2 << ": " << bad[i].line.substr(0, 200));
            const json& error = answers[i + 1].at("error");
            REQUIRE(error.is_object());
            INFO(error.dump());
            CHECK(error.at("code") == bad[i].code);
            CHECK(error.at("line") == i + 2);
            const std::string message = error.at("message");
            CHECK(message.size() > 20);
            CHECK(message.back() == '.');
            CHECK(message.find(bad[i].word) != std::string::npos);
        }
        const std::vector<json> errors = lines_of(run / "errors.jsonl");
        REQUIRE(errors.size() == bad.size());
        for (std::size_t i = 0; i < bad.size(); ++i) CHECK(errors[i].dump() == answers[i + 1].dump());
        if (want.empty()) want = read_text(run / "responses.jsonl");
        CHECK((read_text(run / "responses.jsonl") == want));
        check_nothing_left(place);
    }
}

TEST_CASE("plain text with a mark, ends of other systems and bytes that are no text") {
    const Place place;
    write_text(place.work / "in.txt", "\xef\xbb\xbfOnce upon\r\n\r\n \t\r\nbytes \xff\xfe here\r\nthe end");
    for (const int ranks : {0, 2}) {
        const std::string run = "run" + std::to_string(ranks);
        const ProgramResult result = run_at(place, ranks, run_words(place, run, "in.txt", {"--input-format", "text"}));
        INFO(result.err);
        REQUIRE(result.status == 0);
        const std::vector<json> answers = lines_of(place.work / run / "responses.jsonl");
        REQUIRE(answers.size() == 3);
        CHECK(answers[0].at("error").is_null());
        // The mark and the carriage return are no part of the prompt.
        CHECK(answers[0].at("response").at("body").at("usage").at("prompt_tokens").get<int>() <= 3);
        CHECK(answers[1].at("error").at("code") == "invalid_utf8");
        CHECK(answers[1].at("error").at("line") == 4);
        CHECK(answers[2].at("custom_id") == "line-5");
        CHECK(answers[2].at("error").is_null());
        check_nothing_left(place);
    }
}

TEST_CASE("an input without a request is a job without work") {
    const std::vector<std::string> texts = {"", "\r\n \t\n\n", "\xef\xbb\xbf"};
    for (const int ranks : {0, 2}) {
        for (const std::string& text : texts) {
            INFO("ranks " << ranks << ", " << text.size() << " bytes");
            const Place place;
            write_text(place.work / "in.jsonl", text);
            const ProgramResult result = run_at(place, ranks, run_words(place, "run", "in.jsonl"));
            INFO(result.err);
            CHECK(result.status == 0);
            CHECK(sentences_of(result).empty());
            CHECK(result.out.find("0 in all") != std::string::npos);
            CHECK(fs::exists(place.work / "run/responses.jsonl"));
            CHECK(read_text(place.work / "run/responses.jsonl").empty());
            check_nothing_left(place);
        }
    }
}

TEST_CASE("an input that cannot be read gets one sentence, status 64, and leaves nothing") {
    const auto run = [](const std::string& input) { return run_with({"--input", input}); };
    check_mistakes({
        {"no input", run("{none.jsonl}"), 64, {"none.jsonl", "cannot be opened"}},
        {"an input that is a folder",
         run("{folder}"),
         64,
         {"folder", "give a file"},
         [](const Place& place) { fs::create_directories(place.work / "folder"); }},
        {"a packed input that is cut",
         run("{in.jsonl.gz}"),
         64,
         {"in.jsonl.gz"},
         [](const Place& place) { write_text(place.work / "in.jsonl.gz", "\x1f\x8b\x08\x00 cut"); }},
        {"one input of two that is not there",
         run_with({"--input", "{in.jsonl}", "--input", "{more.jsonl}"}),
         64,
         {"more.jsonl"},
         [](const Place& place) { write_text(place.work / "in.jsonl", "{\"prompt\": \"a\"}\n"); }},
    });
}
