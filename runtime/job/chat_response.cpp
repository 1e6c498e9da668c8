// Writing chat completions member by member, in a fixed order.
#include "runtime/job/chat_response.hpp"

#include <fmt/format.h>

#include "runtime/job/answer_json.hpp"
#include "runtime/job/answer_parts.hpp"
#include "runtime/job/json_text.hpp"

namespace argosy {

namespace {

// "token":..,"logprob":..,"bytes":[..] of one token.
void append_token(std::string& out, const std::string& name, float logprob) {
    append_member(out, "token");
    append_json_string(out, name);
    append_member(out, "logprob");
    append_json_number(out, logprob);
    append_member(out, "bytes");
    std::vector<std::int32_t> bytes;
    for (const char byte : token_name_bytes(name)) bytes.push_back(static_cast<unsigned char>(byte));
    append_ids(out, bytes);
}

void append_entry(std::string& out, const TokenLogprob& entry) {
    out += '{';
    append_token(out, token_name(entry.token), entry.logprob.value_or(0));
    append_member(out, "top_logprobs");
    append_list(out, entry.top, [&](const std::pair<std::string, float>& alternative) {
        out += '{';
        append_token(out, token_name(alternative.first), alternative.second);
        out += '}';
    });
    out += '}';
}

void append_optional(std::string& out, const std::optional<std::string>& text) {
    text ? append_json_string(out, *text) : void(out += "null");
}

// Ids of calls hang on the request's name, the sample and the call's place.
void append_tool_calls(std::string& out, const std::string& name, int sample, const std::vector<ToolCall>& calls) {
    int number = 0;
    append_list(out, calls, [&](const ToolCall& call) {
        out += '{';
        append_member(out, "id");
        append_json_string(out, fmt::format("call-{}-{}-{}", name, sample, number++));
        append_member(out, "type");
        append_json_string(out, "function");
        append_member(out, "function");
        out += "{\"name\":";
        append_json_string(out, call.name);
        append_member(out, "arguments");
        append_json_string(out, call.arguments);
        out += "}}";
    });
}

void append_message(std::string& out, const std::string& name, int sample, const AnswerParts& parts) {
    out += "{\"role\":\"assistant\",\"content\":";
    append_optional(out, parts.content);
    if (parts.reasoning) {
        append_member(out, "reasoning_content");
        append_json_string(out, *parts.reasoning);
    }
    if (!parts.tool_calls.empty()) {
        append_member(out, "tool_calls");
        append_tool_calls(out, name, sample, parts.tool_calls);
    }
    out += '}';
}

void append_chat_choice(std::string& out, const RequestResult& result, const Choice& choice) {
    const AnswerParts parts = answer_parts(result.marks, choice.text);
    out += '{';
    append_member(out, "index");
    append_json_number(out, static_cast<std::int64_t>(choice.index));
    append_member(out, "message");
    append_message(out, request_name(result.id, result.line), choice.index, parts);
    append_member(out, "logprobs");
    if (result.logprobs) {
        out += "{\"content\":";
        append_list(out, choice.logprobs, [&](const TokenLogprob& entry) { append_entry(out, entry); });
        out += '}';
    } else {
        out += "null";
    }
    const bool calls = choice.finish == FinishReason::stop && !parts.tool_calls.empty();
    append_choice_end(out, result, choice, calls ? "tool_calls" : to_string(choice.finish));
}

}  // namespace

void append_chat_body(std::string& out, const RequestResult& result) {
    append_body(out, result, "chatcmpl-" + request_name(result.id, result.line), "chat.completion",
                [&](const Choice& choice) { append_chat_choice(out, result, choice); });
}

}  // namespace argosy
