// One sequence on its way from tokens to an answer: text, stop conditions, log probabilities.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kernels/ops.hpp"
#include "runtime/job/response.hpp"
#include "runtime/schedule/request.hpp"
#include "runtime/text/detokenizer.hpp"
#include "runtime/text/stop_strings.hpp"
#include "runtime/text/tokenizer.hpp"

namespace argosy {

// A token's log probability as answers report it: its text, and the alternatives' texts.
TokenLogprob describe_logprob(const Tokenizer& tokenizer, const SampleResult& result);

// Takes a sequence's tokens one by one and says when it ends. A token that ends it (end of text, a stop token) counts
// as generated but adds no text. Without tables in the tokenizer (a benchmark of a bare config.json) there are tokens
// but no text.
class Generation {
  public:
    // eos_ids: the model's end-of-text tokens; they do nothing when the request ignores them.
    Generation(const Tokenizer& tokenizer, const Request& request, int sample, std::span<const int> eos_ids);

    // FinishReason::stop when the sequence ends with this token, else none. A length limit is the scheduler's affair.
    FinishReason push(const SampleResult& result);

    // The finished choice. Call once, after the last token.
    Choice finish(FinishReason reason);

  private:
    const Tokenizer& tokenizer_;
    const Request& request_;
    std::span<const int> eos_ids_;
    std::optional<IncrementalDetokenizer> detokenizer_;
    StopMatcher stop_;
    Choice choice_;
};

}  // namespace argosy
