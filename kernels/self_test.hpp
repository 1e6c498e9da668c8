// The self-test at start: tries to make the chosen ops give different bits on the machine at hand, where they promise
// the same.
#pragma once

#include <string>
#include <vector>

#include "kernels/ops.hpp"

namespace argosy {

struct SelfTest {
    std::vector<std::string> tried;      // "batch", "threads", "chunks", "ranks", "reference"
    std::vector<std::string> falsified;  // those that gave different bits; empty on a healthy machine
    bool operator==(const SelfTest&) const = default;
};

// Small products, an attention and a row-parallel sum, each computed in two ways whose bits must be equal. `reference`
// is the plain backend of the same numerics_id. Takes some milliseconds. stream.threads: as the job will use.
SelfTest self_test(const Ops& ops, const Ops& reference, const Stream& stream);

// "not falsified (batch, threads, chunks, ranks, reference)", or "FALSIFIED: threads; ...".
std::string describe(const SelfTest& test);

}  // namespace argosy
