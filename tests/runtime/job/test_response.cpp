// Answers as lines: the exact bytes, what parses back, and numbers and strings at their edges.
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>

#include "runtime/job/json_text.hpp"
#include "runtime/job/response.hpp"

using namespace argosy;

namespace {

std::string json_quoted(std::string_view text) {
    std::string out;
    append_json_string(out, text);
    return out;
}

std::string digits(float value) {
    std::string out;
    append_json_number(out, value);
    return out;
}

}  // namespace

TEST_CASE("a whole answer, byte for byte") {
    RequestResult result;
    result.line = 3;
    result.id = "q\"1";
    result.model = "demo";
    result.prompt_token_ids = {1, 2};
    result.return_token_ids = result.echo = result.logprobs = true;
    result.prompt_text = "é";
    result.prompt_logprobs = {{.token = "é"}, {.token = "x", .logprob = -0.5F, .top = {{"x", -0.5F}, {"y", -1.F}}}};
    result.choices = {{.index = 0,
                       .text = " b",
                       .token_ids = {7},
                       .finish = FinishReason::stop,
                       .logprobs = {{.token = "\xe2\x82",
                                     .logprob = -1e-5F,
                                     .top = {{"\xe2\x82", -1e-5F}, {"\xe2\x82", -2.F}},
                                     .characters = 0}}},
                      {.index = 1, .text = "", .token_ids = {}, .finish = FinishReason::length}};
    result.metadata = R"({"k":1})";
    CHECK(
        response_line(result) ==
        R"({"id":"batch_req_q\"1","custom_id":"q\"1","response":{"status_code":200,"request_id":"q\"1","body":{"id":"cmpl-q\"1",)"
        R"("object":"text_completion","created":0,"model":"demo","choices":[{"index":0,"text":"é b","logprobs":{"tokens":["é","x","bytes:\\xe2\\x82"],)"
        R"("token_logprobs":[null,-0.5,-1e-05],"top_logprobs":[null,{"x":-0.5,"y":-1},{"bytes:\\xe2\\x82":-1e-05}],"text_offset":[0,1,2]},)"
        R"("finish_reason":"stop","token_ids":[7],"prompt_token_ids":[1,2]},{"index":1,"text":"é","logprobs":{"tokens":["é","x"],)"
        R"("token_logprobs":[null,-0.5],"top_logprobs":[null,{"x":-0.5,"y":-1}],"text_offset":[0,1]},"finish_reason":"length","token_ids":[],)"
        R"("prompt_token_ids":[1,2]}],"usage":{"prompt_tokens":2,"completion_tokens":1,"total_tokens":3}}},"error":null,"metadata":{"k":1}})");
}

TEST_CASE("without echo, logprobs and ids nothing of them is written") {
    RequestResult result{.line = 9, .model = "m", .prompt_token_ids = {1}, .prompt_text = "secret"};
    result.choices = {{.text = "t", .token_ids = {5, 6}, .logprobs = {{.token = "t", .logprob = -1.F}}}};
    const auto body = nlohmann::json::parse(response_line(result));
    CHECK(body["custom_id"] == "line-9");
    CHECK_FALSE(body.contains("metadata"));
    const auto choice = body["response"]["body"]["choices"][0];
    CHECK(choice["text"] == "t");
    CHECK(choice["logprobs"].is_null());
    CHECK_FALSE(choice.contains("token_ids"));
    CHECK(body["response"]["body"]["usage"]["completion_tokens"] == 2);
}

TEST_CASE("error records") {
    CHECK(
        error_line(
            {.line = 4, .id = "a", .code = "invalid_json", .sentence = "It is \"bad\".", .metadata = R"({"x":1})"}) ==
        R"({"id":"batch_req_a","custom_id":"a","response":null,"error":{"code":"invalid_json","message":"It is \"bad\".","line":4},"metadata":{"x":1}})");
}

TEST_CASE("strings: everything parses back, bytes that are no text are replaced") {
    CHECK(json_quoted("a\"\\\n\r\t\b\f\x01\x7f/") == R"("a\"\\\n\r\t\b\f\u0001\u007f/")");
    CHECK(json_quoted("\xff\xc3") == "\"\xEF\xBF\xBD\xEF\xBF\xBD\"");
    CHECK(json_quoted(std::string_view("\0", 1)) == R"("\u0000")");
    for (const char* text : {"\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf0\x80\x80\x80", "\xf4\x90\x80\x80",
                             "\xf5\x80\x80\x80", "\x80", "\xe2\x82"}) {
        CHECK(first_bad_utf8(text) == 0);
    }
    CHECK(is_utf8("\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"));
    CHECK(first_bad_utf8("ok\xff") == 2);
    CHECK(utf8_characters("aé\xF0\x9F\x98\x80") == 3);
    std::mt19937 random(4);
    for (int round = 0; round < 5000; ++round) {
        std::string bytes(random() % 12, '\0');
        for (char& c : bytes) c = static_cast<char>(random() % 3 == 0 ? random() : 0xE0 + random() % 4);
        const auto back = nlohmann::json::parse(json_quoted(bytes)).get<std::string>();
        REQUIRE(is_utf8(back));
        if (is_utf8(bytes)) REQUIRE(back == bytes);
    }
}

TEST_CASE("numbers: the shortest digits that read back as the same bits") {
    CHECK(digits(-0.1F) == "-0.1");
    CHECK(digits(0) == "0");
    CHECK(digits(-0.F) == "-0");
    CHECK(digits(16777216.F) == "16777216");
    CHECK(digits(1e-10F) == "1e-10");
    CHECK(digits(-std::numeric_limits<float>::infinity()) == "-9999");
    CHECK(digits(std::numeric_limits<float>::quiet_NaN()) == "null");
    std::mt19937 random(8);
    for (int round = 0; round < 20000; ++round) {
        const std::uint32_t bits = static_cast<std::uint32_t>(random());
        float value;
        std::memcpy(&value, &bits, 4);
        if (!std::isfinite(value)) continue;
        const std::string text = digits(value);
        const float back = std::strtof(text.c_str(), nullptr);
        REQUIRE(std::memcmp(&back, &value, 4) == 0);
        REQUIRE_NOTHROW(nlohmann::json::parse(text));
    }
}
