// Single sums chosen by hand, each of which tells models apart, and the search for where terms are cut.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/device/products.hpp"

namespace argosy::device {

struct Factor {
    int k;
    float a, b;
};

// c + sum of a * b over the factors; products that are not named are +0 times +0. All values are exact in the format.
struct Probe {
    std::string name;
    float c;
    std::vector<Factor> factors;
};

// `code_bytes` of 2: bf16, 16 products; of 1: fp8 E4M3, 32 products.
std::vector<Probe> hand_made_probes(int code_bytes);

// One of: a large term and its negative stand in c or in products, a small one in another product. If all are summed in
// one go, the small one is what is left, unless it lies too far below the large one and is cut.
struct DepthRow {
    std::string where;       // "c - k[0]" or "k[0] - k[15]"
    int plus;                // which product is the large term, or -1: c is
    int minus;               // which product is its negative
    std::vector<int> depth;  // by place of the small term: the largest t at which 2^-t of the large term is not lost
};
std::vector<DepthRow> depth_rows(int code_bytes);

// The results of a unit of the GPU. Bits of f32, in the order of `probes`.
std::vector<std::uint32_t> run_probes(int code_bytes, const std::vector<Probe>& probes, Unit unit);
// Fills `depth` of the rows.
void find_depths(int code_bytes, std::vector<DepthRow>& rows, Unit unit);

// What the model of that unit says, on this processor.
std::vector<std::uint32_t> model_probes(int code_bytes, const std::vector<Probe>& probes, Unit unit);

}  // namespace argosy::device
