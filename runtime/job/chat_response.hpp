// Answers to chat requests: the body that OpenAI calls a chat completion.
#pragma once

#include <string>

#include "runtime/job/response.hpp"

namespace argosy {

// Appends {"id":"chatcmpl-NAME","object":"chat.completion","created":0,"model":..,"choices":[{"index":..,
// "message":{"role":"assistant","content":..},"logprobs":..,"finish_reason":..}],"usage":..}. Logprobs are an object
// with a list `content`: token, logprob, bytes and top_logprobs of each generated token. What the model wrote stands in
// content as it is: reasoning and calls of tools are not taken apart.
void append_chat_body(std::string& out, const RequestResult& result);

}  // namespace argosy
