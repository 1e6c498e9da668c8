// What a job asks for: struct Request, one line of the input with its settings; and how a request and an answer are
// named.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace argosy {

// An entry of logit_bias.
struct TokenBias {
    std::int32_t token = 0;
    double bias = 0;
    bool operator==(const TokenBias&) const = default;
};

// How the answer to a chat is taken apart: marks that the model's chat template taught it to write
// (runtime/job/answer_parts.hpp). None: all is content.
struct AnswerMarks {
    bool think = false;       // <think> and </think> around reasoning
    bool think_open = false;  // the prompt ends within the reasoning
    bool tool_calls = false;  // <tool_call> and </tool_call> around a call
    bool channels = false;    // messages of Harmony, between special tokens, which the text then holds
    bool operator==(const AnswerMarks&) const = default;
};

// One request, ready for the scheduler: its prompt is token ids. Settings carry OpenAI's names and meanings.
struct Request {
    std::int64_t line = 0;       // line number in the whole input, counted from 1
    std::string id{};            // custom_id (in prompt lines: id); empty when the line gave none
    std::uint64_t identity = 0;  // request_identity(id, line); random numbers hang on it (R7)

    std::vector<std::int32_t> prompt{};  // token ids; at least one
    int max_tokens = 16;                 // generated tokens at most, per sample; 0: the prompt is only scored
    int n = 1;                           // samples

    double temperature = 1;  // 0: greedy
    double top_p = 1;        // 1: off
    double min_p = 0;        // 0: off
    int top_k = 0;           // 0: off
    std::uint64_t seed = 0;
    double presence_penalty = 0;          // subtracted from the logits of generated tokens; 0: off
    double frequency_penalty = 0;         // the same, per time that the token was generated
    double repetition_penalty = 1;        // divides the logits of tokens in prompt or answer; 1: off
    std::vector<TokenBias> logit_bias{};  // added to logits; by rising token, each once

    std::vector<std::string> stop{};             // generation ends before the first of these texts
    std::vector<std::int32_t> stop_token_ids{};  // generation ends with one of these tokens
    bool ignore_eos = false;

    int logprobs = -1;  // alternatives reported per token; 0: the chosen token only; -1: none
    bool echo = false;  // the prompt stands before the generated text
    bool return_token_ids = false;
    bool chat = false;    // the answer is a chat completion
    AnswerMarks marks{};  // of one

    bool operator==(const Request&) const = default;
};

enum class FinishReason : std::uint8_t {
    none,    // still going on
    stop,    // end of sequence, a stop token or a stop text
    length,  // max_tokens reached (or max_tokens is 0)
    error,   // given up by the engine; the answer is an error record
};

// "stop", "length", "error" or "" for none.
std::string_view to_string(FinishReason reason);

// The 64 bits that a request's random numbers hang on: a fixed hash of its id, or of its line number when it has no id.
std::uint64_t request_identity(std::string_view id, std::int64_t line);

// The name a request goes by in results: its id, or "line-7" when it has none.
std::string request_name(std::string_view id, std::int64_t line);

// True when the answer reports log probabilities of the prompt (echo with logprobs), so that the prompt must be
// computed, not found.
bool needs_prompt_logits(const Request& request);

// True when the choice of a token depends on which tokens stand before it.
bool has_penalties(const Request& request);

// Tokens that the request's longest sample can have: prompt + max_tokens.
std::int64_t longest_total(const Request& request);

}  // namespace argosy
