// Request lines: one line of an input file becomes a ParsedRequest, or a LineError that says what is wrong with it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "runtime/schedule/request.hpp"
#include "runtime/schedule/token_hash.hpp"

namespace argosy {

enum class InputFormat {
    jsonl,  // OpenAI batch lines or {"prompt": ...} lines, told apart line by line
    text,   // every line is a prompt
};

struct ChatContext;  // runtime/job/chat_request.hpp

// What a body is sent to; it decides which fields it may have. Prompt lines have the fields of completions.
enum class Endpoint {
    completions,  // /v1/completions
    chat,         // /v1/chat/completions
};

// "jsonl" or "text"; anything else is ErrorKind::usage.
InputFormat parse_input_format(std::string_view name);

// What a line leaves out. The members' own values are OpenAI's; a model's generation_config.json replaces some of them.
struct GenerationDefaults {
    int max_tokens = 16;
    int n = 1;
    double temperature = 1;
    double top_p = 1;
    double min_p = 0;
    int top_k = 0;
    double repetition_penalty = 1;
    std::uint64_t seed = 0;  // the job's --seed; requests differ by identity
    bool operator==(const GenerationDefaults&) const = default;
};

// A line that was understood. Tokenizing is the caller's: either request.prompt holds the ids that the line gave, or
// `text` the prompt.
struct ParsedRequest {
    Request request;
    std::optional<std::string> text{};  // set: the prompt as text, request.prompt is empty
    bool add_special = true;            // the text wants the tokens that begin a text; false: it holds them already
    std::string model{};                // the body's model, as given; empty when none
    std::string metadata{};             // JSON object of a prompt line's members that are not ours; empty: none
    bool operator==(const ParsedRequest&) const = default;
};

// A line that gets an error record instead of an answer.
struct LineError {
    std::int64_t line = 0;
    std::string id{};        // as far as it could be read
    std::string code{};      // OpenAI's style: "invalid_json", "unsupported_field", "invalid_value", ... (listed in
                             // request_file.cpp)
    std::string sentence{};  // what is wrong, where, what to do
    std::string metadata{};  // as in ParsedRequest, as far as it could be read
    bool operator==(const LineError&) const = default;
};

// A line as InputIndex::read_line gives it: without its end. Never throws for what a line holds. Blank lines are not
// lines of work: the caller skips them with is_blank().
// Chats are rendered by the templates of `chat`; without it they are errors.
std::variant<ParsedRequest, LineError> parse_request_line(std::string_view text, std::int64_t line, InputFormat format,
                                                          const GenerationDefaults& defaults,
                                                          const ChatContext* chat = nullptr);

// True when nothing but spaces and tabs stands in it.
bool is_blank(std::string_view text);

// The error of a line whose name line `first_line` already has (runtime/job/repeated_names.hpp finds them).
LineError duplicate_id(std::string_view id, std::int64_t line, std::int64_t first_line, std::string metadata);

// Names of the settings that a request may carry, in alphabetical order; whether a name is one of them; and the nearest
// of them to a name, "" when none is near.
std::string honoured_fields(Endpoint endpoint = Endpoint::completions);
bool is_honoured(std::string_view name, Endpoint endpoint = Endpoint::completions);
std::string_view nearest_field(std::string_view name, Endpoint endpoint = Endpoint::completions);
// True of settings that other programs have and this one does not honour (max_new_tokens, response_format, ...).
bool is_foreign_field(std::string_view name);
// The honoured setting that a name in a prompt line, where data of the user's own may stand, is a slip of: up to two
// wrong characters in a long name, another way to write it (topP) in any; "" when it is none.
std::string_view misspelt_field(std::string_view name, Endpoint endpoint = Endpoint::completions);

}  // namespace argosy
