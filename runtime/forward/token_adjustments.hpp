// What the penalties and the bias of a request need to know of one of its samples: which tokens stand in it, and how
// often.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/ops.hpp"
#include "runtime/schedule/request.hpp"

namespace argosy {

// Keeps the list that SampleRow::adjusted points to. It is a function of the request and the sample's tokens alone: a
// sample that was preempted, or runs elsewhere, has the same one.
class TokenAdjustments {
  public:
    // Tokens with a bias, and with a repetition penalty those of the prompt.
    explicit TokenAdjustments(const Request& request);

    // Counts the tokens that came since the last call. `generated` holds all of the sample's, from its first.
    void follow(std::span<const std::int32_t> generated);

    // By rising id. Valid until the next follow().
    std::span<const AdjustedToken> tokens() const { return tokens_; }

  private:
    AdjustedToken& entry_of(std::int32_t id);

    bool counts_generated_;
    std::vector<AdjustedToken> tokens_;
    std::size_t counted_ = 0;  // generated tokens that are in it
};

}  // namespace argosy
