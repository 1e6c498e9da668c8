// Chat completions: every member of a body in its place, and the same answer again from a shard.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "runtime/job/response.hpp"
#include "runtime/job/shard_table.hpp"

using namespace argosy;

namespace {

RequestResult chat_result() {
    RequestResult result;
    result.line = 7;
    result.id = "c-1";
    result.model = "demo";
    result.prompt_token_ids = {2046, 5};
    result.chat = true;
    Choice choice;
    choice.text = "Hé \"you\"";
    choice.token_ids = {40, 41, 42};
    choice.finish = FinishReason::stop;
    choice.logprobs = {{.token = "H", .logprob = -0.5F, .top = {{"H", -0.5F}, {"\xc3", -1.5F}}},
                       {.token = "bytes:\\xc3", .logprob = -0.25F}};
    result.choices = {choice};
    return result;
}

}  // namespace

TEST_CASE("a chat completion, byte for byte") {
    RequestResult result = chat_result();
    const std::string head =
        R"({"id":"batch_req_c-1","custom_id":"c-1","response":{"status_code":200,"request_id":"c-1","body":)"
        R"({"id":"chatcmpl-c-1","object":"chat.completion","created":0,"model":"demo","choices":[{"index":0,)"
        R"("message":{"role":"assistant","content":"Hé \"you\""},"logprobs":)";
    const std::string tail = R"(],"usage":{"prompt_tokens":2,"completion_tokens":3,"total_tokens":5}}},"error":null})";
    CHECK(response_line(result) == head + R"(null,"finish_reason":"stop"})" + tail);
    result.return_token_ids = true;
    CHECK(response_line(result) ==
          head + R"(null,"finish_reason":"stop","token_ids":[40,41,42],"prompt_token_ids":[2046,5]})" + tail);
    result.return_token_ids = false;
    result.logprobs = true;
    CHECK(
        response_line(result) ==
        head +
            R"({"content":[{"token":"H","logprob":-0.5,"bytes":[72],"top_logprobs":[{"token":"H","logprob":-0.5,"bytes":[72]},)"
            R"({"token":"bytes:\\xc3","logprob":-1.5,"bytes":[195]}]},)"
            R"({"token":"bytes:\\xc3","logprob":-0.25,"bytes":[195],"top_logprobs":[]}]},"finish_reason":"stop"})" +
            tail);
    CHECK(nlohmann::json::accept(response_line(result)));
    result.chat = false;
    CHECK(response_line(result).find("text_completion") != std::string::npos);
}

TEST_CASE("a shard keeps that an answer is a chat completion") {
    ShardTable table;
    RequestResult plain = chat_result();
    plain.chat = false;
    append(table, chat_result());
    append(table, plain);
    CHECK(text_of(answer_at(table, 0)) == response_line(chat_result()));
    CHECK(text_of(answer_at(table, 1)) == response_line(plain));
    CHECK(text_of(answer_at(table, 0)) != text_of(answer_at(table, 1)));
}
