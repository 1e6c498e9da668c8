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
    {"add_generation_prompt", false, true},
    {"chat_template_kwargs", false, true},
    {"continue_final_message", false, true},
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
    {"tool_choice", false, true},
    {"tools", false, true},
    {"top_k", true, true},
    {"top_logprobs", false, true},
    {"top_p", true, true},
    {"user", true, true},
};

// Settings of OpenAI's, vLLM's and Hugging Face's interfaces that are not honoured, and the honoured one that comes
// nearest in meaning, if any.
struct ForeignField {
    std::string_view name;
    std::string_view instead;
};
constexpr ForeignField kForeign[] = {
    {"bad_words", "logit_bias"},
    {"best_of", "n"},
    {"do_sample", "temperature"},
    {"functions", ""},
    {"guided_choice", ""},
    {"guided_grammar", ""},
    {"guided_json", ""},
    {"guided_regex", ""},
    {"length_penalty", ""},
    {"logits_processors", ""},
    {"max_completion_tokens", "max_tokens"},
    {"max_new_tokens", "max_tokens"},
    {"min_new_tokens", ""},
    {"min_tokens", ""},
    {"no_repeat_ngram_size", "repetition_penalty"},
    {"num_beams", ""},
    {"num_return_sequences", "n"},
    {"prompt_logprobs", "echo"},
    {"response_format", ""},
    {"stop_sequences", "stop"},
    {"structured_outputs", ""},
    {"suffix", ""},
    {"tool_choice", ""},
    {"tools", ""},
    {"top_logprobs", "logprobs"},
    {"typical_p", ""},
    {"use_beam_search", ""},
};

// A name without what people spell differently: topP, top-p and Top_P are one.
std::string bare(std::string_view name) {
    std::string out;
    for (const char c : name) {
        if (c == '_' || c == '-' || c == ' ') continue;
        out += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    }
    return out;
}

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
    for (const ForeignField& field : kForeign) {
        if (field.name == name) return field.instead;
    }
    const std::vector<std::string_view> names = names_of(endpoint);
    const std::string near =
        nearest(name.substr(0, 64), names);  // no setting is that long; a hostile name costs no time
    const auto found = std::find(names.begin(), names.end(), near);
    return found == names.end() ? std::string_view() : *found;
}

bool is_foreign_field(std::string_view name) {
    for (const ForeignField& field : kForeign) {
        if (field.name == name) return true;
    }
    return false;
}

std::string_view misspelt_field(std::string_view name, Endpoint endpoint) {
    if (name.size() > 64 || is_honoured(name, endpoint)) return {};
    const std::string word = bare(name);
    for (const std::string_view field : names_of(endpoint)) {
        const std::string wanted = bare(field);
        const std::size_t slips = wanted.size() < 6 ? 0 : wanted.size() < 8 ? 1 : 2;
        if (edit_distance(word, wanted) <= slips) return field;
    }
    return {};
}

}  // namespace argosy
