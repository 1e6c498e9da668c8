// A model written anew with its matrices in another number format: a Hugging Face folder that this program and others
// read. What is written is what --weights-as makes when a job loads the model, so the answers are the same bits.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>

#include "kernels/base/dtype.hpp"

namespace argosy {

struct QuantizeSettings {
    std::filesystem::path model;   // a folder; with random weights a config.json is enough
    std::filesystem::path output;  // a folder that does not exist yet
    DType format = DType::fp8;     // one of kWeightFormats, for the matrices of may_stand_in_blocks
    std::optional<std::uint64_t> random_seed;
    std::int64_t file_bytes_max = std::int64_t{5} << 30;  // of a safetensors file
};

struct QuantizeResult {
    int converted = 0;  // matrices
    int copied = 0;     // other tensors
    std::int64_t converted_weights = 0;
    std::int64_t converted_bytes = 0;  // of these, scales included
    std::int64_t bytes_read = 0;
    std::int64_t bytes_written = 0;  // of safetensors files
    int files_copied = 0;            // tokenizer and so on
};

// Works in the folder OUTPUT.partial and renames it at the end, when everything is on the disk; after an error it is
// gone. `progress` is called with the part that is done, from 0 to 1. Errors: usage (the output exists, a run was
// interrupted there), input (as of plan_model and match_tensors), system (the disk).
QuantizeResult quantize(const QuantizeSettings& settings, const std::function<void(double)>& progress);

}  // namespace argosy
