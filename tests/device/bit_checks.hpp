// The same products computed in many ways, and their bits compared.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/device/mma_inputs.hpp"
#include "tests/device/products.hpp"

namespace argosy::device {

struct BitCheck {
    std::string what;
    bool must_agree = true;  // the backend relies on it; else it is only reported
    std::int64_t outputs = 0;
    std::int64_t differing = 0;
};

// On data of one pattern; `code_bytes` of 2: bf16, of 1: fp8 E4M3.
std::vector<BitCheck> check_ways(int code_bytes, Pattern pattern);

// What promotion to another f32 after every `k` products does: how many outputs have other bits than without, and the
// root mean square error of both against sums in f64, relative to the root mean square of the sums.
struct Promotion {
    int k = 0;  // 0: never
    std::int64_t outputs = 0;
    std::int64_t differing = 0;
    double error = 0;
};
std::vector<Promotion> measure_promotion(int code_bytes);

// Outputs of a unit on a pattern against its model, computed on the GPU and, for `on_host` of them, on the processor.
struct ModelCheck {
    std::string unit, pattern;
    int k = 0;
    std::int64_t outputs = 0, differing = 0;
    std::int64_t on_host = 0, differing_on_host = 0;
    std::int64_t numbers_on_host = 0;  // of on_host, neither infinite nor NaN
    std::uint64_t digest = 0;          // of the bits of the first on_host outputs
};
std::vector<ModelCheck> check_models(int code_bytes);

// The candidates that agree with a unit on all patterns.
struct ModelFit {
    std::string unit;
    std::int64_t outputs = 0;
    std::vector<int> fitting;  // indices into candidate_models(code_bytes)
    std::vector<std::int64_t> differing;
};
std::vector<ModelFit> fit_models(int code_bytes);

// The units of a format that have a model, and what a unit is called.
std::vector<Unit> units_of(int code_bytes);
std::string unit_name(int code_bytes, Unit unit);

}  // namespace argosy::device
