// Settings of the sampler that its tests go through, and how a row is run.
#pragma once

#include "tests/kernels/op_cases.hpp"

namespace argosy::test {

struct SampleSetting {
    std::string name;
    SampleRow row;
};

// Each parameter alone, and mixes.
inline std::vector<SampleSetting> sample_settings() {
    const auto make = [](float temperature, float min_p, int top_k, float top_p) {
        SampleRow row;
        row.temperature = temperature;
        row.min_p = min_p;
        row.top_k = top_k;
        row.top_p = top_p;
        return row;
    };
    return {{"temperature 1", make(1, 0, 0, 1)},
            {"temperature 0.5", make(0.5F, 0, 0, 1)},
            {"temperature 1.7", make(1.7F, 0, 0, 1)},
            {"min_p 0.1", make(1, 0.1F, 0, 1)},
            {"top_k 5", make(1, 0, 5, 1)},
            {"top_k 1", make(1, 0, 1, 1)},
            {"top_p 0.7", make(1, 0, 0, 0.7F)},
            {"top_p 0.99", make(1, 0, 0, 0.99F)},
            {"top_p 0.01", make(1, 0, 0, 0.01F)},
            {"mix", make(0.8F, 0.02F, 12, 0.9F)},
            {"min_p and top_p", make(1.3F, 0.05F, 0, 0.8F)},
            {"top_k and min_p", make(1.2F, 0.03F, 9, 1)}};
}

// Rows may point into it: `count` different tokens of the vocabulary with counts, prompt marks and biases of all kinds.
inline std::vector<AdjustedToken> adjusted_tokens(std::uint64_t seed, int vocab, int count) {
    Random random(seed);
    std::vector<AdjustedToken> tokens;
    const int step = std::max(vocab / std::max(count, 1), 1);
    for (int id = random.between(0, step - 1); id < vocab; id += step) {
        const int kind = random.between(0, 3);
        tokens.push_back({.id = id,
                          .generated = kind == 1 ? 0 : random.between(0, 5),
                          .in_prompt = kind > 1,
                          .bias = kind == 2 ? 0 : std::round(random.real(-6, 6) * 2) / 2});
    }
    return tokens;
}

// Each penalty alone, both directions, a bias alone, and all together; with the parameters that come after them.
inline std::vector<SampleSetting> penalty_settings() {
    const auto make = [](float temperature, int top_k, float top_p, float repetition, float frequency, float presence) {
        SampleRow row;
        row.temperature = temperature;
        row.top_k = top_k;
        row.top_p = top_p;
        row.repetition_penalty = repetition;
        row.frequency_penalty = frequency;
        row.presence_penalty = presence;
        return row;
    };
    return {{"bias", make(1, 0, 1, 1, 0, 0)},
            {"repetition 1.3", make(1, 0, 1, 1.3F, 0, 0)},
            {"repetition 0.7", make(1, 0, 1, 0.7F, 0, 0)},
            {"frequency 0.6", make(1, 0, 1, 1, 0.6F, 0)},
            {"frequency -0.4", make(1, 0, 1, 1, -0.4F, 0)},
            {"presence 1.5", make(1, 0, 1, 1, 0, 1.5F)},
            {"presence -1", make(1, 0, 1, 1, 0, -1)},
            {"all, restricted", make(0.8F, 12, 0.9F, 1.2F, 0.3F, 0.7F)},
            {"all, hot", make(1.6F, 0, 1, 1.1F, -0.2F, 0.9F)}};
}

inline std::vector<SampleResult> run_sample(const Ops& ops, const Floats& logits, int vocab,
                                            const std::vector<SampleRow>& rows, int threads) {
    std::vector<SampleResult> result(rows.size());
    Buffer scratch(std::max<std::size_t>(ops.sample_scratch_bytes(vocab, threads), 1));
    ops.sample({static_cast<int>(rows.size()), vocab, logits.data(), rows.data(),
                static_cast<std::byte*>(scratch.data()), result.data()},
               {.threads = threads});
    return result;
}

}  // namespace argosy::test
