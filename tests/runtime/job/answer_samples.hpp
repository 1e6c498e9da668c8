// Finished requests for tests of shards, manifest and join: every member used, random and hand-made.
#pragma once

#include <random>
#include <string>
#include <vector>

#include "runtime/job/shard_table.hpp"

namespace argosy::test {

// Any bytes: half of them are no UTF-8.
inline std::string random_bytes(std::mt19937& random, int most) {
    std::string text;
    for (int i = static_cast<int>(random() % static_cast<unsigned>(most + 1)); i > 0; --i)
        text += static_cast<char>(random() % 2 != 0 ? random() % 256 : 'a' + random() % 26);
    return text;
}

inline TokenLogprob random_logprob(std::mt19937& random) {
    TokenLogprob entry{.token = random_bytes(random, 6), .characters = static_cast<int>(random() % 5) - 1};
    entry.id = static_cast<std::int32_t>(random() % 5000) - 1;
    if (random() % 5 != 0) entry.logprob = -static_cast<float>(random() % 100000) / 7919.0F;
    for (unsigned i = random() % 4; i > 0; --i) {
        entry.top.emplace_back(random_bytes(random, 6), -static_cast<float>(random() % 1000) / 31.0F);
        entry.top_ids.push_back(static_cast<std::int32_t>(random() % 5000));
    }
    if (random() % 4 == 0) entry.top_ids.clear();
    return entry;
}

inline RequestResult random_result(std::mt19937& random, std::int64_t line) {
    RequestResult result{.line = line,
                         .id = random() % 3 == 0 ? "" : "request-" + std::to_string(line),
                         .model = "demo",
                         .prompt_token_ids = {},
                         .return_token_ids = random() % 2 == 0,
                         .echo = random() % 2 == 0,
                         .logprobs = random() % 2 == 0,
                         .chat = random() % 4 == 0,
                         .marks = {random() % 2 == 0, random() % 2 == 0, random() % 2 == 0, random() % 2 == 0},
                         .prompt_text = random() % 2 == 0 ? random_bytes(random, 30) : "",
                         .prompt_logprobs = {},
                         .choices = {},
                         .metadata = random() % 3 == 0 ? "{\"source\":\"mine\"}" : "",
                         .counts = {.uncached_input = static_cast<std::int64_t>(random() % 1000),
                                    .cached_input = static_cast<std::int64_t>(random() % 1000),
                                    .delivered_output = static_cast<std::int64_t>(random() % 1000),
                                    .rejected_draft = static_cast<std::int64_t>(random() % 10),
                                    .discarded = static_cast<std::int64_t>(random()) << 8}};
    for (unsigned i = random() % 20; i > 0; --i)
        result.prompt_token_ids.push_back(static_cast<std::int32_t>(random() % 150000));
    if (result.echo && result.logprobs) {
        for (std::size_t i = 0; i < result.prompt_token_ids.size(); ++i)
            result.prompt_logprobs.push_back(random_logprob(random));
    }
    const int samples = static_cast<int>(random() % 4);
    for (int sample = 0; sample < samples; ++sample) {
        Choice choice{.index = sample, .text = random_bytes(random, 60), .token_ids = {}};
        for (unsigned i = random() % 30; i > 0; --i)
            choice.token_ids.push_back(static_cast<std::int32_t>(random() % 150000));
        choice.finish = static_cast<FinishReason>(1 + random() % 2);
        if (result.logprobs) {
            for (std::size_t i = 0; i < choice.token_ids.size(); ++i) choice.logprobs.push_back(random_logprob(random));
        }
        result.choices.push_back(choice);
    }
    return result;
}

inline StoredAnswer random_answer(std::mt19937& random, std::int64_t line) {
    if (random() % 6 != 0) return random_result(random, line);
    return LineError{.line = line,
                     .id = random() % 2 == 0 ? "" : "bad-" + std::to_string(line),
                     .code = "invalid_json",
                     .sentence = "Line " + std::to_string(line) + ": " + random_bytes(random, 40),
                     .metadata = random() % 2 == 0 ? "" : "{\"a\":1}"};
}

}  // namespace argosy::test
