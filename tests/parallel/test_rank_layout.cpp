// Places, defaults and refusals of layouts.
#include <catch2/catch.hpp>
#include <set>
#include <tuple>

#include "kernels/base/error.hpp"
#include "parallel/rank_layout.hpp"

using namespace argosy;
using Catch::Matchers::Contains;

namespace {

ModelShape moe_shape() {
    ModelShape shape;
    shape.q_heads = 8;
    shape.kv_heads = 2;
    shape.experts = 8;
    shape.expert_intermediate = 96;
    shape.vocab = 1000;
    return shape;
}

ModelShape dense_shape() {
    ModelShape shape = moe_shape();
    shape.experts = 0;
    shape.expert_intermediate = 0;
    shape.dense_intermediate = 172;
    return shape;
}

std::string refusal(int world, const LayoutRequest& request, const ModelShape& shape) {
    try {
        const RankLayout layout = resolve_layout(world, request, shape);
        return "not refused: " + describe(layout);
    } catch (const Error& error) {
        CHECK(error.kind() == ErrorKind::usage);
        return error.what();
    }
}

}  // namespace

TEST_CASE("places: the worked example of the header") {
    const RankLayout layout{2, 1, 2, 2, 2, 2};
    const RankPlace place = place_of(layout, 6);
    CHECK(place.replica == 1);
    CHECK(place.dp_rank == 1);
    CHECK(place.tp_rank == 0);
    CHECK(place.stage_rank == 2);
    CHECK(place.ep_rank == 1);
    CHECK(place.etp_rank == 0);
    CHECK(place.group == 3);
    CHECK(group_leaders(layout) == std::vector<int>{0, 2, 4, 6});
    CHECK_THROWS_AS(place_of(layout, 8), Error);
    CHECK_THROWS_AS(place_of(layout, -1), Error);
}

TEST_CASE("places: every rank of every layout has its own place, and the parts multiply up") {
    for (const ModelShape& shape : {moe_shape(), dense_shape()}) {
        for (int world = 1; world <= 24; ++world) {
            for (const RankLayout& layout : list_layouts(world, shape)) {
                REQUIRE(layout.world_size() == world);
                if (shape.experts > 0) REQUIRE(layout.ep * layout.etp == layout.stage_size());
                if (shape.experts == 0) REQUIRE(layout.ep * layout.etp == 1);
                std::set<std::tuple<int, int, int>> attention;
                std::set<std::tuple<int, int, int>> experts;
                for (int rank = 0; rank < world; ++rank) {
                    const RankPlace p = place_of(layout, rank);
                    REQUIRE(rank ==
                            ((p.replica * layout.pp + p.pp_rank) * layout.dp + p.dp_rank) * layout.tp + p.tp_rank);
                    REQUIRE(p.ep_rank < layout.ep);
                    REQUIRE(p.etp_rank < layout.etp);
                    attention.insert({p.replica, p.dp_rank, p.tp_rank});
                    experts.insert({p.replica, p.ep_rank, p.etp_rank});
                }
                REQUIRE(static_cast<int>(attention.size()) == world);
                REQUIRE(static_cast<int>(experts.size()) == layout.replicas * layout.ep * layout.etp);
                REQUIRE(static_cast<int>(group_leaders(layout).size()) == layout.groups());
            }
        }
    }
}

TEST_CASE("defaults: one width alone fills the ranks") {
    const ModelShape moe = moe_shape();
    for (const int n : {1, 2, 4, 8}) {
        CHECK(resolve_layout(n, {.tp = n}, moe) == RankLayout{1, 1, 1, n, n, 1});
        CHECK(resolve_layout(n, {.dp = n}, moe) == RankLayout{1, 1, n, 1, n, 1});
        CHECK(resolve_layout(n, {.ep = n}, moe) == RankLayout{1, 1, n, 1, n, 1});
        CHECK(resolve_layout(n, {.replicas = n}, moe) == RankLayout{n, 1, 1, 1, 1, 1});
        CHECK(resolve_layout(n, {}, moe) == RankLayout{n, 1, 1, 1, 1, 1});
        CHECK(resolve_layout(n, {.tp = n}, dense_shape()) == RankLayout{1, 1, 1, n, 1, 1});
    }
    CHECK(resolve_layout(4, {.tp = 4, .etp = 2}, moe) == RankLayout{1, 1, 1, 4, 2, 2});
    CHECK(resolve_layout(4, {.tp = 4, .ep = 1}, moe) == RankLayout{1, 1, 1, 4, 1, 4});
    CHECK(resolve_layout(4, {.tp = 2}, moe) == RankLayout{2, 1, 1, 2, 2, 1});
    CHECK(resolve_layout(4, {.replicas = 2, .tp = 2}, moe) == RankLayout{2, 1, 1, 2, 2, 1});
    CHECK(resolve_layout(4, {.dp = 2, .tp = 2}, moe) == RankLayout{1, 1, 2, 2, 4, 1});
    CHECK(resolve_layout(6, {.dp = 3, .tp = 2}, moe) == RankLayout{1, 1, 3, 2, 6, 1});
}

TEST_CASE("defaults: groups become as wide as memory asks for") {
    ModelShape shape = moe_shape();
    shape.bytes_max = 100;
    // Experts weigh 160 in all, everything else 10 for each rank, halved by tp.
    shape.bytes_needed = [](const RankLayout& layout) {
        return std::int64_t{160} / (layout.ep * layout.etp) + 10 / layout.tp;
    };
    CHECK(resolve_layout(4, {}, shape) == RankLayout{2, 1, 2, 1, 2, 1});
    shape.bytes_max = 200;
    CHECK(resolve_layout(4, {}, shape) == RankLayout{4, 1, 1, 1, 1, 1});
    shape.bytes_max = 50;
    CHECK(resolve_layout(4, {}, shape) == RankLayout{1, 1, 4, 1, 4, 1});
    shape.bytes_max = 45;  // only tp makes the rest smaller
    CHECK(resolve_layout(4, {}, shape) == RankLayout{1, 1, 2, 2, 4, 1});
    shape.bytes_max = 1;  // nothing fits: what needs least
    CHECK(resolve_layout(4, {}, shape) == RankLayout{1, 1, 1, 4, 4, 1});
    ModelShape dense = dense_shape();
    dense.bytes_max = 60;
    dense.bytes_needed = [](const RankLayout& layout) { return std::int64_t{100} / layout.tp; };
    CHECK(resolve_layout(4, {}, dense) == RankLayout{2, 1, 1, 2, 1, 1});
}

TEST_CASE("refusals say why, and list what can be") {
    const ModelShape moe = moe_shape();
    CHECK_THAT(refusal(4, {.pp = 2}, moe), Contains("pipeline") && Contains("--pp"));
    CHECK_THAT(refusal(3, {.tp = 3}, moe), Contains("1, 2, 4 or 8") && Contains("replicas 3, dp 1, tp 1, ep 1, etp 1"));
    CHECK_THAT(refusal(4, {.etp = 3}, moe), Contains("--etp is 3"));
    CHECK_THAT(refusal(4, {.dp = 3}, moe),
               Contains("3 does not divide 4") && Contains("\n  replicas 2, dp 1, tp 2, ep 2, etp 1"));
    CHECK_THAT(refusal(4, {.ep = 3}, moe), Contains("ep x etp"));
    CHECK_THAT(refusal(4, {.dp = 2, .tp = 2, .ep = 2, .etp = 4}, moe), Contains("8 does not divide 4"));
    CHECK_THAT(refusal(4, {.tp = 4, .ep = 2, .etp = 1}, moe),
               Contains("no layout of 4 ranks agrees with --tp 4 --ep 2 --etp 1"));
    CHECK_THAT(refusal(4, {.ep = 4}, dense_shape()), Contains("dense model has no experts"));
    CHECK_THAT(refusal(4, {.tp = -2}, moe), Contains("at least 1"));
    CHECK_THAT(refusal(4, {.replicas = 8}, moe), Contains("8 does not divide 4"));
}

TEST_CASE("a layout is refused when a rank would own nothing, and only then") {
    ModelShape tiny;
    tiny.q_heads = 4;
    tiny.kv_heads = 4;
    tiny.dense_intermediate = 4;
    tiny.vocab = 16;  // one unit of vocabulary: one rank's
    // tp = 8: leaves 1, 3, 5, 7 hold the four heads and columns; ranks 0, 2, 4, 6 have none, and the vocabulary is one
    // rank's.
    CHECK_THAT(refusal(8, {.tp = 8}, tiny), Contains("own a share"));
    tiny.vocab = 128;
    CHECK(resolve_layout(8, {.tp = 8}, tiny) == RankLayout{1, 1, 1, 8, 1, 1});
    tiny.vocab = 16;
    tiny.dense_intermediate = 8;  // a column each
    CHECK(resolve_layout(8, {.tp = 8}, tiny) == RankLayout{1, 1, 1, 8, 1, 1});
    tiny.dense_intermediate = 0;
    tiny.experts = 4;
    tiny.expert_intermediate = 64;  // 4 experts on 8 ranks of ep; sliced by two, every rank has half an expert
    CHECK(list_layouts(8, tiny).size() > 0);
    CHECK_THAT(refusal(8, {.tp = 8, .etp = 1}, tiny), Contains("own a share"));
    CHECK(resolve_layout(8, {.tp = 8}, tiny) == RankLayout{1, 1, 1, 8, 4, 2});
}

TEST_CASE("row shares cover all rows once") {
    for (std::int64_t rows = 0; rows < 40; ++rows) {
        for (int parts = 1; parts <= 8; ++parts) {
            std::int64_t at = 0;
            for (int part = 0; part < parts; ++part) {
                const RowRange share = row_share(rows, part, parts);
                REQUIRE(share.begin == at);
                REQUIRE(share.count() >= rows / parts);
                REQUIRE(share.count() <= (rows + parts - 1) / parts);
                at = share.end;
            }
            REQUIRE(at == rows);
        }
    }
}
