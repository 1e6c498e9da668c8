// Whether a job fits into memory: what a rank needs of weights, KV and buffers under a layout, what it has, and how
// many ranks would do. Pure; asked before a weight is read.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "kernels/base/dtype.hpp"
#include "kernels/ops.hpp"
#include "parallel/rank_layout.hpp"
#include "runtime/model/model_plan.hpp"
#include "runtime/model/weight_plan.hpp"

namespace argosy {

struct RankMemory {
    std::int64_t weight_bytes = 0;  // its part of the copies that its NUMA domain holds
    std::int64_t kv_bytes = 0;      // one sequence of the longest length, or the pool that was asked for
    std::int64_t buffer_bytes = 0;  // activations of a full step, messages, and the process itself
    bool operator==(const RankMemory&) const = default;
    std::int64_t total() const { return weight_bytes + kv_bytes + buffer_bytes; }
};

struct FitQuestion {
    const ModelPlan* plan = nullptr;
    std::function<WeightBytes(const LayoutShare&)> weights;  // bytes that a rank of this share reads
    DType kv_dtype = DType::bf16;
    std::int64_t positions = 1;         // longest sequence
    std::int64_t kv_memory_bytes = 0;   // pool asked for; 0: none
    Products products = Products::f32;  // blocks hold what they multiply as codes or bf16
    int max_rows = 2048;
    int exchange_rows = 0;  // asked for; 0: not
    int threads = 1;
    int sharing_ranks = 1;  // neighbouring ranks that share copies of weights: those of a NUMA domain
    int ranks_per_node = 1;
    std::int64_t bytes_per_rank = 0;  // that a rank has
};

// Rows per round of the expert exchange between two ranks: as asked, else so many that 8,192 arrive at a rank at most,
// but 512 in any case, since every round reads the experts' weights again.
int exchange_rows_of(int asked, int max_rows, int stage_size);

// The largest need of the ranks of one replica; world ranks of a node follow each other.
RankMemory memory_needed(const FitQuestion& question, const RankLayout& layout);

struct Fit {
    RankMemory need;
    std::int64_t have_bytes = 0;
    bool fits = false;
    std::string sentence;  // "fits: ..." or what is too big and what to do
    bool operator==(const Fit&) const = default;
};
// shape: of list_layouts. Where the job does not fit, more ranks with as much memory each are tried up to 4096.
Fit judge_fit(const FitQuestion& question, const RankLayout& layout, const ModelShape& shape);

}  // namespace argosy
