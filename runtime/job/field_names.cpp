// The settings that a request may carry, and which of them a misspelt or unsupported name is nearest to.
#include <algorithm>
#include <array>

#include "kernels/base/nearest.hpp"
#include "runtime/job/request_file.hpp"

namespace argosy {

namespace {

constexpr std::array<std::string_view, 17> kHonoured{
    "echo", "ignore_eos", "logprobs",       "max_tokens", "min_p",       "model", "n",     "prompt", "return_token_ids",
    "seed", "stop",       "stop_token_ids", "stream",     "temperature", "top_k", "top_p", "user"};

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
    const std::string near =
        nearest(name.substr(0, 64), kHonoured);  // no setting is that long; a hostile name costs no time
    const auto found = std::find(kHonoured.begin(), kHonoured.end(), near);
    return found == kHonoured.end() ? std::string_view() : *found;
}

}  // namespace argosy
