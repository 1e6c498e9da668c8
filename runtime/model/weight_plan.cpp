// Slices of weights, and what they add up to.
#include "runtime/model/weight_plan.hpp"

#include <algorithm>
#include <numeric>

#include "kernels/base/error.hpp"
#include "kernels/ops.hpp"
#include "kernels/quant/block_format.hpp"
#include "runtime/model/families.hpp"

namespace argosy {

namespace {

void check_part(std::string_view name, int rank, int parts) {
    if (parts < 1 || rank < 0 || rank >= parts) {
        fail(ErrorKind::usage, "There is no {} rank {} of {}; ranks count from 0 to one less than {}.", name, rank,
             parts, name);
    }
}

// Leaves can be dealt out evenly to 1, 2, 4 or 8 ranks only.
void check_leaf_part(std::string_view name, int rank, int parts) {
    check_part(name, rank, parts);
    if (parts > kLeafCount || kLeafCount % parts != 0)
        fail(ErrorKind::usage, "{} is {}; it must be 1, 2, 4 or 8.", name, parts);
}

}  // namespace

HeadRange q_heads_of(const ModelPlan& plan, int tp_rank, int tp) {
    check_leaf_part("tp", tp_rank, tp);
    const int leaves = kLeafCount / tp;
    return {static_cast<int>(leaf_begin(plan.attention.q_heads, tp_rank * leaves)),
            static_cast<int>(leaf_begin(plan.attention.q_heads, (tp_rank + 1) * leaves))};
}

HeadRange kv_heads_of(const ModelPlan& plan, int tp_rank, int tp) {
    const HeadRange q = q_heads_of(plan, tp_rank, tp);
    if (q.empty()) return {};
    const int q_per_kv = plan.attention.q_heads / plan.attention.kv_heads;
    return {q.begin / q_per_kv, (q.end - 1) / q_per_kv + 1};
}

ExpertRange experts_of(const ModelPlan& plan, int ep_rank, int ep) {
    check_part("ep", ep_rank, ep);
    const std::int64_t experts = plan.moe.experts;
    return {static_cast<int>(experts * ep_rank / ep), static_cast<int>(experts * (ep_rank + 1) / ep)};
}

int owner_of_expert(const ModelPlan& plan, int expert, int ep) {
    check_part("ep", 0, ep);
    if (expert < 0 || expert >= plan.moe.experts) {
        fail(ErrorKind::internal, "There is no expert {} of {}.", expert, plan.moe.experts);
    }
    // The last rank g with experts * g / ep <= expert in whole numbers, that is experts * g < (expert + 1) * ep.
    return static_cast<int>(((expert + 1) * std::int64_t{ep} - 1) / plan.moe.experts);
}

VocabRange vocab_of(const ModelPlan& plan, int tp_rank, int tp) {
    check_part("tp", tp_rank, tp);
    const std::int64_t units = (std::int64_t{plan.vocab_size} + kVocabUnitRows - 1) / kVocabUnitRows;
    const auto bound = [&](int rank) {
        return static_cast<int>(std::min<std::int64_t>(units * rank / tp * kVocabUnitRows, plan.vocab_size));
    };
    return {bound(tp_rank), bound(tp_rank + 1)};
}

LeafShare attention_leaves(const ModelPlan& plan, int tp_rank, int tp) {
    check_leaf_part("tp", tp_rank, tp);
    return leaf_share(plan.attention.q_heads, plan.attention.output_dim(), tp_rank, tp);
}

LeafShare shared_leaves(const ModelPlan& plan, int tp_rank, int tp) {
    check_leaf_part("tp", tp_rank, tp);
    return leaf_share(plan.moe.shared_intermediate, 1, tp_rank, tp);
}

LeafShare dense_leaves(const ModelPlan& plan, int layer, int tp_rank, int tp) {
    check_leaf_part("tp", tp_rank, tp);
    return leaf_share(plan.layers.at(static_cast<std::size_t>(layer)).intermediate, 1, tp_rank, tp);
}

LeafShare expert_leaves(const ModelPlan& plan, int etp_rank, int etp) {
    check_leaf_part("etp", etp_rank, etp);
    return leaf_share(expert_leaf_units(plan), plan.moe.leaf_unit, etp_rank, etp);
}

int expert_leaf_units(const ModelPlan& plan) { return plan.moe.intermediate / plan.moe.leaf_unit; }

namespace {

TensorSlice rows_of(const TensorSpec& tensor, std::int64_t begin, std::int64_t end) {
    const std::int64_t columns = tensor.shape.size() == 2 ? tensor.shape[1] : 1;
    return begin < end ? TensorSlice{begin, end, 0, columns} : TensorSlice{};
}

TensorSlice columns_of(const TensorSpec& tensor, std::int64_t begin, std::int64_t end) {
    return begin < end ? TensorSlice{0, tensor.shape[0], begin, end} : TensorSlice{};
}

TensorSlice head_rows(const ModelPlan& plan, const TensorSpec& tensor, HeadRange heads) {
    const std::int64_t head_dim = plan.attention.head_dim;
    return rows_of(tensor, heads.begin * head_dim, heads.end * head_dim);
}

// Gate and up rows and down columns follow the same leaves; a bias of down goes with its matrix.
TensorSlice feed_forward_slice(const ModelPlan& plan, const TensorSpec& tensor, const LayoutShare& share) {
    if (tensor.expert >= 0) {
        const ExpertRange owned = experts_of(plan, share.ep_rank, share.ep);
        if (tensor.expert < owned.begin || tensor.expert >= owned.end) return {};
    }
    const LeafShare leaves = tensor.expert >= 0 ? expert_leaves(plan, share.etp_rank, share.etp)
                                                : dense_leaves(plan, tensor.layer, share.tp_rank, share.tp);
    switch (tensor.role) {
        case TensorRole::down_proj:
            return columns_of(tensor, leaves.k_begin, leaves.k_end);
        case TensorRole::down_bias:
            return leaves.k_begin < leaves.k_end ? rows_of(tensor, 0, tensor.shape[0]) : TensorSlice{};
        case TensorRole::gate_up_proj:
        case TensorRole::gate_up_bias:
            return rows_of(tensor, 2 * leaves.k_begin, 2 * leaves.k_end);
        default:
            return rows_of(tensor, leaves.k_begin, leaves.k_end);
    }
}

}  // namespace

TensorSlice slice_of(const ModelPlan& plan, const TensorSpec& tensor, const LayoutShare& share) {
    switch (tensor.role) {
        case TensorRole::q_proj:
        case TensorRole::q_bias:
        case TensorRole::q_b_proj:
            return head_rows(plan, tensor, q_heads_of(plan, share.tp_rank, share.tp));
        case TensorRole::k_proj:
        case TensorRole::v_proj:
        case TensorRole::k_bias:
        case TensorRole::v_bias:
            return head_rows(plan, tensor, kv_heads_of(plan, share.tp_rank, share.tp));
        case TensorRole::kv_b_proj: {
            const HeadRange heads = q_heads_of(plan, share.tp_rank, share.tp);
            const std::int64_t rows = plan.attention.latent.nope_dim + plan.attention.latent.value_dim;
            return rows_of(tensor, heads.begin * rows, heads.end * rows);
        }
        case TensorRole::q_a_proj:
        case TensorRole::kv_a_proj:
            return q_heads_of(plan, share.tp_rank, share.tp).empty() ? TensorSlice{}
                                                                     : rows_of(tensor, 0, tensor.shape[0]);
        case TensorRole::shared_gate_proj:
        case TensorRole::shared_up_proj: {
            const LeafShare leaves = shared_leaves(plan, share.tp_rank, share.tp);
            return rows_of(tensor, leaves.k_begin, leaves.k_end);
        }
        case TensorRole::shared_down_proj: {
            const LeafShare leaves = shared_leaves(plan, share.tp_rank, share.tp);
            return columns_of(tensor, leaves.k_begin, leaves.k_end);
        }
        case TensorRole::o_proj: {
            const LeafShare leaves = attention_leaves(plan, share.tp_rank, share.tp);
            return columns_of(tensor, leaves.k_begin, leaves.k_end);
        }
        case TensorRole::gate_proj:
        case TensorRole::up_proj:
        case TensorRole::down_proj:
        case TensorRole::gate_up_proj:
        case TensorRole::gate_up_bias:
        case TensorRole::down_bias:
            return feed_forward_slice(plan, tensor, share);
        case TensorRole::lm_head: {
            const VocabRange rows = vocab_of(plan, share.tp_rank, share.tp);
            return rows_of(tensor, rows.begin, rows.end);
        }
        case TensorRole::predictor_embedding:
        case TensorRole::predictor_head:
            return {};  // of copies nothing is kept
        case TensorRole::embedding:
        case TensorRole::predictor_token_norm:
        case TensorRole::predictor_state_norm:
        case TensorRole::predictor_join:
        case TensorRole::predictor_norm:
        case TensorRole::attn_norm:
        case TensorRole::q_norm:
        case TensorRole::k_norm:
        case TensorRole::q_a_norm:
        case TensorRole::kv_a_norm:
        case TensorRole::choice_bias:
        case TensorRole::o_bias:
        case TensorRole::sinks:
        case TensorRole::ffn_norm:
        case TensorRole::router:
        case TensorRole::router_bias:
        case TensorRole::final_norm:
            return rows_of(tensor, 0, tensor.shape[0]);
    }
    fail(ErrorKind::internal, "There is no tensor role {}.", static_cast<int>(tensor.role));
}

std::string_view name_of(WeightClass weight_class) {
    constexpr std::array<std::string_view, kWeightClassCount> names = {"attention", "experts", "dense", "embedding",
                                                                       "head",      "norms",   "router"};
    return names[static_cast<std::size_t>(weight_class)];
}

WeightClass class_of(const TensorSpec& tensor) {
    switch (tensor.role) {
        case TensorRole::embedding:
            return WeightClass::embedding;
        case TensorRole::lm_head:
            return WeightClass::head;
        case TensorRole::router:
        case TensorRole::router_bias:
        case TensorRole::choice_bias:
            return WeightClass::router;
        case TensorRole::shared_gate_proj:
        case TensorRole::shared_up_proj:
        case TensorRole::shared_down_proj:
            return WeightClass::dense;
        case TensorRole::gate_proj:
        case TensorRole::up_proj:
        case TensorRole::down_proj:
        case TensorRole::gate_up_proj:
        case TensorRole::gate_up_bias:
        case TensorRole::down_bias:
            return tensor.expert >= 0 ? WeightClass::experts : WeightClass::dense;
        case TensorRole::attn_norm:
        case TensorRole::ffn_norm:
        case TensorRole::final_norm:
        case TensorRole::q_norm:
        case TensorRole::k_norm:
        case TensorRole::q_a_norm:
        case TensorRole::kv_a_norm:
        case TensorRole::predictor_token_norm:
        case TensorRole::predictor_state_norm:
        case TensorRole::predictor_norm:
            return WeightClass::norms;
        default:
            return WeightClass::attention;
    }
}

std::int64_t WeightBytes::total() const { return std::accumulate(of_class.begin(), of_class.end(), std::int64_t{0}); }

namespace {

// Calls visit(tensor without its name) for every tensor of the plan but the experts', in the list's order.
template <class Visit>
void for_each_common(const ModelPlan& plan, const Visit& visit) {
    const auto spec = [&](TensorRole role, int layer) {
        return TensorSpec{role, layer, -1, {}, shape_of(plan, role, layer)};
    };
    visit(spec(TensorRole::embedding, -1));
    for (int layer = 0; layer < static_cast<int>(plan.layers.size()); ++layer) {
        for (const TensorRole role : roles_of_layer(plan, layer)) visit(spec(role, layer));
    }
    visit(spec(TensorRole::final_norm, -1));
    if (!plan.tie_embeddings) visit(spec(TensorRole::lm_head, -1));
}

// Elements of one expert's tensors that a rank of its ep group holds; all experts of all layers are equally large.
std::int64_t expert_elements(const ModelPlan& plan, int etp_rank, int etp) {
    const std::int64_t columns = expert_leaves(plan, etp_rank, etp).cut.columns();
    const std::int64_t biases = plan.moe.biases && columns > 0 ? 2 * columns + plan.hidden : 0;
    return 3 * std::int64_t{plan.hidden} * columns + biases;
}

// A tied head is the rank's rows of the embedding, packed.
std::int64_t tied_head_elements(const ModelPlan& plan, const LayoutShare& share) {
    return plan.tie_embeddings ? std::int64_t{vocab_of(plan, share.tp_rank, share.tp).count()} * plan.hidden : 0;
}

}  // namespace

// Without the list of tensors, which for a model of many experts takes milliseconds to write down: planners ask for
// thousands of layouts.
WeightBytes weight_bytes(const ModelPlan& plan, std::int64_t bytes_per_element, const LayoutShare& share) {
    WeightBytes bytes;
    for_each_common(plan, [&](const TensorSpec& tensor) {
        bytes[class_of(tensor)] += slice_of(plan, tensor, share).elements() * bytes_per_element;
    });
    bytes[WeightClass::head] += tied_head_elements(plan, share) * bytes_per_element;
    if (plan.moe.experts > 0) {
        bytes[WeightClass::experts] = moe_layer_count(plan) *
                                      std::int64_t{experts_of(plan, share.ep_rank, share.ep).count()} *
                                      expert_elements(plan, share.etp_rank, share.etp) * bytes_per_element;
    }
    return bytes;
}

WeightBytes weight_bytes(const ModelPlan& plan, std::span<const StoredTensor> stored, const LayoutShare& share) {
    return weight_bytes(plan, tensor_list(plan), stored, share);
}

WeightBytes weight_bytes(const ModelPlan& plan, std::span<const TensorSpec> tensors,
                         std::span<const StoredTensor> stored, const LayoutShare& share) {
    WeightBytes bytes;
    if (stored.size() != tensors.size()) {
        fail(ErrorKind::internal, "{} stored tensors were matched with the {} of the plan.", stored.size(),
             tensors.size());
    }
    for (std::size_t i = 0; i < tensors.size(); ++i) {
        const DType dtype = stored[i].dtype;
        bytes[class_of(tensors[i])] += weights_bytes(dtype, slice_of(plan, tensors[i], share).elements());
        if (tensors[i].role == TensorRole::embedding)
            bytes[WeightClass::head] += weights_bytes(dtype, tied_head_elements(plan, share));
    }
    return bytes;
}

ParameterCount count_parameters(const ModelPlan& plan) {
    std::int64_t common = 0;
    for_each_common(plan, [&](const TensorSpec& tensor) { common += slice_of(plan, tensor, {}).elements(); });
    if (plan.moe.experts == 0) return {common, common};
    const std::int64_t one_of_each = moe_layer_count(plan) * expert_elements(plan, 0, 1);
    const std::int64_t left_out =
        family_of(plan).embedding_active || plan.tie_embeddings ? 0 : std::int64_t{plan.vocab_size} * plan.hidden;
    return {common + plan.moe.experts * one_of_each, common + plan.moe.top_k * one_of_each - left_out};
}

std::int64_t kv_bytes_per_token(const ModelPlan& plan, DType kv_dtype) {
    return kv_bytes_per_token(plan, kv_dtype, 0, 1);
}

std::int64_t kv_bytes_per_token(const ModelPlan& plan, DType kv_dtype, int tp_rank, int tp) {
    const std::int64_t heads = kv_heads_of(plan, tp_rank, tp).count();
    const std::int64_t vectors = plan.attention.over_latents() ? 1 : 2;
    return vectors * std::ssize(plan.layers) * heads * kv_vector_bytes(kv_dtype, plan.attention.cached_dim());
}

}  // namespace argosy
