// Settings of a request: penalties, biases, log probabilities of both endpoints, names that are slips, and the fields
// that are refused.
#include <algorithm>
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "runtime/job/request_settings.hpp"

using namespace argosy;
using Catch::Matchers::Contains;

namespace {

std::variant<ParsedRequest, LineError> parse(const std::string& line) {
    return parse_request_line(line, 3, InputFormat::jsonl, {.repetition_penalty = 1.1});
}

std::string batch(const std::string& member) {
    return R"({"custom_id":"a","url":"/v1/completions","body":{"prompt":"x")" + (member.empty() ? "" : "," + member) +
           "}}";
}

Request good(const std::string& line) {
    const auto parsed = parse(line);
    if (const auto* error = std::get_if<LineError>(&parsed)) FAIL(line << "\n" << error->sentence);
    return std::get<ParsedRequest>(parsed).request;
}

LineError bad(const std::string& line) {
    const auto parsed = parse(line);
    if (!std::holds_alternative<LineError>(parsed)) FAIL("accepted: " << line);
    return std::get<LineError>(parsed);
}

// The settings of a chat body, as the reader of chat lines gets them.
std::variant<Request, BadLine> chat(const std::string& body) {
    ParsedRequest parsed;
    try {
        const Json json = Json::parse(body);
        check_fields(json, Endpoint::chat);
        read_settings(json, Endpoint::chat, parsed);
    } catch (const BadLine& wrong) {
        return wrong;
    }
    return parsed.request;
}

}  // namespace

TEST_CASE("penalties and biases are read, and left out they come from the defaults") {
    Request request = good(batch(
        R"("presence_penalty":0.5,"frequency_penalty":-2,"repetition_penalty":1.25,"logit_bias":{"50":-100,"7":2.5})"));
    CHECK(request.presence_penalty == 0.5);
    CHECK(request.frequency_penalty == -2);
    CHECK(request.repetition_penalty == 1.25);
    CHECK(request.logit_bias == std::vector<TokenBias>{{7, 2.5}, {50, -100}});
    CHECK(has_penalties(request));
    request = good(batch(R"("presence_penalty":null,"repetition_penalty":null,"logit_bias":null)"));
    CHECK(request.presence_penalty == 0);
    CHECK(request.frequency_penalty == 0);
    CHECK(request.repetition_penalty == 1.1);
    CHECK(request.logit_bias.empty());
    request = good(batch(R"("repetition_penalty":1,"logit_bias":{})"));
    CHECK_FALSE(has_penalties(request));
    CHECK(has_penalties(good(batch(R"("repetition_penalty":1,"presence_penalty":0.25)"))));
    CHECK(has_penalties(good(batch(R"("repetition_penalty":1,"frequency_penalty":0.25)"))));
    CHECK(good(R"({"prompt":"x","presence_penalty":-1.5,"logit_bias":{"0":1}})").presence_penalty == -1.5);
}

TEST_CASE("penalties and biases of the wrong kind or size get a sentence") {
    const std::vector<std::tuple<std::string, std::string, std::string>> cases{
        {R"("presence_penalty":2.01)", "invalid_value", "presence_penalty must be from -2 to 2"},
        {R"("presence_penalty":"1")", "invalid_type", "presence_penalty must be a number"},
        {R"("frequency_penalty":-3)", "invalid_value", "frequency_penalty must be from -2 to 2"},
        {R"("repetition_penalty":0)", "invalid_value", "repetition_penalty must be from 0.01 to 100"},
        {R"("repetition_penalty":-1)", "invalid_value", "repetition_penalty"},
        {R"("repetition_penalty":[1])", "invalid_type", "repetition_penalty"},
        {R"("logit_bias":[[5,1]])", "invalid_type", R"(as in {"50": -100})"},
        {R"("logit_bias":{"5":101})", "invalid_value", "each bias of logit_bias must be from -100 to 100"},
        {R"("logit_bias":{"5":true})", "invalid_type", "each bias of logit_bias"},
        {R"("logit_bias":{"5":null})", "invalid_type", "each bias of logit_bias"},
        {R"("logit_bias":{"the":1})", "invalid_value", "names the token \"the\""},
        {R"("logit_bias":{"-1":1})", "invalid_value", "names the token \"-1\""},
        {R"("logit_bias":{"05":1})", "invalid_value", "names the token \"05\""},
        {R"("logit_bias":{"5 ":1})", "invalid_value", "decimal digits"},
        {R"("logit_bias":{"":1})", "invalid_value", "decimal digits"},
        {R"("logit_bias":{"2147483648":1})", "invalid_value", "decimal digits"},
        {R"("logit_bias":{"5":1,"5":2})", "duplicate_member", "stands twice"},
    };
    for (const auto& [member, code, part] : cases) {
        CAPTURE(member);
        CHECK(bad(batch(member)).code == code);
        CHECK_THAT(bad(batch(member)).sentence, Contains(part));
    }
}

TEST_CASE("completions give a number of logprobs; chat a switch and a number") {
    CHECK(good(batch(R"("logprobs":3)")).logprobs == 3);
    CHECK(bad(batch(R"("logprobs":true)")).code == "invalid_type");
    CHECK_THAT(bad(batch(R"("top_logprobs":3)")).sentence,
               Contains("\"top_logprobs\" is not honoured; the nearest that is: logprobs."));
    const auto logprobs = [](const std::string& body) {
        const auto outcome = chat(body);
        return std::holds_alternative<Request>(outcome) ? std::get<Request>(outcome).logprobs : -2;
    };
    CHECK(logprobs("{}") == -1);
    CHECK(logprobs(R"({"logprobs":false})") == -1);
    CHECK(logprobs(R"({"logprobs":null,"top_logprobs":null})") == -1);
    CHECK(logprobs(R"({"logprobs":true})") == 0);
    CHECK(logprobs(R"({"logprobs":true,"top_logprobs":0})") == 0);
    CHECK(logprobs(R"({"logprobs":true,"top_logprobs":20})") == 20);
    CHECK(std::get<BadLine>(chat(R"({"logprobs":true,"top_logprobs":21})")).code == "invalid_value");
    CHECK(std::get<BadLine>(chat(R"({"logprobs":5})")).code == "invalid_type");
    CHECK_THAT(std::get<BadLine>(chat(R"({"logprobs":false,"top_logprobs":2})")).sentence, Contains("both or neither"));
    CHECK_THAT(std::get<BadLine>(chat(R"({"top_logprobs":2})")).sentence, Contains("both or neither"));
}

TEST_CASE("chat has two names for the limit of tokens, and fields of its own") {
    CHECK(std::get<Request>(chat(R"({"max_completion_tokens":9})")).max_tokens == 9);
    CHECK(std::get<Request>(chat(R"({"max_completion_tokens":9,"max_tokens":9})")).max_tokens == 9);
    CHECK_THAT(std::get<BadLine>(chat(R"({"max_completion_tokens":9,"max_tokens":8})")).sentence,
               Contains("max_tokens is 8 and max_completion_tokens is 9"));
    CHECK(std::get<BadLine>(chat(R"({"echo":true})")).code == "unsupported_field");
    CHECK(std::get<BadLine>(chat(R"({"prompt":"x"})")).code == "unsupported_field");
    CHECK_THAT(std::get<BadLine>(chat(R"({"top_logprob":2})")).sentence, Contains("top_logprobs"));
    CHECK(std::get<Request>(chat(R"({"frequency_penalty":1,"logit_bias":{"3":1},"temperature":0.5})"))
              .frequency_penalty == 1);
}

TEST_CASE("every listed field is honoured: it changes the request or is checked") {
    // A field that is on the list and is not read would be dropped in silence. A wrong type must therefore be seen.
    for (const Endpoint endpoint : {Endpoint::completions, Endpoint::chat}) {
        std::string list = honoured_fields(endpoint) + ", ";
        for (std::size_t at = 0; (at = list.find(", ")) != list.npos; list.erase(0, at + 2)) {
            const std::string name = list.substr(0, at);
            const std::vector<std::string> by_callers = {"prompt",
                                                         "messages",
                                                         "tools",
                                                         "tool_choice",
                                                         "add_generation_prompt",
                                                         "continue_final_message",
                                                         "chat_template_kwargs"};
            if (std::find(by_callers.begin(), by_callers.end(), name) != by_callers.end()) continue;
            CAPTURE(name);
            CHECK(is_honoured(name, endpoint));
            ParsedRequest parsed;
            CHECK_THROWS_AS(read_settings(Json{{name, Json::array({Json::array()})}}, endpoint, parsed), BadLine);
        }
    }
}

TEST_CASE("a batch body refuses what it does not honour, and says what comes nearest only if something does") {
    const LineError format = bad(batch(R"("response_format":{"type":"json_object"})"));
    CHECK(format.code == "unsupported_field");
    CHECK_THAT(format.sentence, Contains("The field \"response_format\" is not honoured. Remove it"));
    CHECK_THAT(format.sentence, Contains("frequency_penalty") && Contains("logit_bias") &&
                                    Contains("presence_penalty") && Contains("repetition_penalty"));
    CHECK_THAT(bad(batch(R"("max_new_tokens":5)")).sentence, Contains("nearest that is: max_tokens"));
    CHECK_THAT(bad(batch(R"("best_of":5)")).sentence, Contains("nearest that is: n."));
    CHECK_THAT(bad(batch(R"("presence_penalti":5)")).sentence, Contains("nearest that is: presence_penalty"));
}

TEST_CASE("in a prompt line a slip of a setting's name is an error, data of the user's own is not") {
    for (const auto& [name, meant] :
         std::vector<std::pair<std::string, std::string>>{{"temprature", "temperature"},
                                                          {"Temperature", "temperature"},
                                                          {"temperatur", "temperature"},
                                                          {"max_token", "max_tokens"},
                                                          {"maxTokens", "max_tokens"},
                                                          {"max-tokens", "max_tokens"},
                                                          {"min_tokens", "max_tokens"},
                                                          {"topp", "top_p"},
                                                          {"topK", "top_k"},
                                                          {"logprob", "logprobs"},
                                                          {"logitbias", "logit_bias"},
                                                          {"repetiton_penalty", "repetition_penalty"},
                                                          {"ignore_EOS", "ignore_eos"},
                                                          {"Seed", "seed"},
                                                          {"STOP", "stop"},
                                                          {"promt", "prompt"}}) {
        CAPTURE(name);
        const LineError error = bad(R"({"id":"q","prompt":"x","source":"mine",")" + name + "\":1}");
        CHECK(error.code == "unsupported_field");
        CHECK(error.id == "q");
        CHECK_THAT(error.sentence, Contains("\"" + name + "\" looks like the setting " + meant + " misspelt."));
    }
    for (const char* name : {"max_new_tokens", "response_format", "best_of", "do_sample", "tools", "stop_sequences"}) {
        CAPTURE(name);
        CHECK_THAT(bad(std::string(R"({"prompt":"x",")") + name + "\":1}").sentence,
                   Contains("is a setting that is not honoured"));
    }
    for (const char* name :
         {"source",     "answer",   "task",     "step",     "mode",       "speed",  "tags",      "label",
          "note",       "score",    "text",     "question", "input",      "output", "reference", "category",
          "idx",        "index",    "name",     "node",     "m",          "tokens", "prompt_id", "n_tokens",
          "completion", "metadata", "language", "user_id",  "model_name", "stops",  "expected",  ""}) {
        CAPTURE(name);
        const auto parsed = parse(std::string(R"({"prompt":"x",")") + name + "\":1}");
        REQUIRE(std::holds_alternative<ParsedRequest>(parsed));
        CHECK(std::get<ParsedRequest>(parsed).metadata == std::string("{\"") + name + "\":1}");
    }
    CHECK(misspelt_field(std::string(1000000, 'x')).empty());
}
