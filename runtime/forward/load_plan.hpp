// Which rank reads which piece of the checkpoint, and whom it goes to: computed before a byte is read, the same on
// every rank.
//
// Every weight byte is read from the file system once per job, by one rank, and travels from there to the ranks that
// keep it. The checkpoint is cut into pieces of whole rows of one tensor; pieces stand in file order, and each rank
// reads one contiguous stretch of them, so that files are read from front to back by every reader. Example: 3 tensors
// of 5, 2 and 1 pieces, 2 ranks: rank 0 reads pieces 0..3 (of tensor 0), rank 1 reads piece 4 and the other tensors.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "runtime/forward/weight_arenas.hpp"
#include "runtime/model/checkpoint.hpp"

namespace argosy {

inline constexpr std::int64_t kPieceBytesMax = std::int64_t{4} << 20;

struct LoadPiece {
    int tensor = 0;  // index into tensor_list(plan)
    std::int64_t row_begin = 0;
    std::int64_t row_end = 0;  // rows of the stored matrix; a vector has as many rows as elements
    bool operator==(const LoadPiece&) const = default;
};

struct LoadPlan {
    std::vector<LoadPiece> pieces;  // in file order; the cut depends on the checkpoint alone, never on the ranks
    std::vector<std::int64_t> reader_begin;  // [ranks + 1]: rank r reads pieces [reader_begin[r], reader_begin[r+1])
    std::int64_t rounds = 0;                 // most pieces that one rank reads: in round i each rank reads its i-th
    bool operator==(const LoadPlan&) const = default;
};

// stored[i]: where tensor_list(plan)[i] stands (match_tensors). Stretches are even in bytes. Pieces of a matrix begin
// with a multiple of `row_unit` rows, and of the rows that share a scale.
LoadPlan plan_load(std::span<const StoredTensor> stored, int ranks, int row_unit = 1);

// Row and column counts of a stored tensor as the planner sees it: a vector has one column.
std::int64_t rows_of(const StoredTensor& tensor);
std::int64_t columns_of(const StoredTensor& tensor);

// The part of a piece that a home keeps; empty when they do not meet.
TensorSlice overlap(const LoadPiece& piece, const TensorSlice& slice);

std::string describe(const LoadPlan& plan);

}  // namespace argosy
