// The settings that a request may carry, and which of them a misspelt or unsupported name is nearest to.
#include <algorithm>
#include <array>
#include <numeric>

#include "runtime/job/request_file.hpp"

namespace argosy {

namespace {

constexpr std::array<std::string_view, 17> kHonoured{
    "echo", "ignore_eos", "logprobs",       "max_tokens", "min_p",       "model", "n",     "prompt", "return_token_ids",
    "seed", "stop",       "stop_token_ids", "stream",     "temperature", "top_k", "top_p", "user"};

// Least number of letters inserted, removed or replaced (Levenshtein 1966).
std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 0; i < a.size(); ++i) {
        std::size_t diagonal = row[0];
        row[0] = i + 1;
        for (std::size_t j = 0; j < b.size(); ++j) {
            const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
            diagonal = row[j + 1];
            row[j + 1] = std::min({replaced, row[j] + 1, diagonal + 1});
        }
    }
    return row[b.size()];
}

}  // namespace

std::string honoured_fields() {
    std::string list;
    for (const std::string_view name : kHonoured) {
        if (!list.empty()) list += ", ";
        list += name;
    }
    return list;
}

std::string_view nearest_field(std::string_view name) {
    const std::string_view head = name.substr(0, 64);  // no setting is that long; a hostile name costs no time
    return *std::min_element(kHonoured.begin(), kHonoured.end(), [&](std::string_view a, std::string_view b) {
        return edit_distance(head, a) < edit_distance(head, b);
    });
}

}  // namespace argosy
