// Where every weight of a rank stands in memory: three arenas, laid out by a pure function before a byte is read.
//
// Ranks that need the same arena on one NUMA domain share one copy of it (parallel/node_memory.hpp):
//
// - common: embedding, norms, router. The same on every rank of the job.
// - attention: qkv, output, dense layers, vocabulary. The same for equal tp rank: dp groups and replicas share it.
// - experts: gate, up and down. The same for equal (ep rank, etp rank): replicas share it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kernels/ops.hpp"
#include "runtime/model/checkpoint.hpp"
#include "runtime/model/model_plan.hpp"
#include "runtime/model/tensors.hpp"
#include "runtime/model/weight_plan.hpp"

namespace argosy {

enum class Arena : std::uint8_t { common, attention, experts };
inline constexpr int kArenaCount = 3;

// Ranks of one NUMA domain whose keys are equal hold the same bytes in an arena.
std::uint64_t arena_key(Arena arena, const LayoutShare& share);

enum class HomeKind : std::uint8_t {
    matrix,  // packed by Ops::pack, rows from row_begin on
    vector,  // widened to f32
    turned,  // transposed, then packed: the stored rows are the columns of the product's matrix
    raw,     // as stored: the embedding, which is looked up, not multiplied
};

// One place where (a slice of) a stored tensor goes. A tied embedding has two: raw rows, and rows of the vocabulary
// projection. So has a matrix of gate and up rows in turn, and its bias: first gate's, then up's. kv_b_proj has two for
// each head: the key's rows turned, so that they take queries to the latents' space, and the value's.
struct TensorHome {
    int tensor = 0;  // index into tensor_list(plan)
    TensorSlice slice;
    Arena arena = Arena::common;
    HomeKind kind = HomeKind::raw;
    std::int64_t offset = 0;  // bytes from the arena's start to the matrix, vector or table
    MatrixSpec spec;          // kind matrix: of the whole packed matrix, of which this tensor may be a part (q, k, v)
    std::int64_t row_begin = 0;  // kind matrix: packed row of the slice's first row; kind vector: element of its first
    bool operator==(const TensorHome&) const = default;
};

struct ArenaLayout {
    std::array<std::int64_t, kArenaCount> bytes{};
    std::vector<TensorHome> homes;  // in order of tensor
    std::vector<DType> stored;      // format of each tensor of tensor_list(plan)
    bool operator==(const ArenaLayout&) const = default;
};

// How tensor_list(plan) is kept that is stored (or sent) as `dtypes`: vectors as f32, the embedding as it is, a matrix
// in the format of its product's weights. That is int8, or its mxfp4, where products take codes, but for the router's,
// since a choice of experts is no place to save; bf16 as it is; all else decoded to f32. mxfp4 stays mxfp4 where its
// groups of 32 columns begin with the product's leaves, and if the whole packed matrix (q, k and v) is mxfp4.
std::vector<DType> kept_dtypes(const ModelPlan& plan, std::span<const TensorSpec> tensors,
                               std::span<const DType> dtypes, const Ops& ops);

// dtypes[i]: the format in which tensor_list(plan)[i] is sent.
ArenaLayout lay_out_arenas(const ModelPlan& plan, std::span<const TensorSpec> tensors, std::span<const DType> dtypes,
                           const LayoutShare& share, const Ops& ops);

// ---- what forward reads ----

struct LayerWeights {
    const float* attn_norm = nullptr;  // [hidden]
    const float* ffn_norm = nullptr;   // [hidden]
    const float* q_norm = nullptr;     // null, [head_dim], or over all heads [q_heads * head_dim] of all ranks
    const float* k_norm = nullptr;     // the same of k
    const float* qkv_bias = nullptr;   // [n] or null
    const float* o_bias = nullptr;     // [hidden] or null
    const float* sinks = nullptr;      // [q_heads] of all ranks, or null
    WeightMatrix qkv;                  // data null: this rank has no heads
    WeightMatrix o;
    WeightMatrix router;                 // MoE layers
    const float* router_bias = nullptr;  // [experts] or null
    const float* choice_bias = nullptr;  // [experts] or null
    // Attention over latents; q_b also where queries are made from the row itself.
    WeightMatrix q_a, q_b, kv_a;
    const float* q_a_norm = nullptr;     // [q_rank] or null
    const float* kv_a_norm = nullptr;    // [kv_rank]
    std::vector<WeightMatrix> key_up;    // [heads of this rank] n = kv_rank, k = nope_dim
    std::vector<WeightMatrix> value_up;  // [heads of this rank] n = value_dim, k = kv_rank
    // The feed-forward beside the experts; empty: there is none, or this rank has no columns of it.
    std::vector<WeightMatrix> shared_gate, shared_up, shared_down;  // of one each
    std::vector<const float*> gate_bias;  // [experts of this rank] of this rank's columns, or empty
    std::vector<const float*> up_bias;    // the same
    std::vector<const float*> down_bias;  // [experts of this rank] of [hidden], or empty
    std::vector<WeightMatrix>
        gate;  // [experts of this rank], or one for a dense layer; empty: this rank has no columns
    std::vector<WeightMatrix> up;
    std::vector<WeightMatrix> down;
};

// What the predictor has beside its layer, which is the last; where it does not run, nothing.
struct PredictorWeights {
    const float* token_norm = nullptr;  // [hidden]
    const float* state_norm = nullptr;  // [hidden]
    WeightMatrix join;                  // [hidden, 2 * hidden], whole on every rank
    const float* norm = nullptr;        // [hidden]
};

struct RankWeights {
    const void* embedding = nullptr;  // [vocab, hidden] of embedding_dtype
    DType embedding_dtype = DType::f32;
    const float* final_norm = nullptr;  // [hidden]
    WeightMatrix head;                  // [vocabulary rows of this rank, hidden]; data null: none
    std::vector<LayerWeights> layers;   // [plan.layers]
    PredictorWeights predictor;
};

// Pointers into the arenas, once they exist.
RankWeights view_weights(const ModelPlan& plan, std::span<const TensorSpec> tensors, const ArenaLayout& layout,
                         const std::array<std::byte*, kArenaCount>& arena);

}  // namespace argosy
