// The tensors that a model consists of: what each one is for, what it is called in a checkpoint, and its shape.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/model/model_plan.hpp"

namespace argosy {

// Matrices are row-major [out, in], as checkpoints store them: y[o] = sum over i of w[o, i] * x[i].
enum class TensorRole : std::uint8_t {
    embedding,             // [vocab, hidden]
    attn_norm,             // [hidden], before attention
    q_proj,                // [q_heads * head_dim, hidden]
    k_proj,                // [kv_heads * head_dim, hidden]
    v_proj,                // [kv_heads * head_dim, hidden]
    q_bias,                // [q_heads * head_dim]
    k_bias,                // [kv_heads * head_dim]
    v_bias,                // [kv_heads * head_dim]
    q_norm,                // [head_dim], or [q_heads * head_dim] over all heads
    k_norm,                // [head_dim], or [kv_heads * head_dim]
    q_a_proj,              // [q_rank, hidden]
    q_a_norm,              // [q_rank]
    q_b_proj,              // [q_heads * head_dim, q_rank]
    kv_a_proj,             // [kv_rank + rotary_dim, hidden]
    kv_a_norm,             // [kv_rank]
    kv_b_proj,             // [q_heads * (nope_dim + value_dim), kv_rank]: of each head the key's rows, then the value's
    o_proj,                // [hidden, q_heads * head_dim], over latents [hidden, q_heads * value_dim]
    o_bias,                // [hidden]
    sinks,                 // [q_heads]
    ffn_norm,              // [hidden], before the feed-forward
    router,                // [experts, hidden]
    router_bias,           // [experts]
    choice_bias,           // [experts]
    shared_gate_proj,      // [shared_intermediate, hidden]
    shared_up_proj,        // [shared_intermediate, hidden]
    shared_down_proj,      // [hidden, shared_intermediate]
    gate_proj,             // [intermediate, hidden]
    up_proj,               // [intermediate, hidden]
    down_proj,             // [hidden, intermediate]
    gate_up_proj,          // [2 * intermediate, hidden]: rows of gate and up in turn
    gate_up_bias,          // [2 * intermediate], in the same order
    down_bias,             // [hidden]
    predictor_token_norm,  // [hidden], of the next token's embedding
    predictor_state_norm,  // [hidden], of the last layer's normed state
    predictor_join,        // [hidden, 2 * hidden], of both side by side
    predictor_embedding,   // [vocab, hidden], a copy of the embedding
    predictor_norm,        // [hidden], before its vocabulary projection
    predictor_head,        // [vocab, hidden], a copy of the vocabulary projection
    final_norm,            // [hidden]
    lm_head,               // [vocab, hidden]
};
inline constexpr int kTensorRoleCount = static_cast<int>(TensorRole::lm_head) + 1;
std::string_view name_of(TensorRole role);

// One tensor of a model.
struct TensorSpec {
    TensorRole role = TensorRole::embedding;
    int layer = -1;   // -1: belongs to no layer
    int expert = -1;  // -1: belongs to no expert
    std::string name;
    std::vector<std::int64_t> shape;
    int experts = 0;  // > 0: `name` is that of a tensor of so many experts, of which this is part `expert`
    bool operator==(const TensorSpec&) const = default;
};

// One row of a family's table of names: {L} stands for the layer, {E} for the expert. The name of an expert's tensor
// without {E} is that of a tensor which holds all experts', one after the other.
struct TensorName {
    TensorRole role;
    bool of_expert;  // the pattern is for an expert's tensor; false: for a dense layer's or the model's
    std::string_view pattern;
};

// Every tensor that the plan asks of a checkpoint, in a fixed order: embedding; layer by layer norms, q, k, v, o,
// feed-forward (experts by id); final norm; vocabulary projection, which a model with tied
// embeddings does not have. A predictor that runs is one more layer. Throws Error(internal) when the plan's family has
// no name for a tensor it needs.
std::vector<TensorSpec> tensor_list(const ModelPlan& plan);

// The tensors of the predictor, which a checkpoint may hold though it does not run; none where it runs or there is
// none.
std::vector<TensorSpec> spare_tensors(const ModelPlan& plan);

// The tensors of one layer, those of experts apart, in the list's order; and those of each expert.
std::vector<TensorRole> roles_of_layer(const ModelPlan& plan, int layer);
std::vector<TensorRole> roles_of_expert(const ModelPlan& plan);

// Shape of one tensor; layer matters for the feed-forward's matrices only.
std::vector<std::int64_t> shape_of(const ModelPlan& plan, TensorRole role, int layer);

}  // namespace argosy
