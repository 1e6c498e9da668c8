// The arenas: every weight that a rank needs has its place, places do not overlap, and the ranks of a layout together
// hold the model.
#include <catch2/catch.hpp>
#include <map>

#include "kernels/backend.hpp"
#include "runtime/forward/weight_arenas.hpp"
#include "tests/runtime/forward/plans.hpp"

using namespace argosy;
using argosy::test::small_moe;

namespace {

ArenaLayout layout_of(const ModelPlan& plan, const LayoutShare& share, DType dtype = DType::bf16) {
    const auto tensors = tensor_list(plan);
    const std::vector<DType> dtypes(tensors.size(), dtype);
    return lay_out_arenas(plan, tensors, dtypes, share, select_backend("cpu", "portable"));
}

std::int64_t home_bytes(const TensorHome& home, DType stored) {
    if (home.kind == HomeKind::matrix)
        return static_cast<std::int64_t>(select_backend("cpu", "portable").packed_bytes(home.spec));
    return home.slice.elements() * (home.kind == HomeKind::vector ? 4 : static_cast<std::int64_t>(size_of(stored)));
}

}  // namespace

TEST_CASE("places in an arena are aligned, inside it, and do not overlap") {
    for (const bool tied : {false, true}) {
        const ModelPlan plan = small_moe(tied);
        for (const LayoutShare share : {LayoutShare{}, LayoutShare{1, 2, 0, 1, 1, 2}, LayoutShare{3, 8, 2, 4, 1, 2}}) {
            const ArenaLayout layout = layout_of(plan, share);
            std::map<std::pair<int, std::int64_t>, std::int64_t> end_of;  // (arena, offset) -> end
            for (const TensorHome& home : layout.homes) {
                CHECK(home.offset % 64 == 0);
                const std::int64_t end = home.offset + home_bytes(home, DType::bf16);
                CHECK(end <= layout.bytes[static_cast<std::size_t>(home.arena)]);
                end_of[{static_cast<int>(home.arena), home.offset}] = end;  // q, k and v share one place
            }
            for (auto it = end_of.begin(); it != end_of.end(); ++it) {
                const auto next = std::next(it);
                if (next != end_of.end() && next->first.first == it->first.first)
                    CHECK(it->second <= next->first.second);
            }
        }
    }
}

TEST_CASE("q, k and v rows stand one after the other in one matrix") {
    const ModelPlan plan = small_moe(false);
    const auto tensors = tensor_list(plan);
    const ArenaLayout layout = layout_of(plan, {});
    std::map<TensorRole, TensorHome> of_layer_0;
    for (const TensorHome& home : layout.homes) {
        if (tensors[static_cast<std::size_t>(home.tensor)].layer == 0)
            of_layer_0[tensors[static_cast<std::size_t>(home.tensor)].role] = home;
    }
    CHECK(of_layer_0[TensorRole::q_proj].row_begin == 0);
    CHECK(of_layer_0[TensorRole::k_proj].row_begin == 48);
    CHECK(of_layer_0[TensorRole::v_proj].row_begin == 64);
    CHECK(of_layer_0[TensorRole::v_proj].spec.n == 80);
    CHECK(of_layer_0[TensorRole::q_proj].offset == of_layer_0[TensorRole::v_proj].offset);
}

TEST_CASE("gate and up rows in turn become a matrix each, as the leaves cut them") {
    ModelPlan plan = small_moe(false);
    plan.family = "gpt_oss";
    plan.attention.qk_norm = QkNorm::none;
    plan.moe.fused = true;
    plan.moe.biases = true;
    plan.moe.leaf_unit = 32;
    plan.moe.intermediate = 96;
    plan.layers = {{LayerKind::moe, 96, 20}, {LayerKind::moe, 96}};
    const auto tensors = tensor_list(plan);
    const ArenaLayout layout = layout_of(plan, {0, 1, 0, 1, 1, 2});  // 3 units on 2 ranks: 32 and 64 columns
    std::vector<TensorHome> homes;
    for (const TensorHome& home : layout.homes) {
        const TensorSpec& tensor = tensors[static_cast<std::size_t>(home.tensor)];
        if (tensor.layer == 0 && tensor.expert == 3) homes.push_back(home);
    }
    REQUIRE(homes.size() == 6);
    CHECK(homes[0].slice == TensorSlice{64, 192, 0, plan.hidden, 2});
    CHECK(homes[1].slice == TensorSlice{65, 192, 0, plan.hidden, 2});
    CHECK(homes[0].spec == homes[1].spec);
    CHECK(homes[0].spec.n == 64);
    CHECK(homes[2].slice == TensorSlice{64, 192, 0, 1, 2});
    CHECK(homes[2].kind == HomeKind::vector);
    CHECK(homes[4].slice == TensorSlice{0, plan.hidden, 32, 96});
    CHECK(homes[5].slice == TensorSlice{0, plan.hidden, 0, 1});
    std::array<std::byte*, kArenaCount> arena{};
    std::vector<std::byte> memory(1 << 20);
    arena.fill(memory.data());
    const LayerWeights layer = view_weights(plan, tensors, layout, arena).layers[0];
    CHECK(layer.gate.size() == 5);
    CHECK(layer.up.size() == 5);
    CHECK(layer.up[3].data != layer.gate[3].data);
    CHECK(layer.gate_bias.size() == 5);
    CHECK(layer.up_bias.size() == 5);
    CHECK(layer.down_bias.size() == 5);
}

TEST_CASE("a tied embedding has two homes, an untied one has one") {
    for (const bool tied : {false, true}) {
        const ModelPlan plan = small_moe(tied);
        const auto tensors = tensor_list(plan);
        const ArenaLayout layout = layout_of(plan, {});
        int homes = 0;
        for (const TensorHome& home : layout.homes)
            homes += tensors[static_cast<std::size_t>(home.tensor)].role == TensorRole::embedding ? 1 : 0;
        CHECK(homes == (tied ? 2 : 1));
        std::vector<std::byte> memory(1 << 20);
        const std::array<std::byte*, kArenaCount> arena{memory.data(), memory.data(), memory.data()};
        const RankWeights weights = view_weights(plan, tensors, layout, arena);
        CHECK(weights.head.spec.n == plan.vocab_size);
        CHECK(weights.layers[0].gate.size() == 5);
        CHECK(weights.layers[1].gate.size() == 1);
        CHECK(weights.layers[1].router.data == nullptr);
    }
}

TEST_CASE("ranks share an arena exactly when its bytes are the same") {
    const LayoutShare a{.tp_rank = 0, .tp = 2, .ep_rank = 0, .ep = 2, .etp_rank = 0, .etp = 2};
    LayoutShare b = a;
    b.ep_rank = 1;  // another dp group: the same attention weights, other experts
    CHECK(arena_key(Arena::common, a) == arena_key(Arena::common, b));
    CHECK(arena_key(Arena::attention, a) == arena_key(Arena::attention, b));
    CHECK(arena_key(Arena::experts, a) != arena_key(Arena::experts, b));
    b = a;
    b.tp_rank = 1;
    CHECK(arena_key(Arena::attention, a) != arena_key(Arena::attention, b));
    b = a;
    b.etp_rank = 1;
    CHECK(arena_key(Arena::experts, a) != arena_key(Arena::experts, b));
}

TEST_CASE("mxfp4 stays mxfp4 for products of int8 where its groups begin with the leaves") {
    ModelPlan plan = small_moe(false);
    plan.hidden = 64;
    plan.attention.head_dim = 32;
    plan.moe.intermediate = 256;
    plan.layers = {{LayerKind::moe, 256}, {LayerKind::dense, 96}};
    const std::vector<TensorSpec> tensors = tensor_list(plan);
    std::vector<DType> dtypes(tensors.size(), DType::mxfp4);
    const auto kept_of = [&](TensorRole role, int layer, std::string_view numerics = "int8") {
        const std::vector<DType> kept = kept_dtypes(plan, tensors, dtypes, select_backend("cpu", "portable", numerics));
        for (std::size_t i = 0; i < tensors.size(); ++i) {
            if (tensors[i].role == role && (layer < 0 || tensors[i].layer == layer)) return kept[i];
        }
        return DType::u8;
    };
    CHECK(kept_of(TensorRole::gate_proj, 0) == DType::mxfp4_int8);
    CHECK(kept_of(TensorRole::down_proj, 0) == DType::mxfp4_int8);
    CHECK(kept_of(TensorRole::down_proj, 1) == DType::int8);  // leaves of 12 columns
    CHECK(kept_of(TensorRole::o_proj, 0) == DType::mxfp4_int8);
    CHECK(kept_of(TensorRole::k_proj, 1) == DType::mxfp4_int8);
    CHECK(kept_of(TensorRole::router, 0) == DType::f32);
    CHECK(kept_of(TensorRole::attn_norm, 0) == DType::f32);
    CHECK(kept_of(TensorRole::gate_proj, 0, "exact") == DType::f32);
    CHECK(kept_of(TensorRole::gate_proj, 0, "bf16") == DType::bf16_pairs);

    // q, k and v are one packed matrix.
    for (std::size_t i = 0; i < tensors.size(); ++i) {
        if (tensors[i].role == TensorRole::v_proj && tensors[i].layer == 1) dtypes[i] = DType::bf16;
    }
    CHECK(kept_of(TensorRole::k_proj, 1) == DType::int8);
    CHECK(kept_of(TensorRole::k_proj, 0) == DType::mxfp4_int8);

    plan.attention.head_dim = 24;
    CHECK(kept_of(TensorRole::o_proj, 0) == DType::int8);
}

TEST_CASE("f16 is kept as f32, other formats as they are") {
    const ModelPlan plan = small_moe(false);
    const auto dtype_of_o = [&](DType stored) {
        const auto tensors = tensor_list(plan);
        for (const TensorHome& home : layout_of(plan, {}, stored).homes) {
            if (tensors[static_cast<std::size_t>(home.tensor)].role == TensorRole::o_proj) return home.spec.dtype;
        }
        return DType::u8;
    };
    CHECK(dtype_of_o(DType::f16) == DType::f32);
    CHECK(dtype_of_o(DType::f32) == DType::f32);
    CHECK(dtype_of_o(DType::bf16) == DType::bf16);
}
