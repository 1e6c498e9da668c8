// Parsing of request lines. Whatever a line holds, the answer is a value: a request, or an error with a sentence.
//
// Codes: invalid_utf8, invalid_json, duplicate_member, invalid_line, invalid_id, duplicate_id, unsupported_method,
// unsupported_url, missing_field, unsupported_field, invalid_type, invalid_value; of chats also those of
// chat_request.cpp.
#include "runtime/job/request_file.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "kernels/base/error.hpp"
#include "runtime/job/chat_request.hpp"
#include "runtime/job/json_text.hpp"
#include "runtime/job/line_json.hpp"
#include "runtime/job/request_settings.hpp"

namespace argosy {

namespace {

constexpr std::size_t kIdBytesMax = 512;

void read_prompt(const Json& object, ParsedRequest& parsed) {
    const Json* member = given(object, "prompt");
    if (!member) bad("missing_field", "The request has no prompt; give a string or a list of token ids.");
    const Json& prompt = *member;
    if (prompt.is_string()) {
        parsed.text = prompt.get<std::string>();
        return;
    }
    if (!prompt.is_array())
        bad("invalid_type", "prompt must be a string or a list of token ids; it is {}.", shown_value(prompt));
    if (prompt.empty()) bad("invalid_value", "prompt is an empty list; give at least one token id.");
    if (prompt[0].is_string() || prompt[0].is_array()) {
        bad("invalid_value",
            "prompt is a list of prompts; give each its own line with its own id, so that each gets its own answer.");
    }
    parsed.request.prompt = token_ids(prompt, "prompt");
}

std::string id_of(const Json& line, const char* name) {
    const Json* value = given(line, name);
    if (!value) return {};
    if (value->is_number_integer()) return value->dump();  // ids are often numbers in prompt lines
    const std::string& id = text_of(*value, name);
    if (id.empty() || id.size() > kIdBytesMax)
        bad("invalid_id", "{} must have from 1 to {} bytes; it has {}.", name, kIdBytesMax, id.size());
    return id;
}

// ---- the two kinds of lines
// ------------------------------------------------------------------------------------------------------

void check_envelope(const Json& line) {
    for (const auto& [name, value] : line.items()) {
        if (name != "custom_id" && name != "method" && name != "url" && name != "body") {
            bad("unsupported_field",
                "The batch line has a member {}; it may have custom_id, method, url and body. Settings belong into "
                "body.",
                shown(name));
        }
    }
    if (const Json* method = given(line, "method"); method && text_of(*method, "method") != "POST") {
        bad("unsupported_method", "method is {}; only POST is known.", shown_value(*method));
    }
    const Json* url = given(line, "url");
    if (!url) bad("missing_field", "The batch line has no url; write \"url\": \"/v1/completions\".");
    const std::string& path = text_of(*url, "url");
    if (path != "/v1/completions" && path != "/v1/chat/completions") {
        bad("unsupported_url", "url is {}; requests go to /v1/completions or /v1/chat/completions.", shown(path));
    }
    const Json* body = given(line, "body");
    if (!body)
        bad("missing_field", "The batch line has no body; it holds the prompt or the messages, and the settings.");
    if (!body->is_object()) bad("invalid_type", "body must be an object; it is {}.", shown_value(*body));
}

void read_batch_line(const Json& line, std::string_view text, const ChatContext* chat, ParsedRequest& parsed) {
    parsed.request.id = id_of(line, "custom_id");
    if (given(line, "custom_id") && !line["custom_id"].is_string())
        bad("invalid_type", "custom_id must be a string; it is {}.", parsed.request.id);
    check_envelope(line);
    const Json& body = line["body"];
    const bool is_chat = line["url"] == "/v1/chat/completions";
    const Endpoint endpoint = is_chat ? Endpoint::chat : Endpoint::completions;
    check_fields(body, endpoint);
    read_settings(body, endpoint, parsed);
    if (is_chat)
        read_conversation(body, text, chat, parsed);
    else
        read_prompt(body, parsed);
}

void read_prompt_line(const Json& line, ParsedRequest& parsed) {
    Json others = Json::object();
    for (const auto& [name, value] : line.items()) {
        if (name != "id" && name != "custom_id" && !is_honoured(name, Endpoint::completions)) others[name] = value;
    }
    if (!others.empty()) parsed.metadata = others.dump();
    parsed.request.id = id_of(line, "id");
    const std::string custom = id_of(line, "custom_id");
    if (!custom.empty()) {
        if (!parsed.request.id.empty() && parsed.request.id != custom) {
            bad("invalid_id", "The line has id {} and custom_id {}; give one of them.", shown(parsed.request.id),
                shown(custom));
        }
        parsed.request.id = custom;
    }
    for (const auto& [name, value] : others.items()) check_own_member(name);
    read_settings(line, Endpoint::completions, parsed);
    read_prompt(line, parsed);
}

void read_line(std::string_view text, InputFormat format, const ChatContext* chat, ParsedRequest& parsed) {
    if (const std::size_t place = first_bad_utf8(text); place != text.size()) {
        bad("invalid_utf8", "Byte {} of the line (0x{:02x}) is no valid UTF-8. Convert the file to UTF-8.", place + 1,
            static_cast<unsigned char>(text[place]));
    }
    if (format == InputFormat::text) {
        parsed.text = std::string(text);
        return;
    }
    const Json line = parse_line_json(text);
    if (!line.is_object())
        bad("invalid_line",
            "The line is not a JSON object. Give {{\"prompt\": ...}} or an OpenAI batch line, or say --input-format "
            "text.");
    if (line.contains("body") || line.contains("url") || line.contains("method")) {
        read_batch_line(line, text, chat, parsed);
    } else {
        read_prompt_line(line, parsed);
    }
}

}  // namespace

InputFormat parse_input_format(std::string_view name) {
    if (name == "jsonl") return InputFormat::jsonl;
    if (name == "text") return InputFormat::text;
    fail(ErrorKind::usage, "--input-format is {}; it can be jsonl or text.", shown(name));
}

std::variant<ParsedRequest, LineError> parse_request_line(std::string_view text, std::int64_t line, InputFormat format,
                                                          const GenerationDefaults& defaults, const ChatContext* chat) {
    ParsedRequest parsed;
    Request& request = parsed.request;
    request.line = line;
    request.max_tokens = defaults.max_tokens;
    request.n = defaults.n;
    request.temperature = defaults.temperature;
    request.top_p = defaults.top_p;
    request.min_p = defaults.min_p;
    request.top_k = defaults.top_k;
    request.repetition_penalty = defaults.repetition_penalty;
    request.seed = defaults.seed;
    try {
        read_line(text, format, chat, parsed);
    } catch (const BadLine& bad_line) {
        return LineError{line, request.id, bad_line.code, bad_line.sentence, parsed.metadata};
    }
    request.identity = request_identity(request.id, line);
    return parsed;
}

bool is_blank(std::string_view text) { return text.find_first_not_of(" \t\r") == std::string_view::npos; }

LineError duplicate_id(std::string_view id, std::int64_t line, std::int64_t first_line, std::string metadata) {
    return {
        .line = line,
        .id = std::string(id),
        .code = "duplicate_id",
        .sentence = fmt::format("The id {} was already used in line {}; ids must be unique, since answers and random "
                                "numbers hang on them.",
                                shown(request_name(id, line)), first_line),
        .metadata = std::move(metadata)};
}

}  // namespace argosy
