// The name a user probably meant, for error sentences about unknown options, keys, fields and backends.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace argosy {

// Insertions, deletions and substitutions of one character that turn a into b (Levenshtein).
std::size_t edit_distance(std::string_view a, std::string_view b);

// The entry of `names` with the least edit distance to `word`, the first on a tie; "" when none is near (more than half
// of the word changed).
std::string nearest(std::string_view word, std::span<const std::string_view> names);

}  // namespace argosy
