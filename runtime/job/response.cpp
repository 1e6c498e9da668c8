// Answers and error records as JSON lines, written member by member in a fixed order.
#include "runtime/job/response.hpp"

#include <algorithm>
#include <set>

#include "runtime/job/answer_json.hpp"
#include "runtime/job/chat_response.hpp"
#include "runtime/job/json_text.hpp"

namespace argosy {

namespace {

void append_top(std::string& out, const TokenLogprob& entry) {
    if (!entry.logprob) {
        out += "null";
        return;
    }
    std::set<std::string> written;
    out += '{';
    for (const auto& [token, logprob] : entry.top) {
        std::string name = token_name(token);
        if (!written.insert(name).second) continue;
        append_member(out, name);
        append_json_number(out, logprob);
    }
    out += '}';
}

void append_logprobs(std::string& out, const std::vector<TokenLogprob>& entries) {
    out += "{\"tokens\":";
    append_list(out, entries, [&](const TokenLogprob& entry) { append_json_string(out, token_name(entry.token)); });
    out += ",\"token_logprobs\":";
    append_list(out, entries, [&](const TokenLogprob& entry) {
        if (entry.logprob)
            append_json_number(out, *entry.logprob);
        else
            out += "null";
    });
    out += ",\"top_logprobs\":";
    append_list(out, entries, [&](const TokenLogprob& entry) { append_top(out, entry); });
    out += ",\"text_offset\":";
    std::int64_t offset = 0;
    append_list(out, entries, [&](const TokenLogprob& entry) {
        append_json_number(out, offset);
        if (entry.characters >= 0)
            offset += entry.characters;
        else
            offset += utf8_characters(entry.token);
    });
    out += '}';
}

void append_choice(std::string& out, const RequestResult& result, const Choice& choice) {
    out += '{';
    append_member(out, "index");
    append_json_number(out, static_cast<std::int64_t>(choice.index));
    append_member(out, "text");
    append_json_string(out, result.echo ? result.prompt_text + choice.text : choice.text);
    append_member(out, "logprobs");
    if (result.logprobs) {
        std::vector<TokenLogprob> entries;
        if (result.echo) entries = result.prompt_logprobs;
        entries.insert(entries.end(), choice.logprobs.begin(), choice.logprobs.end());
        append_logprobs(out, entries);
    } else {
        out += "null";
    }
    append_choice_end(out, result, choice, to_string(choice.finish));
}

void append_head(std::string& out, const std::string& name) {
    append_member(out, "id");
    append_json_string(out, "batch_req_" + name);
    append_member(out, "custom_id");
    append_json_string(out, name);
    append_member(out, "response");
}

// Metadata is JSON already, one line of it, as the parser of request lines wrote it.
void append_tail(std::string& out, const std::string& metadata) {
    if (!metadata.empty()) {
        append_member(out, "metadata");
        out += metadata;
    }
    out += '}';
}

void append_completion_body(std::string& out, const RequestResult& result, const std::string& name) {
    append_body(out, result, "cmpl-" + name, "text_completion",
                [&](const Choice& choice) { append_choice(out, result, choice); });
}

}  // namespace

std::string response_line(const RequestResult& result) {
    const std::string name = request_name(result.id, result.line);
    std::string out = "{";
    append_head(out, name);
    out += "{\"status_code\":200,\"request_id\":";
    append_json_string(out, name);
    out += ",\"body\":";
    result.chat ? append_chat_body(out, result) : append_completion_body(out, result, name);
    out += "},\"error\":null";
    append_tail(out, result.metadata);
    return out;
}

std::string error_line(const LineError& error) {
    std::string out = "{";
    append_head(out, request_name(error.id, error.line));
    out += "null,\"error\":{\"code\":";
    append_json_string(out, error.code);
    out += ",\"message\":";
    append_json_string(out, error.sentence);
    out += ",\"line\":";
    append_json_number(out, error.line);
    out += '}';
    append_tail(out, error.metadata);
    return out;
}

}  // namespace argosy
