// Laying out the arenas.
#include "runtime/forward/weight_arenas.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include "kernels/quant/block_format.hpp"

namespace argosy {

namespace {

constexpr std::int64_t kAlignBytes = 64;

std::int64_t aligned(std::int64_t bytes) { return (bytes + kAlignBytes - 1) / kAlignBytes * kAlignBytes; }

bool is_vector(TensorRole role) {
    switch (role) {
        case TensorRole::attn_norm:
        case TensorRole::ffn_norm:
        case TensorRole::final_norm:
        case TensorRole::q_norm:
        case TensorRole::k_norm:
        case TensorRole::q_bias:
        case TensorRole::k_bias:
        case TensorRole::v_bias:
        case TensorRole::o_bias:
        case TensorRole::sinks:
        case TensorRole::router_bias:
        case TensorRole::choice_bias:
        case TensorRole::q_a_norm:
        case TensorRole::kv_a_norm:
        case TensorRole::gate_up_bias:
        case TensorRole::down_bias:
        case TensorRole::predictor_token_norm:
        case TensorRole::predictor_state_norm:
        case TensorRole::predictor_norm:
            return true;
        default:
            return false;
    }
}

// Gate and up rows in turn.
bool is_gate_and_up(TensorRole role) { return role == TensorRole::gate_up_proj || role == TensorRole::gate_up_bias; }

// q, k and v share one packed matrix (or one bias vector); every other tensor is alone in its own.
enum class Part : std::uint8_t { whole, qkv, qkv_bias };

Part part_of(const ModelPlan& plan, TensorRole role) {
    if (plan.attention.over_latents()) return Part::whole;
    switch (role) {
        case TensorRole::q_proj:
        case TensorRole::k_proj:
        case TensorRole::v_proj:
            return Part::qkv;
        case TensorRole::q_bias:
        case TensorRole::k_bias:
        case TensorRole::v_bias:
            return Part::qkv_bias;
        default:
            return Part::whole;
    }
}

Arena arena_of(const TensorSpec& tensor) {
    switch (tensor.role) {
        case TensorRole::embedding:
        case TensorRole::attn_norm:
        case TensorRole::ffn_norm:
        case TensorRole::final_norm:
        case TensorRole::q_norm:
        case TensorRole::k_norm:
        case TensorRole::o_bias:
        case TensorRole::sinks:
        case TensorRole::router:
        case TensorRole::router_bias:
        case TensorRole::choice_bias:
        case TensorRole::q_a_norm:
        case TensorRole::kv_a_norm:
        case TensorRole::predictor_token_norm:
        case TensorRole::predictor_state_norm:
        case TensorRole::predictor_norm:
            return Arena::common;
        case TensorRole::gate_proj:
        case TensorRole::up_proj:
        case TensorRole::down_proj:
        case TensorRole::gate_up_proj:
        case TensorRole::gate_up_bias:
        case TensorRole::down_bias:
            return tensor.expert >= 0 ? Arena::experts : Arena::attention;
        default:
            return Arena::attention;
    }
}

// The builder's state: arenas grow as tensors are placed.
class Builder {
  public:
    Builder(const ModelPlan& plan, const LayoutShare& share, const Ops& ops) : plan_(plan), share_(share), ops_(ops) {}

    void place(const TensorSpec& tensor, int index, DType dtype, DType kept) {
        layout_.stored.push_back(dtype);
        TensorSlice slice = slice_of(plan_, tensor, share_);
        if (slice.empty()) return;
        if (tensor.role == TensorRole::kv_b_proj) return place_heads(tensor, index, dtype, kept, slice);
        if (is_gate_and_up(tensor.role)) {
            slice.row_step = 2;
            place_slice(tensor, index, dtype, kept, slice);
            ++slice.row_begin;
        }
        place_slice(tensor, index, dtype, kept, slice);
    }

    // Of each head the key's rows, then the value's.
    void place_heads(const TensorSpec& tensor, int index, DType dtype, DType kept, const TensorSlice& all) {
        const LatentPlan& latent = plan_.attention.latent;
        TensorSlice slice = all;
        while (slice.row_begin < all.row_end) {
            slice.row_end = slice.row_begin + latent.nope_dim;
            place_slice(tensor, index, dtype, kept, slice, HomeKind::turned);
            slice.row_begin = slice.row_end;
            slice.row_end = slice.row_begin + latent.value_dim;
            place_slice(tensor, index, dtype, kept, slice);
            slice.row_begin = slice.row_end;
        }
    }

    void place_slice(const TensorSpec& tensor, int index, DType dtype, DType kept, const TensorSlice& slice,
                     HomeKind kind = HomeKind::matrix) {
        TensorHome home{.tensor = index,
                        .slice = slice,
                        .arena = arena_of(tensor),
                        .kind = kind,
                        .offset = 0,
                        .spec = {},
                        .row_begin = 0};
        if (tensor.role == TensorRole::embedding) {
            home.kind = HomeKind::raw;
            home.offset = take(home.arena, slice.elements() * static_cast<std::int64_t>(size_of(dtype)));
        } else if (is_vector(tensor.role)) {
            home.kind = HomeKind::vector;
            place_vector(tensor, home);
        } else {
            place_matrix(tensor, kept, home);
        }
        layout_.homes.push_back(home);
    }

    // The vocabulary projection of a tied model: the rank's rows of the embedding, packed for the product.
    void place_tied_head(int embedding_index, DType kept) {
        const VocabRange rows = vocab_of(plan_, share_.tp_rank, share_.tp);
        if (rows.empty()) return;
        TensorHome home{.tensor = embedding_index,
                        .slice = {rows.begin, rows.end, 0, plan_.hidden},
                        .arena = Arena::attention,
                        .kind = HomeKind::matrix,
                        .offset = 0,
                        .spec = {rows.count(), plan_.hidden, kept, {}},
                        .row_begin = 0};
        home.offset = take(home.arena, static_cast<std::int64_t>(ops_.packed_bytes(home.spec)));
        layout_.homes.push_back(home);
    }

    ArenaLayout finish() {
        std::stable_sort(layout_.homes.begin(), layout_.homes.end(),
                         [](const TensorHome& a, const TensorHome& b) { return a.tensor < b.tensor; });
        return std::move(layout_);
    }

  private:
    std::int64_t take(Arena arena, std::int64_t bytes) {
        std::int64_t& end = layout_.bytes[static_cast<int>(arena)];
        const std::int64_t offset = end;
        end = aligned(end + bytes);
        return offset;
    }

    std::int64_t qkv_rows() const {
        const std::int64_t heads = q_heads_of(plan_, share_.tp_rank, share_.tp).count() +
                                   2 * std::int64_t{kv_heads_of(plan_, share_.tp_rank, share_.tp).count()};
        return heads * plan_.attention.head_dim;
    }

    // First packed row of q, k or v.
    std::int64_t qkv_row_begin(TensorRole role) const {
        const std::int64_t q =
            std::int64_t{q_heads_of(plan_, share_.tp_rank, share_.tp).count()} * plan_.attention.head_dim;
        const std::int64_t kv =
            std::int64_t{kv_heads_of(plan_, share_.tp_rank, share_.tp).count()} * plan_.attention.head_dim;
        if (role == TensorRole::k_proj || role == TensorRole::k_bias) return q;
        if (role == TensorRole::v_proj || role == TensorRole::v_bias) return q + kv;
        return 0;
    }

    void place_vector(const TensorSpec& tensor, TensorHome& home) {
        const std::int64_t f32 = sizeof(float);
        if (part_of(plan_, tensor.role) == Part::whole) {
            home.offset = take(home.arena, home.slice.elements() * f32);
            return;
        }
        const auto [it, added] = shared_offset_.try_emplace({tensor.layer, Part::qkv_bias}, 0);
        if (added) it->second = take(home.arena, qkv_rows() * f32);
        home.offset = it->second;
        home.row_begin = qkv_row_begin(tensor.role);
    }

    void place_matrix(const TensorSpec& tensor, DType kept, TensorHome& home) {
        home.spec = {home.slice.rows(), home.slice.column_end - home.slice.column_begin, kept, {}};
        if (home.kind == HomeKind::turned) std::swap(home.spec.n, home.spec.k);
        if (tensor.role == TensorRole::shared_down_proj)
            home.spec.cut = shared_leaves(plan_, share_.tp_rank, share_.tp).cut;
        if (tensor.role == TensorRole::o_proj) home.spec.cut = attention_leaves(plan_, share_.tp_rank, share_.tp).cut;
        if (tensor.role == TensorRole::down_proj) {
            home.spec.cut = tensor.expert >= 0 ? expert_leaves(plan_, share_.etp_rank, share_.etp).cut
                                               : dense_leaves(plan_, tensor.layer, share_.tp_rank, share_.tp).cut;
        }
        if (part_of(plan_, tensor.role) == Part::whole) {
            home.offset = take(home.arena, static_cast<std::int64_t>(ops_.packed_bytes(home.spec)));
            return;
        }
        home.spec.n = qkv_rows();
        const auto [it, added] = shared_offset_.try_emplace({tensor.layer, Part::qkv}, 0);
        if (added) it->second = take(home.arena, static_cast<std::int64_t>(ops_.packed_bytes(home.spec)));
        home.offset = it->second;
        home.row_begin = qkv_row_begin(tensor.role);
    }

    const ModelPlan& plan_;
    const LayoutShare& share_;
    const Ops& ops_;
    ArenaLayout layout_;
    std::map<std::pair<int, Part>, std::int64_t> shared_offset_;  // (layer, part) -> where the packed q, k, v stand
};

// A matrix, by its own format alone.
DType packed_dtype(TensorRole role, DType stored, const Ops& ops) {
    const DType exact = stored == DType::bf16 ? DType::bf16 : DType::f32;
    return role == TensorRole::router ? exact : kept_as(ops, exact);
}

// Whether groups of mxfp4 begin with the leaves of the tensor's product, or divide its columns where it has none. All
// leaves, so that it does not depend on the layout.
bool groups_fit(const ModelPlan& plan, const TensorSpec& tensor) {
    const std::int64_t group = block_format(DType::mxfp4).columns;
    switch (tensor.role) {
        case TensorRole::kv_b_proj:
            return false;
        case TensorRole::shared_down_proj:
            return tensor.shape[1] % (kLeafCount * group) == 0;
        case TensorRole::o_proj:
            return plan.attention.output_dim() % group == 0;
        case TensorRole::down_proj:
            return tensor.shape[1] %
                       ((tensor.expert >= 0 ? plan.moe.leaf_unit : 1) % group == 0 ? group : kLeafCount * group) ==
                   0;
        default:
            return tensor.shape[1] % group == 0;
    }
}

}  // namespace

std::vector<DType> kept_dtypes(const ModelPlan& plan, std::span<const TensorSpec> tensors,
                               std::span<const DType> dtypes, const Ops& ops) {
    std::vector<DType> kept;
    std::map<int, bool> qkv_fits;  // by layer
    const auto fits = [&](std::size_t i) {
        return ops.products == Products::int8 && tensors[i].role != TensorRole::router && dtypes[i] == DType::mxfp4 &&
               groups_fit(plan, tensors[i]);
    };
    for (std::size_t i = 0; i < tensors.size(); ++i) {
        if (part_of(plan, tensors[i].role) != Part::qkv) continue;
        bool& all = qkv_fits.try_emplace(tensors[i].layer, true).first->second;
        all = all && fits(i);
    }
    for (std::size_t i = 0; i < tensors.size(); ++i) {
        const TensorRole role = tensors[i].role;
        if (role == TensorRole::embedding || is_vector(role)) {
            kept.push_back(is_vector(role) ? DType::f32 : dtypes[i]);
            continue;
        }
        const bool codes = part_of(plan, role) == Part::qkv ? qkv_fits.at(tensors[i].layer) : fits(i);
        kept.push_back(codes ? DType::mxfp4_int8 : packed_dtype(role, dtypes[i], ops));
    }
    return kept;
}

std::uint64_t arena_key(Arena arena, const LayoutShare& share) {
    const auto key = [&](std::uint64_t a, std::uint64_t b) {
        return (static_cast<std::uint64_t>(arena) << 48) | (a << 24) | b;
    };
    switch (arena) {
        case Arena::common:
            return key(0, 0);
        case Arena::attention:
            return key(static_cast<std::uint64_t>(share.tp), static_cast<std::uint64_t>(share.tp_rank));
        case Arena::experts:
            return key(static_cast<std::uint64_t>(share.ep_rank), static_cast<std::uint64_t>(share.etp_rank));
    }
    return 0;
}

ArenaLayout lay_out_arenas(const ModelPlan& plan, std::span<const TensorSpec> tensors, std::span<const DType> dtypes,
                           const LayoutShare& share, const Ops& ops) {
    Builder builder(plan, share, ops);
    const std::vector<DType> kept = kept_dtypes(plan, tensors, dtypes, ops);
    int embedding = -1;
    for (std::size_t i = 0; i < tensors.size(); ++i) {
        if (tensors[i].role == TensorRole::embedding) embedding = static_cast<int>(i);
        builder.place(tensors[i], static_cast<int>(i), dtypes[i], kept[i]);
    }
    if (plan.tie_embeddings && embedding >= 0)
        builder.place_tied_head(embedding,
                                packed_dtype(TensorRole::lm_head, dtypes[static_cast<std::size_t>(embedding)], ops));
    return builder.finish();
}

}  // namespace argosy
