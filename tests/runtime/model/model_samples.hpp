// What the tests of the model library share: small configurations of every family, and safetensors files made to order.
#pragma once

#include <catch2/catch.hpp>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/base/error.hpp"
#include "runtime/model/checkpoint.hpp"
#include "runtime/model/families.hpp"

namespace argosy::test {

// The keys of a config.json with their values as JSON text; change some, then plan.
using ConfigKeys = std::map<std::string, std::string>;

// A small configuration of each family in the list, sizes multiples of nothing where the family allows it.
ConfigKeys sample_config(std::string_view family);

std::string to_json(const ConfigKeys& keys);
ModelPlan plan_of(const ConfigKeys& keys, const std::string& generation = "");

// The text of the Error that `action` throws; fails the test when it throws none or another kind.
template <class Action>
std::string sentence_of(const Action& action) {
    try {
        action();
    } catch (const Error& error) {
        CHECK(exit_status(error.kind()) == 64);
        return error.what();
    }
    FAIL("no error was thrown");
    return {};
}

// One tensor of a file to be written.
struct FileTensor {
    std::string name;
    std::string format;  // "BF16"
    std::vector<std::int64_t> shape;
    std::int64_t begin = 0;
    std::int64_t end = 0;
};

// A header in the format's own words.
std::string header_json(const std::vector<FileTensor>& tensors);

// Length word, header and data_bytes bytes that count up from 0.
void write_safetensors(const std::filesystem::path& path, const std::string& header, std::int64_t data_bytes);

void write_text(const std::filesystem::path& path, const std::string& text);

// The tensors of a plan laid out one after the other in one format.
std::vector<FileTensor> layout_of(const std::vector<TensorSpec>& tensors, const std::string& format,
                                  std::int64_t bytes_per_element);

// A checkpoint as if read from one file; only headers are needed for matching.
Checkpoint checkpoint_of(const std::vector<FileTensor>& tensors);

}  // namespace argosy::test
