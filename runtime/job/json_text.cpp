// Strings and numbers as JSON text, and what is UTF-8 and what is not.
#include "runtime/job/json_text.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

namespace argosy {

namespace {

// Length of the well-formed UTF-8 character at the beginning of `text`; 0 when there is none (Unicode 15, table 3-7).
std::size_t character_length(std::string_view text) {
    const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
    const unsigned first = byte(0);
    const auto tail = [&](std::size_t i, unsigned low = 0x80, unsigned high = 0xBF) {
        return byte(i) >= low && byte(i) <= high;
    };
    if (first < 0x80) return 1;
    if (first >= 0xC2 && first <= 0xDF) return tail(1) ? 2 : 0;
    if (first == 0xE0) return tail(1, 0xA0) && tail(2) ? 3 : 0;
    if (first == 0xED) return tail(1, 0x80, 0x9F) && tail(2) ? 3 : 0;
    if (first >= 0xE1 && first <= 0xEF) return tail(1) && tail(2) ? 3 : 0;
    if (first == 0xF0) return tail(1, 0x90) && tail(2) && tail(3) ? 4 : 0;
    if (first >= 0xF1 && first <= 0xF3) return tail(1) && tail(2) && tail(3) ? 4 : 0;
    if (first == 0xF4) return tail(1, 0x80, 0x8F) && tail(2) && tail(3) ? 4 : 0;
    return 0;
}

template <class Value>
void append_digits(std::string& out, Value value) {
    char digits[32];
    const auto end = std::to_chars(digits, digits + sizeof digits, value);
    out.append(digits, end.ptr);
}

template <class Float>
void append_float(std::string& out, Float value) {
    if (std::isnan(value)) {
        out += "null";
    } else if (std::isinf(value)) {
        out += value < 0 ? "-9999" : "9999";
    } else {
        append_digits(out, value);
    }
}

void append_escaped(std::string& out, char byte) {
    switch (byte) {
        case '"':
            out += "\\\"";
            return;
        case '\\':
            out += "\\\\";
            return;
        case '\n':
            out += "\\n";
            return;
        case '\r':
            out += "\\r";
            return;
        case '\t':
            out += "\\t";
            return;
        case '\b':
            out += "\\b";
            return;
        case '\f':
            out += "\\f";
            return;
        default:
            break;
    }
    if (static_cast<unsigned char>(byte) < 0x20 || byte == 0x7f) {
        out += fmt::format("\\u{:04x}", static_cast<unsigned>(byte));
    } else {
        out += byte;
    }
}

}  // namespace

void append_json_string(std::string& out, std::string_view text) {
    out += '"';
    while (!text.empty()) {
        const std::size_t length = character_length(text);
        if (length == 1) {
            append_escaped(out, text[0]);
        } else if (length == 0) {
            out += "\xEF\xBF\xBD";
        } else {
            out += text.substr(0, length);
        }
        text.remove_prefix(length == 0 ? 1 : length);
    }
    out += '"';
}

void append_json_number(std::string& out, float value) { append_float(out, value); }
void append_json_number(std::string& out, double value) { append_float(out, value); }
void append_json_number(std::string& out, std::int64_t value) { append_digits(out, value); }

std::size_t first_bad_utf8(std::string_view text) {
    std::size_t place = 0;
    while (place < text.size()) {
        const std::size_t length = character_length(text.substr(place));
        if (length == 0) return place;
        place += length;
    }
    return place;
}

bool is_utf8(std::string_view text) { return first_bad_utf8(text) == text.size(); }

std::int64_t utf8_characters(std::string_view text) {
    std::int64_t count = 0;
    for (const char byte : text) count += (static_cast<unsigned char>(byte) & 0xC0) != 0x80 ? 1 : 0;
    return count;
}

}  // namespace argosy
