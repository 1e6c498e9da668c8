// A request line's JSON, read member by member: every step either gives a value or ends the walk with a sentence.
// Used by the parsers of request lines alone; nothing of it leaves parse_request_line.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace argosy {

using Json = nlohmann::json;

// What is wrong with a line. Thrown by the functions below and caught in parse_request_line: a line's parser is a walk
// in which any step may end it.
struct BadLine {
    std::string code;
    std::string sentence;
};

template <class... Args>
[[noreturn]] void bad(const char* code, fmt::format_string<Args...> format, Args&&... args) {
    throw BadLine{code, fmt::format(format, std::forward<Args>(args)...)};
}

// Part of a line's text as it may stand in a sentence: short, in quotes, and with nothing that could spoil a terminal.
std::string shown(std::string_view text);
// The same of a value: its JSON.
std::string shown_value(const Json& value);

// The line's value. Bounded depth; a member that stands twice is an error.
Json parse_line_json(std::string_view text);

// A member that is there and not null, else nothing: null stands for "not given", as in OpenAI's interface.
const Json* given(const Json& object, const char* name);

// Values of one type and range; `name` stands in the sentence. Codes: invalid_type, invalid_value.
std::int64_t integer(const Json& value, const char* name, std::int64_t low, std::int64_t high);
double number(const Json& value, const char* name, double low, double high);
bool boolean(const Json& value, const char* name);
const std::string& text_of(const Json& value, const char* name);
std::vector<std::int32_t> token_ids(const Json& value, const char* name);

}  // namespace argosy
