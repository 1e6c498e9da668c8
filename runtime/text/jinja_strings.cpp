// Python's string operations on UTF-8.
#include "runtime/text/jinja_strings.hpp"

#include <algorithm>

#include "runtime/text/unicode_icu.hpp"
#include "runtime/text/utf8.hpp"

namespace argosy {

bool is_python_space(char32_t code) {
    if (code < 0x80) return code == ' ' || (code >= 0x09 && code <= 0x0D) || (code >= 0x1C && code <= 0x1F);
    return code == 0x85 || code == 0xA0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 ||
           code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
}

namespace {

template <class Drop>
std::string_view strip_if(std::string_view text, StripSides sides, Drop drop) {
    const char* begin = text.data();
    const char* end = begin + text.size();
    while (sides != StripSides::right && begin < end) {
        const Utf8Char c = utf8_char(begin);
        if (!drop(c.code, std::string_view(begin, c.bytes))) break;
        begin += c.bytes;
    }
    while (sides != StripSides::left && begin < end) {
        const char* last = utf8_back(end);
        if (!drop(utf8_char(last).code, std::string_view(last, static_cast<std::size_t>(end - last)))) break;
        end = last;
    }
    return {begin, static_cast<std::size_t>(end - begin)};
}

bool is_line_end(char32_t code) {
    return (code >= 0x0A && code <= 0x0D) || (code >= 0x1C && code <= 0x1E) || code == 0x85 || code == 0x2028 ||
           code == 0x2029;
}

}  // namespace

std::string_view python_strip(std::string_view text, StripSides sides) {
    return strip_if(text, sides, [](char32_t code, std::string_view) { return is_python_space(code); });
}

std::string_view python_strip(std::string_view text, StripSides sides, std::string_view characters) {
    return strip_if(text, sides, [&](char32_t, std::string_view c) { return characters.find(c) != characters.npos; });
}

std::vector<std::string_view> python_split_space(std::string_view text, std::int64_t most) {
    std::vector<std::string_view> parts;
    for (std::string_view rest = python_strip(text, StripSides::left); !rest.empty();) {
        if (most >= 0 && static_cast<std::int64_t>(parts.size()) == most) {
            parts.push_back(python_strip(rest, StripSides::right));
            break;
        }
        std::size_t end = 0;
        while (end < rest.size() && !is_python_space(utf8_char(rest.data() + end).code)) {
            end += utf8_char(rest.data() + end).bytes;
        }
        parts.push_back(rest.substr(0, end));
        rest = python_strip(rest.substr(end), StripSides::left);
    }
    return parts;
}

std::vector<std::string_view> python_split(std::string_view text, std::string_view separator, std::int64_t most) {
    std::vector<std::string_view> parts;
    while (most < 0 || static_cast<std::int64_t>(parts.size()) < most) {
        const std::size_t found = text.find(separator);
        if (found == text.npos) break;
        parts.push_back(text.substr(0, found));
        text.remove_prefix(found + separator.size());
    }
    parts.push_back(text);
    return parts;
}

std::vector<std::string_view> python_rsplit(std::string_view text, std::string_view separator, std::int64_t most) {
    std::vector<std::string_view> parts;
    while (most < 0 || static_cast<std::int64_t>(parts.size()) < most) {
        const std::size_t found = text.rfind(separator);
        if (found == text.npos) break;
        parts.push_back(text.substr(found + separator.size()));
        text = text.substr(0, found);
    }
    parts.push_back(text);
    std::reverse(parts.begin(), parts.end());
    return parts;
}

std::vector<std::string_view> python_lines(std::string_view text, bool keep_ends) {
    std::vector<std::string_view> lines;
    while (!text.empty()) {
        std::size_t end = 0;
        while (end < text.size() && !is_line_end(utf8_char(text.data() + end).code)) {
            end += utf8_char(text.data() + end).bytes;
        }
        std::size_t next = end;
        if (next < text.size()) next += utf8_char(text.data() + next).bytes;
        if (end + 1 < text.size() && text[end] == '\r' && text[end + 1] == '\n') ++next;
        lines.push_back(text.substr(0, keep_ends ? next : end));
        text.remove_prefix(next);
    }
    return lines;
}

std::int64_t count_characters(std::string_view text) {
    std::int64_t count = 0;
    for (const char byte : text) count += (static_cast<unsigned char>(byte) & 0xC0) != 0x80 ? 1 : 0;
    return count;
}

std::size_t character_offset(std::string_view text, std::int64_t index) {
    std::size_t offset = 0;
    while (offset < text.size() && index > 0) {
        offset += utf8_char(text.data() + offset).bytes;
        --index;
    }
    return offset;
}

std::int64_t count_parts(std::string_view text, std::string_view part) {
    std::int64_t count = 0;
    for (std::size_t at = text.find(part); at != text.npos; at = text.find(part, at + part.size())) ++count;
    return count;
}

std::string python_replace(std::string_view text, std::string_view part, std::string_view with, std::int64_t most) {
    std::string out;
    if (part.empty()) {
        for (std::size_t at = 0; most != 0; --most) {
            out += with;
            if (at == text.size()) return out;
            const std::uint32_t bytes = utf8_char(text.data() + at).bytes;
            out += text.substr(at, bytes);
            text.remove_prefix(at + bytes);
        }
        out += text;
        return out;
    }
    for (; most != 0; --most) {
        const std::size_t found = text.find(part);
        if (found == text.npos) break;
        out += text.substr(0, found);
        out += with;
        text.remove_prefix(found + part.size());
    }
    out += text;
    return out;
}

std::string python_capitalize(std::string_view text) {
    if (text.empty()) return {};
    const std::size_t first = utf8_char(text.data()).bytes;
    return unicode_upper(text.substr(0, first)) + unicode_lower(text.substr(first));
}

std::string jinja_title(std::string_view text) {
    std::string out;
    bool begins = true;
    for (std::size_t at = 0; at < text.size();) {
        const Utf8Char c = utf8_char(text.data() + at);
        const std::string_view letter = text.substr(at, c.bytes);
        out += begins ? unicode_upper(letter) : unicode_lower(letter);
        begins = is_python_space(c.code) || letter.find_first_of("-([{<") == 0;
        at += c.bytes;
    }
    return out;
}

}  // namespace argosy
