// Parsing of request lines. Whatever a line holds, the answer is a value: a request, or an error with a sentence.
//
// Codes: invalid_utf8, invalid_json, duplicate_member, invalid_line, invalid_id, duplicate_id, unsupported_method,
// unsupported_url, missing_field, unsupported_field, invalid_type, invalid_value.
#include "runtime/job/request_file.hpp"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "kernels/base/error.hpp"
#include "runtime/job/json_text.hpp"

namespace argosy {

namespace {

using Json = nlohmann::json;

constexpr int kDepthMax = 64;
constexpr std::size_t kIdBytesMax = 512;
constexpr std::size_t kStopsMax = 16;
constexpr std::size_t kStopTokensMax = 1024;
constexpr int kLogprobsMax = 20;
constexpr int kSamplesMax = 1024;

// What is wrong with a line. Thrown and caught inside this file only: a line's parser is a walk in which any step may
// end it.
struct BadLine {
    std::string code;
    std::string sentence;
};

template <class... Args>
[[noreturn]] void bad(const char* code, fmt::format_string<Args...> format, Args&&... args) {
    throw BadLine{code, fmt::format(format, std::forward<Args>(args)...)};
}

// Part of a line's text as it may stand in a sentence: short, and with nothing that could spoil a terminal.
std::string shown(std::string_view text) {
    std::string out;
    std::size_t keep = std::min<std::size_t>(text.size(), 60);
    while (keep < text.size() && keep > 0 && (static_cast<unsigned char>(text[keep]) & 0xC0) == 0x80) --keep;
    append_json_string(out, text.substr(0, keep));
    if (keep < text.size()) out.insert(out.size() - 1, "...");
    return out;
}

// Levels of brackets outside strings: the library's destructor and writer recurse, so depth is bounded before parsing.
int depth_of(std::string_view text) {
    int depth = 0, deepest = 0;
    bool in_string = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (in_string) {
            if (c == '\\')
                ++i;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            deepest = std::max(deepest, ++depth);
        } else if (c == '}' || c == ']') {
            --depth;
        }
    }
    return deepest;
}

Json parse_json(std::string_view text) {
    if (depth_of(text) > kDepthMax) {
        bad("invalid_json", "The line's JSON is nested more than {} levels deep; requests need three.", kDepthMax);
    }
    std::vector<std::set<std::string>> open;  // names seen in each object that is not closed yet
    const auto watch = [&](int, Json::parse_event_t event, Json& value) {
        if (event == Json::parse_event_t::object_start) open.emplace_back();
        if (event == Json::parse_event_t::object_end) open.pop_back();
        if (event == Json::parse_event_t::key && !open.back().insert(value.get<std::string>()).second) {
            bad("duplicate_member",
                "The member {} stands twice in one object of the line; which one counts would be a guess.",
                shown(value.get_ref<const std::string&>()));
        }
        return true;
    };
    try {
        return Json::parse(text.begin(), text.end(), watch);
    } catch (const Json::exception& error) {
        // The library's text begins with an identifier in brackets; what follows says where and what.
        std::string_view what = error.what();
        if (const auto close = what.find("] "); close != what.npos) what.remove_prefix(close + 2);
        bad("invalid_json", "The line is not valid JSON: {}.", what.substr(0, 200));
    }
}

// ---- single members
// --------------------------------------------------------------------------------------------------------------

// A member that is there and not null, else nothing: null stands for "not given", as in OpenAI's interface.
const Json* given(const Json& object, const char* name) {
    const auto found = object.find(name);
    return found == object.end() || found->is_null() ? nullptr : &*found;
}

std::int64_t integer(const Json& value, const char* name, std::int64_t low, std::int64_t high) {
    if (!value.is_number_integer())
        bad("invalid_type", "{} must be an integer from {} to {}; it is {}.", name, low, high, shown(value.dump()));
    const bool huge = value.is_number_unsigned() &&
                      value.get<std::uint64_t>() > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    if (huge || value.get<std::int64_t>() < low || value.get<std::int64_t>() > high) {
        bad("invalid_value", "{} must be from {} to {}; it is {}.", name, low, high, shown(value.dump()));
    }
    return value.get<std::int64_t>();
}

double number(const Json& value, const char* name, double low, double high) {
    if (!value.is_number())
        bad("invalid_type", "{} must be a number from {} to {}; it is {}.", name, low, high, shown(value.dump()));
    const double result = value.get<double>();
    if (!(result >= low && result <= high)) {
        bad("invalid_value", "{} must be from {} to {}; it is {}.", name, low, high, shown(value.dump()));
    }
    return result;
}

bool boolean(const Json& value, const char* name) {
    if (!value.is_boolean()) bad("invalid_type", "{} must be true or false; it is {}.", name, shown(value.dump()));
    return value.get<bool>();
}

const std::string& text_of(const Json& value, const char* name) {
    if (!value.is_string()) bad("invalid_type", "{} must be a string; it is {}.", name, shown(value.dump()));
    return value.get_ref<const std::string&>();
}

std::vector<std::int32_t> token_ids(const Json& value, const char* name) {
    if (!value.is_array()) bad("invalid_type", "{} must be a list of token ids; it is {}.", name, shown(value.dump()));
    std::vector<std::int32_t> ids;
    ids.reserve(value.size());
    for (const Json& id : value) {
        ids.push_back(static_cast<std::int32_t>(integer(id, name, 0, std::numeric_limits<std::int32_t>::max())));
    }
    return ids;
}

std::uint64_t seed_of(const Json& value) {
    if (value.is_number_unsigned()) return value.get<std::uint64_t>();
    return static_cast<std::uint64_t>(
        integer(value, "seed", std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max()));
}

std::vector<std::string> stops_of(const Json& value) {
    std::vector<std::string> stops;
    if (value.is_string()) {
        stops.push_back(value.get<std::string>());
    } else if (value.is_array()) {
        if (value.size() > kStopsMax)
            bad("invalid_value", "stop lists {} texts; at most {} are honoured.", value.size(), kStopsMax);
        for (const Json& stop : value) stops.push_back(text_of(stop, "each text of stop"));
    } else {
        bad("invalid_type", "stop must be a string or a list of at most {} strings; it is {}.", kStopsMax,
            shown(value.dump()));
    }
    for (const std::string& stop : stops) {
        if (stop.empty())
            bad("invalid_value", "A text of stop is empty: generation would end before it began. Leave it out.");
    }
    return stops;
}

void read_prompt(const Json& prompt, ParsedRequest& parsed) {
    if (prompt.is_string()) {
        parsed.text = prompt.get<std::string>();
        return;
    }
    if (!prompt.is_array())
        bad("invalid_type", "prompt must be a string or a list of token ids; it is {}.", shown(prompt.dump()));
    if (prompt.empty()) bad("invalid_value", "prompt is an empty list; give at least one token id.");
    if (prompt[0].is_string() || prompt[0].is_array()) {
        bad("invalid_value",
            "prompt is a list of prompts; give each its own line with its own id, so that each gets its own answer.");
    }
    parsed.request.prompt = token_ids(prompt, "prompt");
}

// Every setting that the object gives, into the request that already holds the defaults.
void read_settings(const Json& object, ParsedRequest& parsed) {
    constexpr int kIntMax = std::numeric_limits<int>::max();
    Request& request = parsed.request;
    const auto as_int = [](const Json& value, const char* name, int low, int high) {
        return static_cast<int>(integer(value, name, low, high));
    };
    if (const Json* v = given(object, "model")) parsed.model = text_of(*v, "model");
    if (const Json* v = given(object, "max_tokens")) request.max_tokens = as_int(*v, "max_tokens", 0, kIntMax);
    if (const Json* v = given(object, "n")) request.n = as_int(*v, "n", 1, kSamplesMax);
    if (const Json* v = given(object, "temperature")) request.temperature = number(*v, "temperature", 0, 100);
    if (const Json* v = given(object, "top_p")) request.top_p = number(*v, "top_p", 0, 1);
    if (const Json* v = given(object, "min_p")) request.min_p = number(*v, "min_p", 0, 1);
    if (const Json* v = given(object, "top_k"))
        request.top_k = std::max(0, as_int(*v, "top_k", -1, kIntMax));  // -1 is vLLM's "off"
    if (const Json* v = given(object, "seed")) request.seed = seed_of(*v);
    if (const Json* v = given(object, "stop")) request.stop = stops_of(*v);
    if (const Json* v = given(object, "stop_token_ids")) {
        request.stop_token_ids = token_ids(*v, "stop_token_ids");
        if (request.stop_token_ids.size() > kStopTokensMax)
            bad("invalid_value", "stop_token_ids lists more than {} ids.", kStopTokensMax);
    }
    if (const Json* v = given(object, "logprobs")) request.logprobs = as_int(*v, "logprobs", 0, kLogprobsMax);
    if (const Json* v = given(object, "echo")) request.echo = boolean(*v, "echo");
    if (const Json* v = given(object, "ignore_eos")) request.ignore_eos = boolean(*v, "ignore_eos");
    if (const Json* v = given(object, "return_token_ids")) request.return_token_ids = boolean(*v, "return_token_ids");
    if (const Json* v = given(object, "stream"); v && boolean(*v, "stream")) {
        bad("invalid_value", "stream is true; a batch job writes whole answers. Leave it out or say false.");
    }
    if (const Json* v = given(object, "user")) text_of(*v, "user");
    const Json* prompt = given(object, "prompt");
    if (!prompt) bad("missing_field", "The request has no prompt; give a string or a list of token ids.");
    read_prompt(*prompt, parsed);
}

bool is_honoured(std::string_view name) { return nearest_field(name) == name; }

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
        bad("unsupported_method", "method is {}; only POST is known.", shown(method->dump()));
    }
    const Json* url = given(line, "url");
    if (!url) bad("missing_field", "The batch line has no url; write \"url\": \"/v1/completions\".");
    const std::string& path = text_of(*url, "url");
    if (path == "/v1/chat/completions") {
        bad("unsupported_url",
            "Chat requests (/v1/chat/completions) are not supported by this version. Render the messages with the "
            "model's chat "
            "template and send the text to /v1/completions.");
    }
    if (path != "/v1/completions") bad("unsupported_url", "url is {}; requests go to /v1/completions.", shown(path));
    const Json* body = given(line, "body");
    if (!body) bad("missing_field", "The batch line has no body; it holds the prompt and the settings.");
    if (!body->is_object()) bad("invalid_type", "body must be an object; it is {}.", shown(body->dump()));
}

void read_batch_line(const Json& line, ParsedRequest& parsed) {
    parsed.request.id = id_of(line, "custom_id");
    if (given(line, "custom_id") && !line["custom_id"].is_string())
        bad("invalid_type", "custom_id must be a string; it is {}.", parsed.request.id);
    check_envelope(line);
    const Json& body = line["body"];
    for (const auto& [name, value] : body.items()) {
        if (!is_honoured(name)) {
            const std::string_view near = nearest_field(name);
            bad("unsupported_field",
                "The field {} is not honoured{}. Remove it, or the answer would not be what was asked for. Honoured: "
                "{}.",
                shown(name), near.empty() ? "" : fmt::format("; the nearest that is: {}", near), honoured_fields());
        }
    }
    read_settings(body, parsed);
}

void read_prompt_line(const Json& line, ParsedRequest& parsed) {
    Json others = Json::object();
    for (const auto& [name, value] : line.items()) {
        if (name != "id" && name != "custom_id" && !is_honoured(name)) others[name] = value;
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
    read_settings(line, parsed);
}

void read_line(std::string_view text, InputFormat format, ParsedRequest& parsed) {
    if (const std::size_t place = first_bad_utf8(text); place != text.size()) {
        bad("invalid_utf8", "Byte {} of the line (0x{:02x}) is no valid UTF-8. Convert the file to UTF-8.", place + 1,
            static_cast<unsigned char>(text[place]));
    }
    if (format == InputFormat::text) {
        parsed.text = std::string(text);
        return;
    }
    const Json line = parse_json(text);
    if (!line.is_object())
        bad("invalid_line",
            "The line is not a JSON object. Give {{\"prompt\": ...}} or an OpenAI batch line, or say --input-format "
            "text.");
    if (line.contains("body") || line.contains("url") || line.contains("method")) {
        read_batch_line(line, parsed);
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
                                                          const GenerationDefaults& defaults) {
    ParsedRequest parsed;
    Request& request = parsed.request;
    request.line = line;
    request.max_tokens = defaults.max_tokens;
    request.n = defaults.n;
    request.temperature = defaults.temperature;
    request.top_p = defaults.top_p;
    request.min_p = defaults.min_p;
    request.top_k = defaults.top_k;
    request.seed = defaults.seed;
    try {
        read_line(text, format, parsed);
    } catch (const BadLine& bad_line) {
        return LineError{line, request.id, bad_line.code, bad_line.sentence, parsed.metadata};
    }
    request.identity = request_identity(request.id, line);
    return parsed;
}

bool is_blank(std::string_view text) { return text.find_first_not_of(" \t\r") == std::string_view::npos; }

std::optional<LineError> UniqueNames::claim(std::string_view id, std::int64_t line) {
    const std::string name = request_name(id, line);
    const auto [entry, is_new] = first_line_.try_emplace(chain_digest_bytes({}, name), line);
    if (is_new) return std::nullopt;
    return LineError{
        line,
        std::string(id),
        "duplicate_id",
        fmt::format(
            "The id {} was already used in line {}; ids must be unique, since answers and random numbers hang on them.",
            shown(name), entry->second),
        {}};
}

}  // namespace argosy
