// Where a job's weights come from: the files of a checkpoint, or a seed; and in which format they are to travel.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "parallel/mpi_session.hpp"
#include "runtime/forward/load_plan.hpp"
#include "runtime/model/checkpoint.hpp"
#include "runtime/model/model_plan.hpp"
#include "runtime/model/tensors.hpp"

namespace argosy {

// The tensors of a model and where their bytes come from.
struct WeightSource {
    std::vector<TensorSpec> tensors;      // tensor_list(plan)
    std::vector<StoredTensor> stored;     // where each stands; with random weights: format and shape alone
    std::vector<StoredTensor> sent;       // how each travels and is packed: as stored unless send_as changed it
    std::vector<Checkpoint::File> files;  // empty with random weights
    std::optional<std::uint64_t> random_seed;
};

// Collective: world rank 0 reads the headers, all check them. Errors (input) as of match_tensors, the same on every
// rank.
WeightSource open_weights(MpiSession& session, const ModelPlan& plan, const std::filesystem::path& folder);

// Weights nobody trained: bf16 noise of deviation 0.02, norms of 1, from (seed, tensor name, element) alone. For
// benchmarks.
WeightSource random_weights(const ModelPlan& plan, std::uint64_t seed);

// Has the matrices of products (may_stand_in_blocks) encoded in another format by those who read them, as if the
// checkpoint held them so. For nvfp4 they are then read twice: first for the largest magnitude of each.
void send_as(WeightSource& source, DType dtype);

// Elements of a piece of random weights: noise with the spread of a sum of four uniform bytes, which is cheap, bounded,
// and the same on every machine. One Philox block gives four elements, a word each.
void fill_random(const LoadPiece& piece, const WeightSource& source, std::byte* into);

}  // namespace argosy
