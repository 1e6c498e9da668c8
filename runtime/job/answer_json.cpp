// Members, lists, tokens' names and usage of an answer.
#include "runtime/job/answer_json.hpp"

#include "runtime/job/json_text.hpp"

namespace argosy {

void append_member(std::string& out, std::string_view name) {
    if (out.back() != '{') out += ',';
    append_json_string(out, name);
    out += ':';
}

void append_ids(std::string& out, const std::vector<std::int32_t>& ids) {
    append_list(out, ids, [&](std::int32_t id) { append_json_number(out, static_cast<std::int64_t>(id)); });
}

std::string token_name(std::string_view token) {
    if (is_utf8(token)) return std::string(token);
    constexpr char kHex[] = "0123456789abcdef";
    std::string name = "bytes:";
    for (const char byte : token) {
        const auto value = static_cast<unsigned char>(byte);
        name += {'\\', 'x', kHex[value >> 4], kHex[value & 15]};
    }
    return name;
}

std::string token_name_bytes(std::string_view name) {
    constexpr std::string_view kHead = "bytes:", kHex = "0123456789abcdef";
    const std::string_view codes = name.substr(std::min(kHead.size(), name.size()));
    if (name.substr(0, kHead.size()) != kHead || codes.empty() || codes.size() % 4 != 0) return std::string(name);
    std::string bytes;
    for (std::size_t i = 0; i < codes.size(); i += 4) {
        const std::size_t high = kHex.find(codes[i + 2]), low = kHex.find(codes[i + 3]);
        if (codes.substr(i, 2) != "\\x" || high == kHex.npos || low == kHex.npos) return std::string(name);
        bytes += static_cast<char>(high * 16 + low);
    }
    return bytes;
}

void append_choice_end(std::string& out, const RequestResult& result, const Choice& choice, std::string_view reason) {
    append_member(out, "finish_reason");
    append_json_string(out, reason);
    if (result.return_token_ids) {
        append_member(out, "token_ids");
        append_ids(out, choice.token_ids);
        append_member(out, "prompt_token_ids");
        append_ids(out, result.prompt_token_ids);
    }
    out += '}';
}

void append_body_head(std::string& out, const RequestResult& result, std::string_view id, std::string_view object) {
    append_member(out, "id");
    append_json_string(out, id);
    append_member(out, "object");
    append_json_string(out, object);
    append_member(out, "created");
    out += '0';
    append_member(out, "model");
    append_json_string(out, result.model);
}

void append_usage(std::string& out, const RequestResult& result) {
    const auto prompt = static_cast<std::int64_t>(result.prompt_token_ids.size());
    std::int64_t completion = 0;
    for (const Choice& choice : result.choices) completion += static_cast<std::int64_t>(choice.token_ids.size());
    out += "{\"prompt_tokens\":";
    append_json_number(out, prompt);
    out += ",\"completion_tokens\":";
    append_json_number(out, completion);
    out += ",\"total_tokens\":";
    append_json_number(out, prompt + completion);
    out += '}';
}

}  // namespace argosy
