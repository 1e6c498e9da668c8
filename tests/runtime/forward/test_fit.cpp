// Whether a job fits: what a rank needs under a layout, and the ranks that a refusal names.
#include <catch2/catch.hpp>

#include <iostream>
#include <regex>

#include "runtime/fit.hpp"
#include "tests/runtime/forward/plans.hpp"

using namespace argosy;
using Catch::Contains;

namespace {

// 8 layers, nearly all of whose 1.6 billion parameters are in 32 experts each.
ModelPlan large_moe() {
    ModelPlan plan = test::small_moe(false);
    plan.hidden = 1024;
    plan.vocab_size = 32000;
    plan.max_positions = 32768;
    plan.attention.q_heads = 16;
    plan.attention.kv_heads = 8;
    plan.attention.head_dim = 64;
    plan.attention.rope.rotary_dim = 64;
    plan.moe.experts = 32;
    plan.moe.top_k = 4;
    plan.moe.intermediate = 2048;
    plan.layer_count = 8;
    plan.layers.assign(8, {LayerKind::moe, 2048});
    return plan;
}

FitQuestion question_of(const ModelPlan& plan) {
    FitQuestion question;
    question.plan = &plan;
    question.weights = [&plan](const LayoutShare& share) { return weight_bytes(plan, 2, share); };
    question.positions = 1000;
    question.bytes_per_rank = std::int64_t{1} << 30;
    return question;
}

ModelShape shape_of(const ModelPlan& plan) {
    return {.q_heads = plan.attention.q_heads,
            .kv_heads = plan.attention.kv_heads,
            .experts = plan.moe.experts,
            .expert_intermediate = plan.moe.intermediate,
            .dense_intermediate = 0,
            .vocab = plan.vocab_size,
            .bytes_needed = {},
            .bytes_max = 0};
}

RankLayout layout_of(int replicas, int dp, int tp, int etp) { return {replicas, 1, dp, tp, dp * tp / etp, etp}; }

}  // namespace

TEST_CASE("a rank needs its weights, the KV of the longest sequence in blocks, and buffers") {
    const ModelPlan plan = large_moe();
    FitQuestion question = question_of(plan);
    const RankMemory one = memory_needed(question, {});
    CHECK(one.weight_bytes == weight_bytes(plan, 2, {}).total());
    CHECK(one.kv_bytes == 1008 * kv_bytes_per_token(plan, DType::bf16));
    CHECK(one.buffer_bytes > std::int64_t{64} << 20);
    CHECK(one.buffer_bytes < std::int64_t{512} << 20);
    question.kv_memory_bytes = 12345;
    CHECK(memory_needed(question, {}).kv_bytes == 12345);
    question.kv_memory_bytes = 0;

    const RankMemory tp4 = memory_needed(question, layout_of(1, 1, 4, 4));
    const LayoutShare last{.tp_rank = 3, .tp = 4, .ep_rank = 0, .ep = 1, .etp_rank = 3, .etp = 4};
    CHECK(tp4.weight_bytes == weight_bytes(plan, 2, last).total());
    CHECK(tp4.kv_bytes == one.kv_bytes / 4);

    const auto buffers = [&](int rows) {
        question.max_rows = question.exchange_rows = rows;
        return memory_needed(question, {}).buffer_bytes;
    };
    const std::int64_t row_bytes = (buffers(2048) - buffers(1024)) / 1024;
    const std::int64_t least = 4 * (3 * 1024 + 4 * (2048 + 1024));  // stream, normed, projected; 4 experts' values
    CHECK(row_bytes > least);
    CHECK(row_bytes < 4 * least);
    question.products = Products::int8;
    const std::int64_t with_codes = (buffers(2048) - buffers(1024)) / 1024;
    CHECK(with_codes >= row_bytes + 2 * 1024);  // a byte per column of what attention and experts multiply
    CHECK(with_codes < row_bytes + row_bytes / 2);
    question.products = Products::bf16_tiles;
    const std::int64_t with_tiles = (buffers(2048) - buffers(1024)) / 1024;
    CHECK(with_tiles >= row_bytes + 2 * 2 * 1024);
    CHECK(with_tiles < 2 * row_bytes);
    question.products = Products::f32;

    // Few ranks exchange whole steps at once, many so much that what arrives stays in bounds.
    CHECK(exchange_rows_of(0, 2048, 1) == 2048);
    CHECK(exchange_rows_of(0, 2048, 4) == 2048);
    CHECK(exchange_rows_of(0, 2048, 8) == 1024);
    CHECK(exchange_rows_of(0, 2048, 64) == 512);
    CHECK(exchange_rows_of(0, 100, 64) == 100);
    CHECK(exchange_rows_of(3, 2048, 64) == 3);
}

TEST_CASE("copies that neighbours share count once") {
    const ModelPlan plan = large_moe();
    FitQuestion question = question_of(plan);
    const WeightBytes whole = weight_bytes(plan, 2, {});
    question.sharing_ranks = 4;
    CHECK(memory_needed(question, layout_of(4, 1, 1, 1)).weight_bytes == whole.total() / 4);
    // dp 4: attention and the common part once for the four, experts once in all.
    CHECK(memory_needed(question, layout_of(1, 4, 1, 1)).weight_bytes == whole.total() / 4);
    // tp 4 on the same node: what is cut adds up to the whole, the common part is shared.
    CHECK(memory_needed(question, layout_of(1, 1, 4, 1)).weight_bytes == whole.total() / 4);
    // Two replicas of two nodes' worth each: a node holds half a replica's experts.
    const RankMemory two_nodes = memory_needed(question, layout_of(1, 8, 1, 1));
    CHECK(two_nodes.weight_bytes == (whole.total() - whole[WeightClass::experts] / 2) / 4);
}

TEST_CASE("a refusal names ranks that do suffice, and not more than needed") {
    const ModelPlan plan = large_moe();
    const ModelShape shape = shape_of(plan);
    for (const int gib_eighths : {5, 8, 12, 20}) {
        FitQuestion question = question_of(plan);
        question.bytes_per_rank = std::int64_t{gib_eighths} << 27;
        question.ranks_per_node = 2;
        const Fit fit = judge_fit(question, {}, shape);
        CHECK_FALSE(fit.fits);
        std::smatch match;
        INFO(fit.sentence);
        REQUIRE(std::regex_search(fit.sentence, match, std::regex(R"((\d+) ranks with as much memory each suffice)")));
        const int named = std::stoi(match[1]);
        const auto some_layout_fits = [&](int ranks) {
            for (const RankLayout& layout : list_layouts(ranks, shape)) {
                if (memory_needed(question, layout).total() <= question.bytes_per_rank) return true;
            }
            return false;
        };
        CHECK(some_layout_fits(named));
        for (const int fewer : {1, 2, 3, 4, 6, 8, 12, 16}) {
            if (fewer < named) CHECK_FALSE(some_layout_fits(fewer));
        }
        CHECK_THAT(fit.sentence, Contains("The model does not fit into one rank") && Contains("2 ranks each"));
        std::cout << fit.sentence << "\n";
    }
}

TEST_CASE("verdicts: fits, pool too large, longest sequence too long, nothing suffices") {
    const ModelPlan plan = large_moe();
    const ModelShape shape = shape_of(plan);
    FitQuestion question = question_of(plan);
    question.bytes_per_rank = memory_needed(question, {}).total();
    CHECK(judge_fit(question, {}, shape).fits);
    CHECK_THAT(judge_fit(question, {}, shape).sentence, Contains("fits: needs"));
    question.bytes_per_rank -= 1;
    CHECK_FALSE(judge_fit(question, {}, shape).fits);
    CHECK_THAT(judge_fit(question, {}, shape).sentence, Contains("The longest sequence does not fit"));

    question.kv_memory_bytes = std::int64_t{8} << 30;
    question.bytes_per_rank = std::int64_t{6} << 30;
    const Fit pool = judge_fit(question, {}, shape);
    CHECK_FALSE(pool.fits);
    CHECK_THAT(pool.sentence, Contains("The KV pool does not fit") && Contains("--kv-memory at most"));

    question.kv_memory_bytes = 0;
    question.bytes_per_rank = std::int64_t{32} << 20;
    CHECK_THAT(judge_fit(question, {}, shape).sentence, Contains("No number of ranks up to 4096 suffices"));
}
