// Slices of weights: over the ranks of any layout they cover every tensor exactly, on the boundaries of rule R2.
#include <catch2/catch.hpp>
#include <random>

#include "runtime/model/weight_plan.hpp"
#include "tests/runtime/model/model_samples.hpp"

using namespace argosy;

namespace {

// How often each element of a tensor is held, over the given shares.
std::vector<int> cover_count(const ModelPlan& plan, const TensorSpec& tensor, const std::vector<LayoutShare>& shares) {
    const std::int64_t rows = tensor.shape[0], columns = tensor.shape.size() == 2 ? tensor.shape[1] : 1;
    std::vector<int> count(static_cast<std::size_t>(rows * columns));
    for (const LayoutShare& share : shares) {
        const TensorSlice slice = slice_of(plan, tensor, share);
        REQUIRE(slice.row_begin >= 0);
        REQUIRE(slice.column_begin >= 0);
        REQUIRE(slice.row_end <= rows);
        REQUIRE(slice.column_end <= columns);
        if (slice.empty()) CHECK(slice == TensorSlice{});
        for (std::int64_t row = slice.row_begin; row < slice.row_end; ++row) {
            for (std::int64_t column = slice.column_begin; column < slice.column_end; ++column)
                ++count[static_cast<std::size_t>(row * columns + column)];
        }
    }
    return count;
}

bool all_equal_to(const std::vector<int>& counts, int value) {
    return std::all_of(counts.begin(), counts.end(), [&](int count) { return count == value; });
}

// A plan with sizes that are multiples of nothing.
ModelPlan random_plan(std::mt19937& random, std::string_view family) {
    const auto any = [&](int least, int most) { return std::uniform_int_distribution<int>(least, most)(random); };
    test::ConfigKeys keys = test::sample_config(family);
    const int kv_heads = any(1, 4), q_heads = kv_heads * any(1, 5);
    keys["num_attention_heads"] = std::to_string(q_heads);
    keys["num_key_value_heads"] = std::to_string(kv_heads);
    keys["head_dim"] = std::to_string(2 * any(1, 5));
    keys["hidden_size"] = std::to_string(any(1, 13));
    keys["vocab_size"] = std::to_string(any(1, 200));
    keys["intermediate_size"] = std::to_string(family == "gpt_oss" ? 32 * any(1, 12) : any(1, 50));
    keys["moe_intermediate_size"] = std::to_string(any(1, 50));
    const std::string experts = std::to_string(any(3, 11));
    keys["num_experts"] = keys["num_local_experts"] = experts;
    keys["n_routed_experts"] = std::to_string(4 * any(2, 4));
    keys["eos_token_id"] = keys["bos_token_id"] = "null";
    return test::plan_of(keys);
}

// All shares of a stage: tp outermost does not matter, every pair of coordinates occurs once.
std::vector<LayoutShare> tp_shares(int tp) {
    std::vector<LayoutShare> shares;
    for (int rank = 0; rank < tp; ++rank) shares.push_back({rank, tp, 0, 1, 0, 1});
    return shares;
}

std::vector<LayoutShare> expert_shares(int ep, int etp) {
    std::vector<LayoutShare> shares;
    for (int e = 0; e < ep; ++e) {
        for (int t = 0; t < etp; ++t) shares.push_back({0, 1, e, ep, t, etp});
    }
    return shares;
}

}  // namespace

TEST_CASE("over tp every element of a split tensor is held once, of a whole one by every rank") {
    std::mt19937 random(3);
    for (int trial = 0; trial < 24; ++trial) {
        const ModelPlan plan =
            random_plan(random, families()[static_cast<std::size_t>(trial) % families().size()].name);
        for (const int tp : {1, 2, 4, 8}) {
            const std::vector<LayoutShare> shares = tp_shares(tp);
            for (const TensorSpec& tensor : tensor_list(plan)) {
                INFO(describe(plan) << tensor.name << ", tp " << tp);
                const std::vector<int> counts = cover_count(plan, tensor, shares);
                switch (tensor.role) {
                    case TensorRole::q_a_proj:
                    case TensorRole::kv_a_proj:  // of every rank that has heads
                    case TensorRole::k_proj:
                    case TensorRole::v_proj:
                    case TensorRole::k_bias:
                    case TensorRole::v_bias:
                        // Ranks whose q heads read the same kv head each hold it.
                        CHECK(std::all_of(counts.begin(), counts.end(),
                                          [&](int count) { return count >= 1 && count <= tp; }));
                        break;
                    case TensorRole::gate_proj:
                    case TensorRole::up_proj:
                    case TensorRole::down_proj:
                        CHECK(all_equal_to(counts, tensor.expert >= 0 ? tp : 1));
                        break;
                    case TensorRole::shared_gate_proj:
                    case TensorRole::shared_up_proj:
                    case TensorRole::shared_down_proj:
                    case TensorRole::q_b_proj:
                    case TensorRole::kv_b_proj:
                    case TensorRole::q_proj:
                    case TensorRole::q_bias:
                    case TensorRole::o_proj:
                    case TensorRole::lm_head:
                        CHECK(all_equal_to(counts, 1));
                        break;
                    default:
                        CHECK(all_equal_to(counts, tp));
                }
            }
        }
    }
}

TEST_CASE("over ep and etp every element of every expert is held once") {
    std::mt19937 random(4);
    for (int trial = 0; trial < 12; ++trial) {
        const char* families[] = {"mixtral", "qwen3_moe", "gpt_oss"};
        const ModelPlan plan = random_plan(random, families[trial % 3]);
        for (const int ep : {1, 2, 3, 4, 5, 8, 13}) {
            for (const int etp : {1, 2, 4, 8}) {
                const std::vector<LayoutShare> shares = expert_shares(ep, etp);
                for (const TensorSpec& tensor : tensor_list(plan)) {
                    if (tensor.expert < 0) continue;
                    INFO(tensor.name << ", ep " << ep << ", etp " << etp);
                    if (tensor.role == TensorRole::down_bias) {  // whole beside each part of its matrix
                        const std::vector<int> counts = cover_count(plan, tensor, shares);
                        CHECK(all_equal_to(counts, counts[0]));
                        CHECK((counts[0] >= 1 && counts[0] <= etp));
                        continue;
                    }
                    CHECK(all_equal_to(cover_count(plan, tensor, shares), 1));
                }
                for (int expert = 0; expert < plan.moe.experts; ++expert) {
                    const ExpertRange owned = experts_of(plan, owner_of_expert(plan, expert, ep), ep);
                    CHECK((owned.begin <= expert && expert < owned.end));
                }
            }
        }
    }
}

TEST_CASE("heads by hand: 8 q heads on 2 kv heads, and 4 q heads on 8 ranks") {
    ModelPlan plan = test::plan_of(test::sample_config("llama"));
    plan.attention.q_heads = 8;
    plan.attention.kv_heads = 2;
    CHECK(q_heads_of(plan, 1, 4) == HeadRange{2, 4});
    CHECK(kv_heads_of(plan, 0, 4) == HeadRange{0, 1});
    CHECK(kv_heads_of(plan, 1, 4) == HeadRange{0, 1});
    CHECK(kv_heads_of(plan, 2, 4) == HeadRange{1, 2});
    CHECK(kv_heads_of(plan, 0, 1) == HeadRange{0, 2});
    // Leaves 1, 3, 5, 7 hold one of four heads each, so of 8 ranks the even ones have none.
    plan.attention.q_heads = 4;
    for (int rank = 0; rank < 8; ++rank) {
        CHECK(q_heads_of(plan, rank, 8).count() == rank % 2);
        CHECK(kv_heads_of(plan, rank, 8).count() == rank % 2);
    }
    CHECK(q_heads_of(plan, 3, 8) == HeadRange{1, 2});
    // 6 heads, tp 2: leaves 0-3 are heads 0, 1, 2. 6 q heads on 3 kv heads: rank 0 reads kv heads 0 and 1, rank 1 reads
    // 1 and 2.
    plan.attention.q_heads = 6;
    plan.attention.kv_heads = 3;
    CHECK(q_heads_of(plan, 0, 2) == HeadRange{0, 3});
    CHECK(kv_heads_of(plan, 0, 2) == HeadRange{0, 2});
    CHECK(kv_heads_of(plan, 1, 2) == HeadRange{1, 3});
}

TEST_CASE("q heads, leaves of the output projection and its columns are one and the same cut") {
    std::mt19937 random(9);
    for (int trial = 0; trial < 50; ++trial) {
        const ModelPlan plan = random_plan(random, "llama");
        for (const int tp : {1, 2, 4, 8}) {
            for (int rank = 0; rank < tp; ++rank) {
                const LeafShare leaves = attention_leaves(plan, rank, tp);
                const HeadRange heads = q_heads_of(plan, rank, tp);
                CHECK(leaves.k_begin == heads.begin * plan.attention.head_dim);
                CHECK(leaves.k_end == heads.end * plan.attention.head_dim);
                CHECK(leaves.cut.columns() == leaves.k_end - leaves.k_begin);
            }
        }
    }
}

TEST_CASE("slices by hand: 43 columns of a dense layer, 5 experts, 333 vocabulary rows") {
    const ModelPlan dense = test::plan_of(test::sample_config("llama"));
    // Leaf bounds of 43: 0 5 10 16 21 26 32 37 43.
    const TensorSpec gate{TensorRole::gate_proj, 0, -1, "", {43, 60}}, down{TensorRole::down_proj, 0, -1, "", {60, 43}};
    CHECK(slice_of(dense, gate, {1, 4, 0, 1, 0, 1}) == TensorSlice{10, 21, 0, 60});
    CHECK(slice_of(dense, down, {1, 4, 0, 1, 0, 1}) == TensorSlice{0, 60, 10, 21});
    CHECK(dense_leaves(dense, 0, 1, 4).k_begin == 10);
    CHECK(dense_leaves(dense, 0, 1, 4).cut.begin[1] == 6);
    // 333 rows are 21 units of 16: bounds 0, 5, 10, 15, 21 units.
    CHECK(vocab_of(dense, 0, 4) == VocabRange{0, 80});
    CHECK(vocab_of(dense, 2, 4) == VocabRange{160, 240});
    CHECK(vocab_of(dense, 3, 4) == VocabRange{240, 333});

    const ModelPlan mixtral = test::plan_of(test::sample_config("mixtral"));
    CHECK(experts_of(mixtral, 0, 2) == ExpertRange{0, 2});
    CHECK(experts_of(mixtral, 1, 2) == ExpertRange{2, 5});
    const TensorSpec w2{TensorRole::down_proj, 0, 2, "", {60, 43}};
    CHECK(slice_of(mixtral, w2, {0, 1, 0, 2, 0, 2}).empty());
    CHECK(slice_of(mixtral, w2, {0, 1, 1, 2, 1, 2}) == TensorSlice{0, 60, 21, 43});
    const TensorSpec router{TensorRole::router, 0, -1, "", {5, 60}};
    CHECK(slice_of(mixtral, router, {0, 1, 1, 2, 1, 2}) == TensorSlice{0, 5, 0, 60});
}

TEST_CASE("a share that cannot be is refused in words") {
    const ModelPlan plan = test::plan_of(test::sample_config("mixtral"));
    CHECK_THAT(test::sentence_of([&] { q_heads_of(plan, 0, 3); }), Catch::Contains("tp is 3; it must be 1, 2, 4 or 8"));
    CHECK_THAT(test::sentence_of([&] { q_heads_of(plan, 0, 16); }), Catch::Contains("tp is 16"));
    CHECK_THAT(test::sentence_of([&] { attention_leaves(plan, 2, 2); }), Catch::Contains("no tp rank 2 of 2"));
    CHECK_THAT(test::sentence_of([&] { expert_leaves(plan, 0, 6); }), Catch::Contains("etp is 6"));
    CHECK_THAT(test::sentence_of([&] { experts_of(plan, -1, 2); }), Catch::Contains("no ep rank -1 of 2"));
    CHECK_THAT(test::sentence_of([&] { vocab_of(plan, 0, 0); }), Catch::Contains("no tp rank 0 of 0"));
}

TEST_CASE("bytes by class add up over the ranks") {
    std::mt19937 random(6);
    for (int trial = 0; trial < 10; ++trial) {
        const ModelPlan plan = random_plan(random, trial % 2 == 0 ? "qwen3_moe" : "mixtral");
        const WeightBytes whole = weight_bytes(plan, 2, {});
        CHECK(whole.total() == 2 * count_parameters(plan).total);
        WeightBytes sum;
        for (int rank = 0; rank < 4; ++rank) {
            const WeightBytes part = weight_bytes(plan, 2, {rank, 4, rank / 2, 2, rank % 2, 2});
            for (int i = 0; i < kWeightClassCount; ++i)
                sum.of_class[static_cast<std::size_t>(i)] += part.of_class[static_cast<std::size_t>(i)];
        }
        CHECK(sum[WeightClass::experts] == whole[WeightClass::experts]);
        CHECK(sum[WeightClass::dense] == whole[WeightClass::dense]);
        CHECK(sum[WeightClass::head] == whole[WeightClass::head]);
        CHECK(sum[WeightClass::embedding] == 4 * whole[WeightClass::embedding]);
        CHECK(sum[WeightClass::norms] == 4 * whole[WeightClass::norms]);
        CHECK(sum[WeightClass::router] == 4 * whole[WeightClass::router]);
        CHECK(sum[WeightClass::attention] >= whole[WeightClass::attention]);
    }
}

TEST_CASE("parameters, bytes and KV by hand") {
    test::ConfigKeys keys = test::sample_config("qwen3_moe");
    const ModelPlan plan = test::plan_of(keys);
    const std::int64_t attention = 60 * 84 + 2 * 60 * 42 + 84 * 60, norms = 2 * 60 + 2 * 14;
    const std::int64_t expert = 3 * 60 * 22, dense = 3 * 60 * 43, router = 7 * 60;
    const std::int64_t total = 2 * 333 * 60 + 60 + 3 * (attention + norms) + 2 * (7 * expert + router) + dense;
    CHECK(count_parameters(plan) == ParameterCount{total, total - 2 * 4 * expert});
    keys["tie_word_embeddings"] = "true";
    const ModelPlan tied = test::plan_of(keys);
    CHECK(count_parameters(tied).total == total - 333 * 60);
    CHECK(weight_bytes(tied, 4, {})[WeightClass::head] == 4 * 333 * 60);
    CHECK(weight_bytes(tied, 4, {1, 2, 0, 1, 0, 1})[WeightClass::head] == 4 * (333 - 160) * 60);
    CHECK(kv_bytes_per_token(plan, DType::bf16) == 2 * 3 * 3 * 14 * 2);
    CHECK(kv_bytes_per_token(plan, DType::f32, 0, 2) == 2 * 3 * 2 * 14 * 4);
    CHECK(kv_bytes_per_token(plan, DType::int8) == 2 * 3 * 3 * (14 + 4));
}

TEST_CASE("bytes as stored follow each tensor's own format") {
    const ModelPlan plan = test::plan_of(test::sample_config("mixtral"));
    std::vector<StoredTensor> stored;
    for (const TensorSpec& tensor : tensor_list(plan)) {
        stored.push_back({tensor.name, 0, tensor.expert >= 0 ? DType::bf16 : DType::f32, tensor.shape, 0, 0});
    }
    const LayoutShare share{0, 2, 1, 2, 0, 1};
    CHECK(weight_bytes(plan, stored, share)[WeightClass::experts] ==
          weight_bytes(plan, 2, share)[WeightClass::experts]);
    CHECK(weight_bytes(plan, stored, share)[WeightClass::attention] ==
          weight_bytes(plan, 4, share)[WeightClass::attention]);
}

TEST_CASE("bytes by formula are the bytes of the list of tensors") {
    std::mt19937 random(8);
    for (int trial = 0; trial < 20; ++trial) {
        const ModelPlan plan =
            random_plan(random, families()[static_cast<std::size_t>(trial) % families().size()].name);
        std::vector<StoredTensor> stored;
        std::int64_t elements = 0;
        for (const TensorSpec& tensor : tensor_list(plan)) {
            stored.push_back({tensor.name, 0, DType::bf16, tensor.shape, 0, 0});
            elements += tensor.shape[0] * (tensor.shape.size() == 2 ? tensor.shape[1] : 1);
        }
        CHECK(count_parameters(plan).total == elements);
        const bool moe = plan.moe.experts > 0;
        for (int rank = 0; rank < 8; ++rank) {
            const LayoutShare share = {rank % 2, 2, moe ? rank / 2 : 0, moe ? 4 : 1, moe ? rank % 2 : 0, moe ? 2 : 1};
            CHECK(weight_bytes(plan, stored, share) == weight_bytes(plan, 2, share));
        }
    }
}
