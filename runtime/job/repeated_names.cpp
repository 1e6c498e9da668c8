// Equal digests stand side by side once they are sorted.
#include "runtime/job/repeated_names.hpp"

#include <algorithm>
#include <tuple>

#include "runtime/schedule/request.hpp"

namespace argosy {

NameClaim name_claim(std::string_view id, std::int64_t line) {
    return {.name = chain_digest_bytes({.low = 3, .high = 0}, request_name(id, line)), .line = line};
}

std::vector<RepeatedName> repeated_names(std::vector<NameClaim>& claims) {
    std::sort(claims.begin(), claims.end(), [](const NameClaim& a, const NameClaim& b) {
        return std::tie(a.name, a.line) < std::tie(b.name, b.line);
    });
    std::vector<RepeatedName> repeated;
    std::size_t first = 0;
    for (std::size_t i = 1; i < claims.size(); ++i) {
        if (claims[i].name != claims[first].name) {
            first = i;
        } else {
            repeated.push_back({.line = claims[i].line, .first_line = claims[first].line});
        }
    }
    std::sort(repeated.begin(), repeated.end(),
              [](const RepeatedName& a, const RepeatedName& b) { return a.line < b.line; });
    return repeated;
}

}  // namespace argosy
