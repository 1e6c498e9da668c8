// Where received pieces of the checkpoint go: into their homes in the arenas, packed, widened or as they are.
#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "kernels/ops.hpp"
#include "runtime/forward/weight_arenas.hpp"
#include "runtime/model/checkpoint.hpp"

namespace argosy {

// Matrices that are packed transposed, as far as their rows have come: packing takes whole rows of what they become.
class TurnedRows {
  public:
    // The rows `part` of `tensor`, which stand at `from`; the last of a matrix packs it.
    void take(const TensorHome& home, const TensorSlice& part, const StoredTensor& tensor, const std::byte* from,
              std::byte* packed, const Ops& ops);

  private:
    struct Waiting {
        std::vector<float> values;  // [n, k]
        std::int64_t rows = 0;      // that have come
    };
    std::map<std::pair<int, std::int64_t>, Waiting> waiting_;  // by tensor and first row
};

// Puts what was received of a piece into its home; returns the bytes taken.
std::int64_t settle_part(const TensorHome& home, const TensorSlice& part, const StoredTensor& tensor,
                         const std::byte* from, std::byte* arena, const Ops& ops, TurnedRows& turned);

}  // namespace argosy
