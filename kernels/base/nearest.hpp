// The name a user probably meant, for error sentences about unknown options, keys, fields and backends.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace argosy {

// The entry of `names` with the least edit distance to `word`, the first on a tie; "" when none is near (more than half
// of the word changed).
std::string nearest(std::string_view word, std::span<const std::string_view> names);

}  // namespace argosy
