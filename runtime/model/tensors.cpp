// A model's tensors: names from the family's table, shapes from the plan.
#include "runtime/model/tensors.hpp"

#include <array>

#include "kernels/base/error.hpp"
#include "runtime/model/families.hpp"

namespace argosy {

namespace {

constexpr std::array<std::string_view, kTensorRoleCount> kRoleNames = {"embedding",
                                                                       "attn_norm",
                                                                       "q_proj",
                                                                       "k_proj",
                                                                       "v_proj",
                                                                       "q_bias",
                                                                       "k_bias",
                                                                       "v_bias",
                                                                       "q_norm",
                                                                       "k_norm",
                                                                       "q_a_proj",
                                                                       "q_a_norm",
                                                                       "q_b_proj",
                                                                       "kv_a_proj",
                                                                       "kv_a_norm",
                                                                       "kv_b_proj",
                                                                       "o_proj",
                                                                       "o_bias",
                                                                       "sinks",
                                                                       "ffn_norm",
                                                                       "router",
                                                                       "router_bias",
                                                                       "choice_bias",
                                                                       "shared_gate_proj",
                                                                       "shared_up_proj",
                                                                       "shared_down_proj",
                                                                       "gate_proj",
                                                                       "up_proj",
                                                                       "down_proj",
                                                                       "gate_up_proj",
                                                                       "gate_up_bias",
                                                                       "down_bias",
                                                                       "predictor_token_norm",
                                                                       "predictor_state_norm",
                                                                       "predictor_join",
                                                                       "predictor_embedding",
                                                                       "predictor_norm",
                                                                       "predictor_head",
                                                                       "final_norm",
                                                                       "lm_head"};

// What tensors are called in the checkpoints of most families, as transformers writes them; a family's own table says
// where it differs.
constexpr TensorName kUsualNames[] = {
    {TensorRole::embedding, false, "model.embed_tokens.weight"},
    {TensorRole::attn_norm, false, "model.layers.{L}.input_layernorm.weight"},
    {TensorRole::q_proj, false, "model.layers.{L}.self_attn.q_proj.weight"},
    {TensorRole::k_proj, false, "model.layers.{L}.self_attn.k_proj.weight"},
    {TensorRole::v_proj, false, "model.layers.{L}.self_attn.v_proj.weight"},
    {TensorRole::q_bias, false, "model.layers.{L}.self_attn.q_proj.bias"},
    {TensorRole::k_bias, false, "model.layers.{L}.self_attn.k_proj.bias"},
    {TensorRole::v_bias, false, "model.layers.{L}.self_attn.v_proj.bias"},
    {TensorRole::q_norm, false, "model.layers.{L}.self_attn.q_norm.weight"},
    {TensorRole::k_norm, false, "model.layers.{L}.self_attn.k_norm.weight"},
    {TensorRole::o_proj, false, "model.layers.{L}.self_attn.o_proj.weight"},
    {TensorRole::o_bias, false, "model.layers.{L}.self_attn.o_proj.bias"},
    {TensorRole::ffn_norm, false, "model.layers.{L}.post_attention_layernorm.weight"},
    {TensorRole::gate_proj, false, "model.layers.{L}.mlp.gate_proj.weight"},
    {TensorRole::up_proj, false, "model.layers.{L}.mlp.up_proj.weight"},
    {TensorRole::down_proj, false, "model.layers.{L}.mlp.down_proj.weight"},
    {TensorRole::router, false, "model.layers.{L}.mlp.gate.weight"},
    {TensorRole::gate_proj, true, "model.layers.{L}.mlp.experts.{E}.gate_proj.weight"},
    {TensorRole::up_proj, true, "model.layers.{L}.mlp.experts.{E}.up_proj.weight"},
    {TensorRole::down_proj, true, "model.layers.{L}.mlp.experts.{E}.down_proj.weight"},
    {TensorRole::final_norm, false, "model.norm.weight"},
    {TensorRole::lm_head, false, "lm_head.weight"},
};

// "model.layers.{L}.x" with layer 7 -> "model.layers.7.x".
std::string fill_in(std::string_view pattern, int layer, int expert) {
    std::string name;
    for (std::size_t i = 0; i < pattern.size(); ++i) {
        if (pattern.substr(i, 3) == "{L}" || pattern.substr(i, 3) == "{E}") {
            name += std::to_string(pattern[i + 1] == 'L' ? layer : expert);
            i += 2;
        } else {
            name += pattern[i];
        }
    }
    return name;
}

// Appends tensors to the list, finding each one's name and shape.
class Lister {
  public:
    explicit Lister(const ModelPlan& plan) : plan_(plan), family_(family_of(plan)) {}

    void add(TensorRole role, int layer = -1, int expert = -1) {
        const std::string_view name = pattern(role, expert >= 0);
        const bool fused = expert >= 0 && name.find("{E}") == std::string_view::npos;
        list_.push_back({role, layer, expert, fill_in(name, layer, expert), shape_of(plan_, role, layer),
                         fused ? plan_.moe.experts : 0});
    }
    std::vector<TensorSpec> take() { return std::move(list_); }

  private:
    std::string_view pattern(TensorRole role, bool of_expert) const {
        for (const std::span<const TensorName> names : {family_.names, std::span<const TensorName>(kUsualNames)}) {
            for (const TensorName& name : names) {
                if (name.role == role && name.of_expert == of_expert) return name.pattern;
            }
        }
        fail(ErrorKind::internal, "The family {} has no name for the tensor {}{}.", family_.name, name_of(role),
             of_expert ? " of an expert" : "");
    }

    const ModelPlan& plan_;
    const Family& family_;
    std::vector<TensorSpec> list_;
};

}  // namespace

std::string_view name_of(TensorRole role) { return kRoleNames[static_cast<std::size_t>(role)]; }

std::vector<TensorRole> roles_of_layer(const ModelPlan& plan, int layer) {
    using enum TensorRole;
    std::vector<TensorRole> roles;
    roles.reserve(kTensorRoleCount);
    const auto add = [&](std::initializer_list<TensorRole> more) { roles.insert(roles.end(), more); };
    const AttentionPlan& attention = plan.attention;
    if (layer >= plan.layer_count)
        add({predictor_token_norm, predictor_state_norm, predictor_join, predictor_embedding, predictor_norm,
             predictor_head});
    add({attn_norm});
    if (attention.over_latents()) {
        if (attention.latent.q_rank > 0)
            add({q_a_proj, q_a_norm, q_b_proj});
        else
            add({q_proj});
        add({kv_a_proj, kv_a_norm, kv_b_proj});
    } else {
        add({q_proj, k_proj, v_proj});
    }
    if (attention.qkv_bias) add({q_bias, k_bias, v_bias});
    if (attention.qk_norm != QkNorm::none) add({q_norm, k_norm});
    add({o_proj});
    if (attention.o_bias) add({o_bias});
    if (attention.sinks) add({sinks});
    add({ffn_norm});
    if (plan.layers.at(static_cast<std::size_t>(layer)).kind == LayerKind::moe) {
        add({router});
        if (plan.moe.biases) add({router_bias});
        if (plan.moe.choice_bias) add({choice_bias});
        if (plan.moe.shared_intermediate > 0) add({shared_gate_proj, shared_up_proj, shared_down_proj});
    } else {
        add({gate_proj, up_proj, down_proj});
    }
    return roles;
}

std::vector<TensorRole> roles_of_expert(const ModelPlan& plan) {
    using enum TensorRole;
    if (!plan.moe.fused) return {gate_proj, up_proj, down_proj};
    if (!plan.moe.biases) return {gate_up_proj, down_proj};
    return {gate_up_proj, gate_up_bias, down_proj, down_bias};
}

std::vector<std::int64_t> shape_of(const ModelPlan& plan, TensorRole role, int layer) {
    const std::int64_t hidden = plan.hidden;
    const std::int64_t head_dim = plan.attention.head_dim;
    const LatentPlan& latent = plan.attention.latent;
    const std::int64_t q_width = plan.attention.q_heads * head_dim;
    const std::int64_t kv_width = plan.attention.kv_heads * head_dim;
    const auto intermediate = [&]() -> std::int64_t {
        return plan.layers.at(static_cast<std::size_t>(layer)).intermediate;
    };
    switch (role) {
        case TensorRole::embedding:
        case TensorRole::lm_head:
        case TensorRole::predictor_embedding:
        case TensorRole::predictor_head:
            return {plan.vocab_size, hidden};
        case TensorRole::attn_norm:
        case TensorRole::ffn_norm:
        case TensorRole::final_norm:
        case TensorRole::o_bias:
        case TensorRole::down_bias:
        case TensorRole::predictor_token_norm:
        case TensorRole::predictor_state_norm:
        case TensorRole::predictor_norm:
            return {hidden};
        case TensorRole::predictor_join:
            return {hidden, 2 * hidden};
        case TensorRole::sinks:
            return {plan.attention.q_heads};
        case TensorRole::router_bias:
            return {plan.moe.experts};
        case TensorRole::gate_up_proj:
            return {2 * intermediate(), hidden};
        case TensorRole::gate_up_bias:
            return {2 * intermediate()};
        case TensorRole::q_proj:
            return {q_width, hidden};
        case TensorRole::k_proj:
        case TensorRole::v_proj:
            return {kv_width, hidden};
        case TensorRole::q_bias:
            return {q_width};
        case TensorRole::k_bias:
        case TensorRole::v_bias:
            return {kv_width};
        case TensorRole::q_norm:
            return {plan.attention.qk_norm == QkNorm::all_heads ? q_width : head_dim};
        case TensorRole::k_norm:
            return {plan.attention.qk_norm == QkNorm::all_heads ? kv_width : head_dim};
        case TensorRole::q_a_proj:
            return {latent.q_rank, hidden};
        case TensorRole::q_a_norm:
            return {latent.q_rank};
        case TensorRole::q_b_proj:
            return {q_width, latent.q_rank};
        case TensorRole::kv_a_proj:
            return {plan.attention.cached_dim(), hidden};
        case TensorRole::kv_a_norm:
            return {latent.kv_rank};
        case TensorRole::kv_b_proj:
            return {std::int64_t{plan.attention.q_heads} * (latent.nope_dim + latent.value_dim), latent.kv_rank};
        case TensorRole::o_proj:
            return {hidden, std::int64_t{plan.attention.q_heads} * plan.attention.output_dim()};
        case TensorRole::choice_bias:
            return {plan.moe.experts};
        case TensorRole::shared_gate_proj:
        case TensorRole::shared_up_proj:
            return {plan.moe.shared_intermediate, hidden};
        case TensorRole::shared_down_proj:
            return {hidden, plan.moe.shared_intermediate};
        case TensorRole::router:
            return {plan.moe.experts, hidden};
        case TensorRole::gate_proj:
        case TensorRole::up_proj:
            return {intermediate(), hidden};
        case TensorRole::down_proj:
            return {hidden, intermediate()};
    }
    fail(ErrorKind::internal, "There is no tensor role {}.", static_cast<int>(role));
}

namespace {
void list_layer(const ModelPlan& plan, int layer, Lister& list) {
    for (const TensorRole role : roles_of_layer(plan, layer)) list.add(role, layer);
    const bool moe = plan.layers[static_cast<std::size_t>(layer)].kind == LayerKind::moe;
    for (int expert = 0; moe && expert < plan.moe.experts; ++expert) {
        for (const TensorRole role : roles_of_expert(plan)) list.add(role, layer, expert);
    }
}
}  // namespace

std::vector<TensorSpec> tensor_list(const ModelPlan& plan) {
    Lister list(plan);
    list.add(TensorRole::embedding);
    for (int layer = 0; layer < static_cast<int>(plan.layers.size()); ++layer) list_layer(plan, layer, list);
    list.add(TensorRole::final_norm);
    if (!plan.tie_embeddings) list.add(TensorRole::lm_head);
    return list.take();
}

std::vector<TensorSpec> spare_tensors(const ModelPlan& plan) {
    if (plan.predictors == 0 || runs_predictor(plan)) return {};
    const ModelPlan further = with_predictor(plan);
    Lister list(further);
    list_layer(further, plan.layer_count, list);
    return list.take();
}

}  // namespace argosy
