// How requests and answers are named, and the few facts that follow from a request's settings.
#include "runtime/schedule/request.hpp"

#include <fmt/format.h>

#include "runtime/schedule/token_hash.hpp"

namespace argosy {

namespace {

// Seeds of the two kinds of identity, so that the id "7" and the line 7 differ. Fixed for ever: sampled tokens hang on
// them.
constexpr std::uint64_t kIdSeed = 0x6172676f73792d69ULL;    // "argosy-i"
constexpr std::uint64_t kLineSeed = 0x6172676f73792d6cULL;  // "argosy-l"

}  // namespace

std::string_view to_string(FinishReason reason) {
    switch (reason) {
        case FinishReason::none:
            return "";
        case FinishReason::stop:
            return "stop";
        case FinishReason::length:
            return "length";
        case FinishReason::error:
            return "error";
    }
    return "";
}

std::uint64_t request_identity(std::string_view id, std::int64_t line) {
    if (!id.empty()) return hash64(id, kIdSeed);
    char bytes[8];  // little-endian on every machine
    for (int i = 0; i < 8; ++i) bytes[i] = static_cast<char>(static_cast<std::uint64_t>(line) >> (8 * i));
    return hash64(std::string_view(bytes, sizeof bytes), kLineSeed);
}

std::string request_name(std::string_view id, std::int64_t line) {
    return id.empty() ? fmt::format("line-{}", line) : std::string(id);
}

bool needs_prompt_logits(const Request& request) { return request.echo && request.logprobs >= 0; }

bool has_penalties(const Request& request) {
    return request.presence_penalty != 0 || request.frequency_penalty != 0 || request.repetition_penalty != 1;
}

std::int64_t longest_total(const Request& request) {
    return static_cast<std::int64_t>(request.prompt.size()) + request.max_tokens;
}

}  // namespace argosy
