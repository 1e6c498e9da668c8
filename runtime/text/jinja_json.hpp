// JSON and a template's values: the one door in, and the filter tojson out.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "runtime/text/jinja_value.hpp"

namespace argosy {

// The value that a JSON text stands for: order of members and the difference between 2 and 2.0 are kept. Error(input)
// says where the text is not JSON or nested more than 100 levels deep.
JinjaValue jinja_from_json(std::string_view json);

// How Python's json.dumps writes; the defaults are those of the filter tojson in transformers.
struct JsonStyle {
    bool ascii = false;                 // \u00e9 for what is not ASCII
    bool sorted = false;                // members by their names
    std::optional<std::string> indent;  // what one level is indented by; nothing: all in one line
    std::string between_items = ", ";
    std::string after_name = ": ";
};

// Appends the value as JSON. Values that JSON does not have (undefined, functions) are refused.
void append_json(std::string& out, const JinjaValue& value, const JsonStyle& style, JinjaBudget& budget);

}  // namespace argosy
