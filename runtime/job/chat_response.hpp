// Answers to chat requests: the body that OpenAI calls a chat completion.
#pragma once

#include <string>

#include "runtime/job/response.hpp"

namespace argosy {

// Appends {"id":"chatcmpl-NAME","object":"chat.completion","created":0,"model":..,"choices":[{"index":..,
// "message":{"role":"assistant","content":..},"logprobs":..,"finish_reason":..}],"usage":..}. Logprobs are an object
// with a list `content`: token, logprob, bytes and top_logprobs of each generated token. Where result.marks says so,
// the message has "reasoning_content" and "tool_calls" too, as answer_parts.hpp finds them; content is null where there
// is none; an answer that ends with calls has the finish reason "tool_calls".
void append_chat_body(std::string& out, const RequestResult& result);

}  // namespace argosy
