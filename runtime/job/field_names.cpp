// The settings that a request may carry, and which of them a misspelt or unsupported name is nearest to.
#include <algorithm>
#include <span>
#include <vector>

#include "kernels/base/nearest.hpp"
#include "runtime/job/request_file.hpp"

namespace argosy {

namespace {

struct Field {
    std::string_view name;
    bool completions;
    bool chat;
};

// In alphabetical order.
constexpr Field kFields[] = {
    {"echo", true, false},
    {"frequency_penalty", true, true},
    {"ignore_eos", true, true},
    {"logit_bias", true, true},
    {"logprobs", true, true},
    {"max_completion_tokens", false, true},
    {"max_tokens", true, true},
    {"messages", false, true},
    {"min_p", true, true},
    {"model", true, true},
    {"n", true, true},
    {"presence_penalty", true, true},
    {"prompt", true, false},
    {"repetition_penalty", true, true},
    {"return_token_ids", true, true},
    {"seed", true, true},
    {"stop", true, true},
    {"stop_token_ids", true, true},
    {"stream", true, true},
    {"temperature", true, true},
    {"top_k", true, true},
    {"top_logprobs", false, true},
    {"top_p", true, true},
    {"user", true, true},
};

std::vector<std::string_view> names_of(Endpoint endpoint) {
    std::vector<std::string_view> names;
    for (const Field& field : kFields) {
        if (endpoint == Endpoint::chat ? field.chat : field.completions) names.push_back(field.name);
    }
    return names;
}

}  // namespace

std::string honoured_fields(Endpoint endpoint) {
    std::string list;
    for (const std::string_view name : names_of(endpoint)) {
        if (!list.empty()) list += ", ";
        list += name;
    }
    return list;
}

bool is_honoured(std::string_view name, Endpoint endpoint) {
    for (const Field& field : kFields) {
        if (field.name == name) return endpoint == Endpoint::chat ? field.chat : field.completions;
    }
    return false;
}

std::string_view nearest_field(std::string_view name, Endpoint endpoint) {
    const std::vector<std::string_view> names = names_of(endpoint);
    const std::string near =
        nearest(name.substr(0, 64), names);  // no setting is that long; a hostile name costs no time
    const auto found = std::find(names.begin(), names.end(), near);
    return found == names.end() ? std::string_view() : *found;
}

}  // namespace argosy
