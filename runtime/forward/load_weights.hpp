// Bringing the weights in: every rank reads its stretch of the checkpoint and sends each piece to the ranks that keep
// it, which pack it.
#pragma once

#include <cstdint>
#include <string>

#include "kernels/base/account_clock.hpp"
#include "kernels/ops.hpp"
#include "parallel/mpi_session.hpp"
#include "parallel/node_memory.hpp"
#include "runtime/forward/weight_arenas.hpp"
#include "runtime/forward/weight_source.hpp"
#include "runtime/model/model_plan.hpp"

namespace argosy {

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
