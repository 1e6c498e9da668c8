// Names that stand more than once in the input, found among digests of all of them.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "runtime/schedule/token_hash.hpp"

namespace argosy {

// A line's claim to its name (request_name): 128 bits of it are kept, not the name.
struct NameClaim {
    Digest128 name;
    std::int64_t line = 0;
    bool operator==(const NameClaim&) const = default;
};
NameClaim name_claim(std::string_view id, std::int64_t line);

// A line whose name an earlier line has.
struct RepeatedName {
    std::int64_t line = 0;
    std::int64_t first_line = 0;
    bool operator==(const RepeatedName&) const = default;
};

// By rising line. The order of the claims does not matter; they are sorted in place.
std::vector<RepeatedName> repeated_names(std::vector<NameClaim>& claims);

}  // namespace argosy
