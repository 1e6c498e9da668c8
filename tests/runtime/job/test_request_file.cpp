// Request lines of both kinds: what is honoured, what is refused, and with which words.
#include <catch2/catch.hpp>

#include "kernels/base/error.hpp"
#include "runtime/job/repeated_names.hpp"
#include "runtime/job/request_file.hpp"

using namespace argosy;

namespace {

std::variant<ParsedRequest, LineError> parse(std::string_view text, InputFormat format = InputFormat::jsonl) {
    return parse_request_line(text, 7, format, {.max_tokens = 99, .temperature = 0.5, .seed = 11});
}

ParsedRequest good(std::string_view text, InputFormat format = InputFormat::jsonl) {
    const auto parsed = parse(text, format);
    if (const auto* error = std::get_if<LineError>(&parsed)) FAIL(text << "\n" << error->sentence);
    return std::get<ParsedRequest>(parsed);
}

LineError bad(std::string_view text, InputFormat format = InputFormat::jsonl) {
    const auto parsed = parse(text, format);
    if (!std::holds_alternative<LineError>(parsed)) FAIL("accepted: " << text);
    CHECK(std::get<LineError>(parsed).line == 7);
    return std::get<LineError>(parsed);
}

std::string batch(const std::string& body) {
    return R"({"custom_id":"a","method":"POST","url":"/v1/completions","body":)" + body + "}";
}

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("a batch line with every honoured field") {
    const ParsedRequest parsed = good(batch(
        R"({"model":"m","prompt":"Hi","max_tokens":0,"temperature":0,"top_p":0.25,"top_k":5,"min_p":0.125,"seed":-1,"n":3,)"
        R"("stop":["x","yz"],"stop_token_ids":[4,2],"logprobs":20,"echo":true,"ignore_eos":true,"return_token_ids":true,)"
        R"("stream":false,"user":"u"})"));
    CHECK(parsed.text == "Hi");
    CHECK(parsed.model == "m");
    CHECK(parsed.metadata.empty());
    Request want;
    want.line = 7;
    want.id = "a";
    want.identity = request_identity("a", 7);
    want.max_tokens = 0;
    want.temperature = 0;
    want.top_p = 0.25;
    want.top_k = 5;
    want.min_p = 0.125;
    want.seed = ~std::uint64_t{0};
    want.n = 3;
    want.stop = {"x", "yz"};
    want.stop_token_ids = {4, 2};
    want.logprobs = 20;
    want.echo = want.ignore_eos = want.return_token_ids = true;
    CHECK(parsed.request == want);
}

TEST_CASE("what a line leaves out, or gives as null, comes from the defaults") {
    for (const char* body :
         {R"({"prompt":[5,6]})", R"({"prompt":[5,6],"max_tokens":null,"temperature":null,"stop":null,"seed":null})"}) {
        const ParsedRequest parsed = good(batch(body));
        CHECK_FALSE(parsed.text.has_value());
        CHECK(parsed.request.prompt == std::vector<std::int32_t>{5, 6});
        CHECK(parsed.request.max_tokens == 99);
        CHECK(parsed.request.temperature == 0.5);
        CHECK(parsed.request.seed == 11);
        CHECK(parsed.request.logprobs == -1);
        CHECK(parsed.request.stop.empty());
    }
    CHECK(good(batch(R"({"prompt":"a","seed":18446744073709551615})")).request.seed == 18446744073709551615ULL);
    CHECK(good(batch(R"({"prompt":"a","top_k":-1})")).request.top_k == 0);
    CHECK(good(batch(R"({"prompt":"a","stop":"END"})")).request.stop == std::vector<std::string>{"END"});
}

TEST_CASE("prompt lines: settings are taken, other members pass through, id or line number is the identity") {
    ParsedRequest parsed =
        good(R"({"id":"q1","source":"gsm8k","prompt":"Why?","max_tokens":3,"split":1,"tags":[1,{"a":null}]})");
    CHECK(parsed.request.id == "q1");
    CHECK(parsed.request.max_tokens == 3);
    CHECK(parsed.metadata == R"({"source":"gsm8k","split":1,"tags":[1,{"a":null}]})");
    parsed = good(R"({"prompt":""})");
    CHECK(parsed.text == "");
    CHECK(parsed.request.id.empty());
    CHECK(parsed.request.identity == request_identity("", 7));
    CHECK(good(R"({"id":12,"prompt":"x"})").request.id == "12");
    CHECK(good(R"({"custom_id":"c","prompt":"x"})").request.id == "c");
    CHECK(bad(R"({"id":"a","custom_id":"b","prompt":"x"})").code == "invalid_id");
    CHECK(bad(R"({"id":"q","note":1,"prompt":5})").metadata == R"({"note":1})");
}

TEST_CASE("plain text lines are prompts as they stand") {
    CHECK(good(R"({"prompt": 5})", InputFormat::text).text == R"({"prompt": 5})");
    CHECK(bad("ab\xff", InputFormat::text).sentence ==
          "Byte 3 of the line (0xff) is no valid UTF-8. Convert the file to UTF-8.");
    CHECK(parse_input_format("text") == InputFormat::text);
    CHECK(parse_input_format("jsonl") == InputFormat::jsonl);
    CHECK_THROWS_AS(parse_input_format("csv"), Error);
    CHECK(is_blank(" \t\r"));
    CHECK_FALSE(is_blank(" x"));
}

TEST_CASE("fields that are not honoured are named, with the nearest that is") {
    const LineError error = bad(batch(R"({"prompt":"a","max_token":5})"));
    CHECK(error.code == "unsupported_field");
    CHECK(error.id == "a");
    CHECK(has(error.sentence, "The field \"max_token\" is not honoured; the nearest that is: max_tokens."));
    CHECK(has(error.sentence, "temperature, top_k, top_p, user"));
    for (const char* field : {"response_format", "best_of", "suffix", "top_logprobs", "Prompt", "promptx"}) {
        CHECK(bad(batch(std::string(R"({"prompt":"a",")") + field + "\":null}")).code == "unsupported_field");
    }
    CHECK(nearest_field("temprature") == "temperature");
    CHECK(nearest_field("top_n") == "top_k");
    CHECK(nearest_field(std::string(100000, 'x')).empty());
    CHECK(nearest_field("").empty());
    CHECK(bad(R"({"custom_id":"a","url":"/v1/completions","body":{"prompt":"x"},"max_tokens":3})").code ==
          "unsupported_field");
}

TEST_CASE("types and ranges are checked, and the sentence says what is wanted") {
    const std::vector<std::pair<std::string, std::string>> cases{
        {R"("max_tokens":-1)", "invalid_value"},
        {R"("max_tokens":1.5)", "invalid_type"},
        {R"("max_tokens":"5")", "invalid_type"},
        {R"("max_tokens":2147483648)", "invalid_value"},
        {R"("max_tokens":18446744073709551615)", "invalid_value"},
        {R"("temperature":-0.1)", "invalid_value"},
        {R"("temperature":"hot")", "invalid_type"},
        {R"("temperature":1e400)", "invalid_json"},
        {R"("top_p":1.01)", "invalid_value"},
        {R"("top_p":-0.5)", "invalid_value"},
        {R"("min_p":2)", "invalid_value"},
        {R"("top_k":-2)", "invalid_value"},
        {R"("n":0)", "invalid_value"},
        {R"("n":true)", "invalid_type"},
        {R"("logprobs":21)", "invalid_value"},
        {R"("logprobs":true)", "invalid_type"},
        {R"("echo":1)", "invalid_type"},
        {R"("stream":true)", "invalid_value"},
        {R"("user":5)", "invalid_type"},
        {R"("model":[])", "invalid_type"},
        {R"("seed":1.0)", "invalid_type"},
        {R"("stop":[1])", "invalid_type"},
        {R"("stop":"")", "invalid_value"},
        {R"("stop":{})", "invalid_type"},
        {R"("stop_token_ids":[-1])", "invalid_value"},
        {R"("stop":["1","2","3","4","5","6","7","8","9","a","b","c","d","e","f","g","h"])", "invalid_value"},
    };
    for (const auto& [member, code] : cases) {
        CAPTURE(member);
        const LineError error = bad(batch("{\"prompt\":\"a\"," + member + "}"));
        CHECK(error.code == code);
        CHECK(error.sentence.ends_with('.'));
    }
    CHECK(bad(batch(R"({"prompt":"a","top_p":1.5})")).sentence == "top_p must be from 0 to 1; it is \"1.5\".");
    for (const char* prompt : {"5", "{}", "true"})
        CHECK(bad(batch(std::string("{\"prompt\":") + prompt + "}")).code == "invalid_type");
    for (const char* prompt : {"[]", R"(["a","b"])", "[[1],[2]]", "[-1]", "[2147483648]"}) {
        CHECK(bad(batch(std::string("{\"prompt\":") + prompt + "}")).code == "invalid_value");
    }
    CHECK(bad(batch("{\"prompt\":[1,\"a\"]}")).code == "invalid_type");
    CHECK(bad(batch("{\"prompt\":[1,2.5]}")).code == "invalid_type");
    CHECK(has(bad(batch(R"({"prompt":["a","b"]})")).sentence, "its own line"));
    CHECK(bad(batch("{}")).code == "missing_field");
    CHECK(bad(batch("5")).code == "invalid_type");
}

TEST_CASE("other methods and other addresses are told apart from mistakes") {
    const LineError chat =
        bad(R"({"custom_id":"c","method":"POST","url":"/v1/chat/completions","body":{"messages":[]}})");
    CHECK(chat.code == "no_chat_template");  // no model is known here
    CHECK(chat.id == "c");
    CHECK(bad(R"({"custom_id":"c","url":"/v1/embeddings","body":{}})").code == "unsupported_url");
    CHECK(bad(R"({"custom_id":"c","method":"GET","url":"/v1/completions","body":{}})").code == "unsupported_method");
    CHECK(bad(R"({"custom_id":"c","body":{"prompt":"a"}})").code == "missing_field");
    CHECK(bad(R"({"custom_id":"c","url":"/v1/completions"})").code == "missing_field");
    CHECK(bad(R"({"custom_id":5,"url":"/v1/completions","body":{"prompt":"a"}})").code == "invalid_type");
    CHECK(bad(R"({"custom_id":"","url":"/v1/completions","body":{"prompt":"a"}})").code == "invalid_id");
}

TEST_CASE("lines that are no requests at all") {
    CHECK(bad("hello").code == "invalid_json");
    CHECK(bad(R"({"prompt":"a")").code == "invalid_json");
    CHECK(bad(R"({"prompt":"a"} x)").code == "invalid_json");
    CHECK(bad("{\"prompt\":\"a\xc3(\"}").code == "invalid_utf8");
    CHECK(bad(R"({"prompt":"\ud800"})").code == "invalid_json");
    CHECK(bad("[1]").code == "invalid_line");
    CHECK(bad("\"text\"").code == "invalid_line");
    CHECK(bad("").code == "invalid_json");
    CHECK(bad(R"({"prompt":"a","prompt":"b"})").code == "duplicate_member");
    CHECK(good(R"({"prompt":"a","x":{"k":1},"y":{"k":2}})").request.line ==
          7);  // the same name in two objects is no repetition
    CHECK(bad(std::string(1000000, '[')).code == "invalid_json");
    const auto nested = [](std::size_t depth) {
        return R"({"prompt":"a","x":)" + std::string(depth, '[') + std::string(depth, ']') + "}";
    };
    CHECK(good(nested(60)).request.line == 7);
    CHECK(has(bad(nested(100)).sentence, "more than 64 levels"));
    CHECK(good(R"({"prompt":"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"[[["})")
              .text->size() > 64);
    CHECK(good(R"({"prompt":"a\u0000b"})").text == std::string("a\0b", 3));
}

TEST_CASE("names are unique over the input, default names included") {
    // Names of lines 1 to 5; those without an id are called by their line.
    std::vector<NameClaim> claims{name_claim("line-3", 5), name_claim("a", 1), name_claim("", 2), name_claim("", 3),
                                  name_claim("a", 4)};
    CHECK(repeated_names(claims) == std::vector<RepeatedName>{{4, 1}, {5, 3}});
    std::vector<NameClaim> none;
    CHECK(repeated_names(none).empty());
    const LineError again = duplicate_id("a", 4, 1, "{}");
    CHECK(again.code == "duplicate_id");
    CHECK(again.line == 4);
    CHECK(has(again.sentence, "\"a\" was already used in line 1"));
}
