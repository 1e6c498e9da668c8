// Text, stops and log probabilities of one sequence.
#include "runtime/generation.hpp"

#include <algorithm>

namespace argosy {

TokenLogprob describe_logprob(const Tokenizer& tokenizer, const SampleResult& result) {
    TokenLogprob logprob;
    logprob.logprob = result.logprob;
    logprob.id = result.token;
    if (!tokenizer.tables) return logprob;
    logprob.token = token_text(tokenizer, result.token);
    for (int i = 0; i < result.top_count; ++i) {
        logprob.top.emplace_back(token_text(tokenizer, result.top_token[i]), result.top_logprob[i]);
        logprob.top_ids.push_back(result.top_token[i]);
    }
    return logprob;
}

Generation::Generation(const Tokenizer& tokenizer, const Request& request, int sample, std::span<const int> eos_ids)
    : tokenizer_(tokenizer), request_(request), eos_ids_(eos_ids), stop_(request.stop) {
    if (tokenizer.tables) detokenizer_.emplace(tokenizer, !request.marks.channels, request.prompt);
    choice_.index = sample;
}

FinishReason Generation::push(const SampleResult& result) {
    choice_.token_ids.push_back(result.token);
    if (request_.logprobs >= 0) choice_.logprobs.push_back(describe_logprob(tokenizer_, result));
    const auto is = [&](const auto& ids) { return std::find(ids.begin(), ids.end(), result.token) != ids.end(); };
    if ((!request_.ignore_eos && is(eos_ids_)) || is(request_.stop_token_ids)) return FinishReason::stop;
    if (detokenizer_) choice_.text += stop_.push(detokenizer_->push(result.token));
    return stop_.stopped() ? FinishReason::stop : FinishReason::none;
}

Choice Generation::finish(FinishReason reason) {
    if (detokenizer_ && !stop_.stopped()) choice_.text += stop_.push(detokenizer_->finish());
    if (!stop_.stopped()) {
        choice_.text += stop_.finish();
    } else {
        reason = FinishReason::stop;  // the held-back end of a character completed a stop string
    }
    choice_.finish = reason;
    return std::move(choice_);
}

}  // namespace argosy
