// Python's string operations on UTF-8: characters are code points, white space is Unicode's. Texts are valid UTF-8.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace argosy {

// What str.isspace() says of a character.
bool is_python_space(char32_t code);

enum class StripSides { both, left, right };
// str.strip(), or with `characters` str.strip(characters); likewise lstrip and rstrip. A part of `text`.
std::string_view python_strip(std::string_view text, StripSides sides);
std::string_view python_strip(std::string_view text, StripSides sides, std::string_view characters);

// str.split(): at runs of white space; at most `most` cuts, -1: all.
std::vector<std::string_view> python_split_space(std::string_view text, std::int64_t most);
// str.split(separator, most) and rsplit; the separator is not empty.
std::vector<std::string_view> python_split(std::string_view text, std::string_view separator, std::int64_t most);
std::vector<std::string_view> python_rsplit(std::string_view text, std::string_view separator, std::int64_t most);
// str.splitlines(keep_ends).
std::vector<std::string_view> python_lines(std::string_view text, bool keep_ends);

std::int64_t count_characters(std::string_view text);
// Byte offset of the character at `index`, 0 <= index <= characters.
std::size_t character_offset(std::string_view text, std::int64_t index);
// How often `part`, not empty, stands in `text` without overlap.
std::int64_t count_parts(std::string_view text, std::string_view part);
// str.replace(part, with, most); -1: all. An empty part stands between all characters.
std::string python_replace(std::string_view text, std::string_view part, std::string_view with, std::int64_t most);

// str.capitalize() and Jinja's title: upper case where a word begins, lower case elsewhere.
std::string python_capitalize(std::string_view text);
std::string jinja_title(std::string_view text);

}  // namespace argosy
