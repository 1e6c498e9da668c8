// The model of kernels/cuda/mma_model.hpp against what the GPU computed.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/cuda/mma_model.hpp"
#include "tests/device/mma_inputs.hpp"
#include "tests/device/products.hpp"

namespace argosy::device {

// Fills a, b and c of the problems with a pattern; launches and waits.
template <class Code>
void fill(const Problems<Code>& problems, Pattern pattern);

// How many outputs of `problems` each model computes with other bits; the models run on the GPU.
template <class Code>
std::vector<std::int64_t> count_differing(const Problems<Code>& problems, const std::vector<MmaModel>& models);

// How many of `count` values at x and y in device memory have other bits.
std::int64_t count_differing(const float* x, const float* y, std::int64_t count);

// Every combination of the parameters that published models differ in, some 1,000 for either format.
std::vector<MmaModel> candidate_models(int code_bytes);

}  // namespace argosy::device
