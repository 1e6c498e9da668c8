// Counts of a sample's tokens, kept in order of their ids.
#include "runtime/forward/token_adjustments.hpp"

#include <algorithm>

namespace argosy {

TokenAdjustments::TokenAdjustments(const Request& request) : counts_generated_(has_penalties(request)) {
    if (request.repetition_penalty != 1) {
        for (const std::int32_t id : request.prompt) tokens_.push_back({.id = id, .in_prompt = true});
        const auto less = [](const AdjustedToken& a, const AdjustedToken& b) { return a.id < b.id; };
        std::sort(tokens_.begin(), tokens_.end(), less);
        tokens_.erase(std::unique(tokens_.begin(), tokens_.end()), tokens_.end());
    }
    for (const TokenBias& bias : request.logit_bias) entry_of(bias.token).bias = static_cast<float>(bias.bias);
}

AdjustedToken& TokenAdjustments::entry_of(std::int32_t id) {
    const auto at = std::lower_bound(tokens_.begin(), tokens_.end(), id,
                                     [](const AdjustedToken& token, std::int32_t wanted) { return token.id < wanted; });
    if (at != tokens_.end() && at->id == id) return *at;
    return *tokens_.insert(at, {.id = id});
}

void TokenAdjustments::follow(std::span<const std::int32_t> generated) {
    if (!counts_generated_) return;
    for (; counted_ < generated.size(); ++counted_) ++entry_of(generated[counted_]).generated;
}

}  // namespace argosy
