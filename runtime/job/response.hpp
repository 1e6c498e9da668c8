// Answers: the result of a request as a line of OpenAI's batch output, or an error record. Bytes depend on the result
// alone, never on the run.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/job/request_file.hpp"
#include "runtime/schedule/request.hpp"

namespace argosy {

// What is reported of one token's logprob.
struct TokenLogprob {
    std::string token{};             // its text; bytes that are no UTF-8 are written as "bytes:\xe2\x80"
    std::optional<float> logprob{};  // nothing for the first token of an echoed prompt
    // Alternatives, most likely first; of equal texts the first is kept.
    std::vector<std::pair<std::string, float>> top{};
    int characters = -1;   // characters by which this token moves text_offset; -1: the characters of `token`
    std::int32_t id = -1;  // the token; kept in shards, not written in answers
    std::vector<std::int32_t> top_ids{};  // of `top`; empty when the ids are not known
    bool operator==(const TokenLogprob&) const = default;
};

struct Choice {
    int index = 0;       // the sample
    std::string text{};  // generated text; response_line puts the prompt's text before it when echoed
    std::vector<std::int32_t> token_ids{};  // generated only
    FinishReason finish = FinishReason::length;
    std::vector<TokenLogprob> logprobs{};  // of the generated tokens; used when RequestResult::logprobs is true
    bool operator==(const Choice&) const = default;
};

// What a request cost, in tokens by class, all samples together; its price hangs on these. Kept in shards, not written
// in answers: they depend on the run.
struct RequestCounts {
    std::int64_t uncached_input = 0;
    std::int64_t cached_input = 0;
    std::int64_t delivered_output = 0;
    std::int64_t rejected_draft = 0;
    std::int64_t discarded = 0;  // computed again after a preemption
    bool operator==(const RequestCounts&) const = default;
};

struct RequestResult {
    std::int64_t line = 0;
    std::string id{};     // as the line gave it; empty: none
    std::string model{};  // the served model's name
    std::vector<std::int32_t> prompt_token_ids{};
    bool return_token_ids = false;
    bool echo = false;
    bool logprobs = false;
    bool chat = false;          // the answer is a chat completion
    AnswerMarks marks{};        // of one
    std::string prompt_text{};  // used with echo
    // Used with echo and logprobs: one per prompt token, the first without a value.
    std::vector<TokenLogprob> prompt_logprobs{};
    std::vector<Choice> choices{};  // by rising index
    std::string metadata{};         // JSON object or empty, as in ParsedRequest
    RequestCounts counts{};
    bool operator==(const RequestResult&) const = default;
};

// One line without its end:
// {"id":"batch_req_NAME","custom_id":"NAME","response":{"status_code":200,"request_id":"NAME","body":{...}},"error":null}
// Body: id "cmpl-NAME", object, created 0, model, choices [{index, text, logprobs, finish_reason, token_ids,
// prompt_token_ids}], usage. text_offset counts Unicode characters from the beginning of the choice's text. With
// metadata a last member "metadata" holds it. Chats have the body of chat_response.hpp.
std::string response_line(const RequestResult& result);

// {"id":"batch_req_NAME","custom_id":"NAME","response":null,"error":{"code":...,"message":...,"line":...}}
std::string error_line(const LineError& error);

}  // namespace argosy
