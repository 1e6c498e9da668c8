// UTF-8 in small pieces: one step of a decoder, validation, and replacement of what is not UTF-8 by U+FFFD.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace argosy {

inline constexpr std::string_view kReplacementChar = "\xEF\xBF\xBD";  // U+FFFD

enum class Utf8Kind {
    valid,       // one character
    invalid,     // a maximal part that no character can begin with or go on with; one U+FFFD stands for it
    incomplete,  // the text ends inside a character that may still become valid
};

struct Utf8Step {
    Utf8Kind kind;
    size_t bytes;  // how many bytes the step covers, at least 1
};

// Looks at the character at the front of `text`, which is not empty.
Utf8Step utf8_step(std::string_view text);

// The code point at `p` in text that is known to be valid UTF-8, and its length in bytes.
struct Utf8Char {
    char32_t code;
    uint32_t bytes;
};
inline Utf8Char utf8_char(const char* p) {
    const auto* u = reinterpret_cast<const unsigned char*>(p);
    if (u[0] < 0x80) return {u[0], 1};
    if (u[0] < 0xE0) return {static_cast<char32_t>((u[0] & 0x1F) << 6 | (u[1] & 0x3F)), 2};
    if (u[0] < 0xF0) return {static_cast<char32_t>((u[0] & 0x0F) << 12 | (u[1] & 0x3F) << 6 | (u[2] & 0x3F)), 3};
    return {static_cast<char32_t>((u[0] & 0x07) << 18 | (u[1] & 0x3F) << 12 | (u[2] & 0x3F) << 6 | (u[3] & 0x3F)), 4};
}

// Start of the character before `p`; `p` is not the start of the text.
inline const char* utf8_back(const char* p) {
    do --p;
    while ((static_cast<unsigned char>(*p) & 0xC0) == 0x80);
    return p;
}

void append_utf8(std::string& out, char32_t code);

bool is_valid_utf8(std::string_view text);

// Appends `bytes` to `out`; each maximal invalid part becomes one U+FFFD (the rule of the Unicode standard and of
// WHATWG). An incomplete character at the end is not appended unless `last`; returns the number of bytes left for later
// (0 to 3).
size_t append_lossy(std::string& out, std::string_view bytes, bool last);

}  // namespace argosy
