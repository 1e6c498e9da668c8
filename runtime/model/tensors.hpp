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
    embedding,   // [vocab, hidden]
    attn_norm,   // [hidden], before attention
    q_proj,      // [q_heads * head_dim, hidden]
    k_proj,      // [kv_heads * head_dim, hidden]
    v_proj,      // [kv_heads * head_dim, hidden]
    q_bias,      // [q_heads * head_dim]
    k_bias,      // [kv_heads * head_dim]
    v_bias,      // [kv_heads * head_dim]
    q_norm,      // [head_dim]
    k_norm,      // [head_dim]
    o_proj,      // [hidden, q_heads * head_dim]
    ffn_norm,    // [hidden], before the feed-forward
    router,      // [experts, hidden]
    gate_proj,   // [intermediate, hidden]
    up_proj,     // [intermediate, hidden]
    down_proj,   // [hidden, intermediate]
    final_norm,  // [hidden]
    lm_head,     // [vocab, hidden]
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
    bool operator==(const TensorSpec&) const = default;
};

// One row of a family's table of names: {L} stands for the layer, {E} for the expert.
struct TensorName {
    TensorRole role;
    bool of_expert;  // the pattern is for an expert's matrix; false: for a dense layer's or the model's
    std::string_view pattern;
};

// Every tensor that the plan asks of a checkpoint, in a fixed order: embedding; layer by layer norms, q, k, v, o,
// feed-forward (experts by id; of each gate, up, down); final norm; vocabulary projection, which a model with tied
// embeddings does not have. Throws Error(internal) when the plan's family has no name for a tensor it needs.
std::vector<TensorSpec> tensor_list(const ModelPlan& plan);

// The tensors of one layer, those of experts apart, in the list's order; and those of each expert.
std::vector<TensorRole> roles_of_layer(const ModelPlan& plan, int layer);
inline constexpr TensorRole kExpertRoles[] = {TensorRole::gate_proj, TensorRole::up_proj, TensorRole::down_proj};

// Shape of one tensor; layer matters for the feed-forward's matrices only.
std::vector<std::int64_t> shape_of(const ModelPlan& plan, TensorRole role, int layer);

}  // namespace argosy
