// JSON as text, written the same way for ever: strings, numbers and objects whose members stand in the order they were
// added.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace argosy {

// Appends "text" with quotes. Control characters, quote and backslash are escaped; bytes that are no UTF-8 become
// U+FFFD.
void append_json_string(std::string& out, std::string_view text);

// Appends the shortest digits that read back as the same value (-0.25, 1e-05). Infinities are written as +-9999, NaN as
// null: JSON has neither.
void append_json_number(std::string& out, float value);
void append_json_number(std::string& out, double value);
void append_json_number(std::string& out, std::int64_t value);

// True when the bytes are well-formed UTF-8 (no overlong forms, no surrogates, nothing beyond U+10FFFF).
bool is_utf8(std::string_view text);
// Offset of the first byte that is not; text.size() when all is well.
std::size_t first_bad_utf8(std::string_view text);
// Unicode characters in well-formed UTF-8.
std::int64_t utf8_characters(std::string_view text);

}  // namespace argosy
