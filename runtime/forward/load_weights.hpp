// Bringing the weights in: every rank reads its stretch of the checkpoint and sends each piece to the ranks that keep
// it, which pack it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kernels/base/account_clock.hpp"
#include "kernels/ops.hpp"
#include "parallel/mpi_session.hpp"
#include "parallel/node_memory.hpp"
#include "runtime/forward/weight_arenas.hpp"
#include "runtime/model/checkpoint.hpp"
#include "runtime/model/model_plan.hpp"

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

struct LoadedWeights {
    RankWeights weights;
    std::string
        digest;  // of names, formats, shapes and bytes of all tensors: 32 hex digits; the same on every rank and layout
    std::int64_t bytes_read = 0;     // by this rank from the file system, headers included
    std::int64_t private_bytes = 0;  // arenas that this rank alone reads
    std::int64_t shared_bytes = 0;   // its part of arenas that it reads together with others
};

LayoutShare share_of(const RankPlace& place, const RankLayout& layout);

// Collective. The arenas live in `memory`, which must outlive the result. A rank that fails to read tells the others:
// Error on all of them.
LoadedWeights load_weights(MpiSession& session, const RankLayout& layout, NodeMemory& memory, const ModelPlan& plan,
                           const WeightSource& source, const Ops& ops, AccountClock& clock);

}  // namespace argosy
