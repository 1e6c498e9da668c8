// The sampler's logic, common to all instruction sets; each set contributes the passes that read a whole row of logits.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/ops.hpp"

namespace argosy {

inline constexpr int kSampleBlockIds = 1024;  // ids of one block of a vocabulary sum (numerics.md, "Sampling")
inline constexpr int kSampleBuckets =
    4096;  // of distances from the largest logit; bucket kSampleBuckets: too far to have any weight

// The ends of a row; a NaN counts as -inf.
struct RowEnds {
    float largest = 0;
    float second = 0;           // with its multiplicity: equal to largest when two logits are; -inf if there is none
    float smallest_finite = 0;  // +inf if none is finite
    std::int32_t first = 0;     // lowest id of the largest
};

// w = exp((x - max) / temperature), and 0 where w < min_p.
struct WeightRule {
    float max = 0;
    float temperature = 1;
    float min_p = 0;
};

struct SamplePasses {
    RowEnds (*ends)(const float* x, int n);
    void (*weights)(const float* x, int n, const WeightRule& rule, float* w);
    // sum[b] of ids [1024 b, 1024 (b + 1)) by rule R6.
    void (*block_sums)(const float* x, int n, const WeightRule& rule, float* sum);
    // bucket[i] = min(trunc((max - x[i]) * scale), kSampleBuckets - 1), or kSampleBuckets where max - x[i] > limit.
    void (*buckets)(const float* x, int n, float max, float limit, float scale, std::uint16_t* bucket);
    // First id >= start with x > threshold, n if none.
    std::int32_t (*next_above)(const float* x, int n, std::int32_t start, float threshold);
};

std::size_t cpu_sample_scratch_bytes(int vocab, int threads);
void cpu_sample(const SampleArgs& args, const Stream& stream, const SamplePasses& passes);

}  // namespace argosy
