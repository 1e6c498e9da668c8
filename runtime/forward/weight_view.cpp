// What forward reads: pointers into the arenas, by role.
#include "runtime/forward/weight_arenas.hpp"

namespace argosy {

RankWeights view_weights(const ModelPlan& plan, std::span<const TensorSpec> tensors, const ArenaLayout& layout,
                         const std::array<std::byte*, kArenaCount>& arena) {
    RankWeights weights;
    weights.layers.resize(plan.layers.size());
    for (const TensorHome& home : layout.homes) {
        const TensorSpec& tensor = tensors[static_cast<std::size_t>(home.tensor)];
        std::byte* at = arena[static_cast<int>(home.arena)] + home.offset;
        const float* vector = reinterpret_cast<const float*>(at);
        const WeightMatrix matrix{home.spec, at};
        LayerWeights* layer = tensor.layer >= 0 ? &weights.layers[static_cast<std::size_t>(tensor.layer)] : nullptr;
        switch (tensor.role) {
            case TensorRole::embedding:
                if (home.kind == HomeKind::matrix) {
                    weights.head = matrix;
                } else {
                    weights.embedding = at;
                    weights.embedding_dtype = layout.stored[static_cast<std::size_t>(home.tensor)];
                }
                break;
            case TensorRole::final_norm:
                weights.final_norm = vector;
                break;
            case TensorRole::predictor_token_norm:
                weights.predictor.token_norm = vector;
                break;
            case TensorRole::predictor_state_norm:
                weights.predictor.state_norm = vector;
                break;
            case TensorRole::predictor_join:
                weights.predictor.join = matrix;
                break;
            case TensorRole::predictor_norm:
                weights.predictor.norm = vector;
                break;
            case TensorRole::predictor_embedding:
            case TensorRole::predictor_head:
                break;  // copies
            case TensorRole::lm_head:
                weights.head = matrix;
                break;
            case TensorRole::attn_norm:
                layer->attn_norm = vector;
                break;
            case TensorRole::ffn_norm:
                layer->ffn_norm = vector;
                break;
            case TensorRole::q_norm:
                layer->q_norm = vector;
                break;
            case TensorRole::k_norm:
                layer->k_norm = vector;
                break;
            case TensorRole::q_bias:
            case TensorRole::k_bias:
            case TensorRole::v_bias:
                layer->qkv_bias = vector;
                break;
            case TensorRole::q_proj:
            case TensorRole::k_proj:
            case TensorRole::v_proj:
                (plan.attention.over_latents() ? layer->q_b : layer->qkv) = matrix;
                break;
            case TensorRole::o_proj:
                layer->o = matrix;
                break;
            case TensorRole::router:
                layer->router = matrix;
                break;
            case TensorRole::q_a_proj:
                layer->q_a = matrix;
                break;
            case TensorRole::q_a_norm:
                layer->q_a_norm = vector;
                break;
            case TensorRole::q_b_proj:
                layer->q_b = matrix;
                break;
            case TensorRole::kv_a_proj:
                layer->kv_a = matrix;
                break;
            case TensorRole::kv_a_norm:
                layer->kv_a_norm = vector;
                break;
            case TensorRole::kv_b_proj:
                (home.kind == HomeKind::turned ? layer->key_up : layer->value_up).push_back(matrix);
                break;
            case TensorRole::choice_bias:
                layer->choice_bias = vector;
                break;
            case TensorRole::shared_gate_proj:
                layer->shared_gate.push_back(matrix);
                break;
            case TensorRole::shared_up_proj:
                layer->shared_up.push_back(matrix);
                break;
            case TensorRole::shared_down_proj:
                layer->shared_down.push_back(matrix);
                break;
            case TensorRole::o_bias:
                layer->o_bias = vector;
                break;
            case TensorRole::sinks:
                layer->sinks = vector;
                break;
            case TensorRole::router_bias:
                layer->router_bias = vector;
                break;
            case TensorRole::gate_up_proj:
                (home.slice.row_begin % 2 == 0 ? layer->gate : layer->up).push_back(matrix);
                break;
            case TensorRole::gate_up_bias:
                (home.slice.row_begin % 2 == 0 ? layer->gate_bias : layer->up_bias).push_back(vector);
                break;
            case TensorRole::down_bias:
                layer->down_bias.push_back(vector);
                break;
            case TensorRole::gate_proj:
                layer->gate.push_back(matrix);
                break;
            case TensorRole::up_proj:
                layer->up.push_back(matrix);
                break;
            case TensorRole::down_proj:
                layer->down.push_back(matrix);
                break;
        }
    }
    return weights;
}

}  // namespace argosy
