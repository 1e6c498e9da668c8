// Which tokens penalties and bias concern: against counting from the beginning, at every length of a sample.
#include <catch2/catch.hpp>
#include <map>
#include <random>

#include "runtime/forward/step_batch.hpp"
#include "runtime/forward/token_adjustments.hpp"

using namespace argosy;

namespace {

// By definition: what stands in the prompt, how often each token was generated, and the biases.
std::vector<AdjustedToken> counted(const Request& request, std::span<const std::int32_t> generated) {
    std::map<std::int32_t, AdjustedToken> tokens;
    for (const TokenBias& bias : request.logit_bias) tokens[bias.token].bias = static_cast<float>(bias.bias);
    if (request.repetition_penalty != 1) {
        for (const std::int32_t id : request.prompt) tokens[id].in_prompt = true;
    }
    const bool penalties =
        request.repetition_penalty != 1 || request.frequency_penalty != 0 || request.presence_penalty != 0;
    for (const std::int32_t id : generated) {
        if (penalties) ++tokens[id].generated;
    }
    std::vector<AdjustedToken> list;
    for (auto& [id, token] : tokens) {
        token.id = id;
        list.push_back(token);
    }
    return list;
}

std::vector<AdjustedToken> list_of(const TokenAdjustments& adjustments) {
    return {adjustments.tokens().begin(), adjustments.tokens().end()};
}

}  // namespace

TEST_CASE("adjusted tokens are a function of the tokens alone, however they are counted") {
    std::mt19937 random(5);
    for (int round = 0; round < 200; ++round) {
        Request request;
        const int ids = 1 + static_cast<int>(random() % 30);
        const auto id = [&] { return static_cast<std::int32_t>(random() % static_cast<unsigned>(ids)); };
        for (unsigned i = 0; i < 1 + random() % 40; ++i) request.prompt.push_back(id());
        if (round % 2 == 0) request.repetition_penalty = 1.2;
        if (round % 3 == 0) request.frequency_penalty = 0.5;
        if (round % 5 == 0) request.presence_penalty = -0.5;
        for (std::int32_t token = 0; token < ids && round % 4 != 0; token += 3)
            request.logit_bias.push_back({token, token - 10.0});
        std::vector<std::int32_t> generated;
        TokenAdjustments followed(request);
        for (int step = 0; step < 60; ++step) {
            if (random() % 3 != 0) followed.follow(generated);  // some steps are skipped, some come twice
            TokenAdjustments fresh(request);
            fresh.follow(generated);
            REQUIRE(list_of(fresh) == counted(request, generated));
            generated.push_back(id());
        }
        followed.follow(generated);
        followed.follow(generated);
        REQUIRE(list_of(followed) == counted(request, generated));
    }
}

TEST_CASE("a row carries its request's penalties") {
    Request request;
    request.presence_penalty = 0.25;
    request.frequency_penalty = -0.5;
    request.repetition_penalty = 1.5;
    const SampleRow row = sample_row(request, 0, 4);
    CHECK(row.presence_penalty == 0.25F);
    CHECK(row.frequency_penalty == -0.5F);
    CHECK(row.repetition_penalty == 1.5F);
    CHECK(row.adjusted_count == 0);
}
