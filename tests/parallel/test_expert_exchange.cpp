// The expert exchange with real experts on real ranks, against one rank that holds all of them, bit by bit.
#include <algorithm>
#include <catch2/catch.hpp>
#include <numeric>
#include <random>

#include "kernels/base/error.hpp"
#include "kernels/reference/reference_ops.hpp"
#include "parallel/expert_exchange.hpp"
#include "parallel/leaf_sum.hpp"
#include "parallel/mpi_session.hpp"
#include "tests/parallel/expert_tree.hpp"
#include "tests/parallel/ranks.hpp"

using namespace argosy;

namespace {

// Some experts' weights, or the columns of them that etp member `part` of `parts` holds.
class Experts {
  public:
    Experts(const std::vector<std::int32_t>& ids, int hidden, std::int64_t intermediate, int part, int parts)
        : hidden_(hidden), share_(leaf_share(intermediate, 1, part, parts)) {
        const std::int64_t columns = share_.cut.columns();
        for (const std::int32_t id : ids) {
            std::mt19937 random(static_cast<unsigned>(id + 1));
            std::normal_distribution<float> normal;
            const auto draw = [&](std::int64_t count) {
                std::vector<float> values(static_cast<std::size_t>(count));
                for (float& v : values) v = normal(random);
                return values;
            };
            const std::vector<float> gate = draw(intermediate * hidden);
            const std::vector<float> up = draw(intermediate * hidden);
            const std::vector<float> down = draw(hidden * intermediate);
            if (columns == 0) continue;
            gate_.push_back(packed({columns, hidden, DType::f32, {}}, gate.data() + share_.k_begin * hidden, hidden));
            up_.push_back(packed({columns, hidden, DType::f32, {}}, up.data() + share_.k_begin * hidden, hidden));
            down_.push_back(
                packed({hidden, columns, DType::f32, share_.cut}, down.data() + share_.k_begin, intermediate));
        }
    }

    bool present() const { return share_.cut.columns() > 0; }

    // y [grouped rows, hidden].
    std::vector<float> run(int grouped_rows, const std::int32_t* group_begin, const std::int32_t* row_index,
                           const float* x) const {
        if (!present() || grouped_rows == 0) return {};
        std::vector<float> h(static_cast<std::size_t>(grouped_rows * share_.cut.columns()));
        std::vector<float> y(static_cast<std::size_t>(grouped_rows) * static_cast<std::size_t>(hidden_));
        const int groups = static_cast<int>(gate_.size());
        reference_ops().gate_up({groups, group_begin, row_index, gate_.data(), up_.data(), x, h.data()}, {});
        reference_ops().leaf_projection({groups, group_begin, down_.data(), h.data(), y.data()}, {});
        return y;
    }

  private:
    WeightMatrix packed(const MatrixSpec& spec, const float* source, std::int64_t stride) {
        memory_.emplace_back(reference_ops().packed_bytes(spec));
        reference_ops().pack({spec, 0, spec.n, source, DType::f32, stride * static_cast<std::int64_t>(sizeof(float)),
                              memory_.back().data()});
        return {spec, memory_.back().data()};
    }

    int hidden_;
    LeafShare share_;
    std::vector<Buffer> memory_;
    std::vector<WeightMatrix> gate_;
    std::vector<WeightMatrix> up_;
    std::vector<WeightMatrix> down_;
};

struct Rows {
    int rows = 0;
    std::vector<float> x;         // [rows, hidden]
    std::vector<float> residual;  // [rows, hidden]
    std::vector<std::int32_t> ids;
    std::vector<float> weights;
};

Rows draw_rows(std::mt19937& random, int rows, int hidden, int experts, int top_k) {
    Rows drawn;
    drawn.rows = rows;
    std::normal_distribution<float> normal;
    std::vector<std::int32_t> all(static_cast<std::size_t>(experts));
    std::iota(all.begin(), all.end(), 0);
    for (int row = 0; row < rows; ++row) {
        for (int i = 0; i < hidden; ++i) drawn.x.push_back(normal(random));
        for (int i = 0; i < hidden; ++i) drawn.residual.push_back(normal(random));
        std::shuffle(all.begin(), all.end(), random);
        drawn.ids.insert(drawn.ids.end(), all.begin(), all.begin() + top_k);
        for (int i = 0; i < top_k; ++i) drawn.weights.push_back(0.1F + std::abs(normal(random)));
    }
    return drawn;
}

// residual + tree of weight * y, with y from experts that one rank holds whole and the tree from its definition.
std::vector<float> truth_of(const Rows& rows, int hidden, std::int64_t intermediate, int top_k) {
    std::vector<float> truth;
    for (int row = 0; row < rows.rows; ++row) {
        std::vector<std::vector<float>> y;
        for (int i = 0; i < top_k; ++i) {
            const Experts expert({rows.ids[static_cast<std::size_t>(row * top_k + i)]}, hidden, intermediate, 0, 1);
            const std::int32_t group_begin[] = {0, 1};
            y.push_back(expert.run(1, group_begin, nullptr, rows.x.data() + static_cast<std::ptrdiff_t>(row) * hidden));
        }
        for (int c = 0; c < hidden; ++c) {
            std::vector<test::Leaf> leaves;
            for (int i = 0; i < top_k; ++i) {
                const auto at = static_cast<std::size_t>(row * top_k + i);
                leaves.push_back(
                    {rows.ids[at], rows.weights[at] * y[static_cast<std::size_t>(i)][static_cast<std::size_t>(c)]});
            }
            truth.push_back(rows.residual[static_cast<std::size_t>(row * hidden + c)] + *test::tree_sum(leaves));
        }
    }
    return truth;
}

struct Shape {
    int experts = 1;
    int top_k = 1;
    int hidden = 1;
    std::int64_t intermediate = 1;
};

// One step on this rank's rows; returns residual + tree.
std::vector<float> step(ExpertExchange& exchange, const Experts& experts, const Rows& mine, std::int64_t rows_max) {
    const int rounds = exchange.begin(mine.rows, mine.ids.data(), mine.weights.data(), mine.x.data());
    std::vector<float> y;
    for (int round = 0; round < rounds; ++round) {
        const ExpertExchange::Received& in = exchange.dispatch(round);
        REQUIRE(in.rows <= exchange.received_rows_max(rows_max));
        REQUIRE(in.grouped_rows <= exchange.grouped_rows_max(rows_max));
        y = experts.run(in.grouped_rows, in.group_begin, in.row_index, in.x);
        exchange.return_results(round, y.empty() ? nullptr : y.data(), {});
    }
    std::vector<float> out = mine.residual;
    exchange.finish(out.data(), out.data(), {});
    return out;
}

void check_layout(MpiSession& session, const RankLayout& layout, const Shape& shape, std::mt19937& random) {
    const Groups groups = make_groups(session, layout);
    const ExpertPlacement placement = contiguous_placement(shape.experts, layout.ep);
    const Experts experts(experts_at(placement, groups.place.ep_rank), shape.hidden, shape.intermediate,
                          groups.place.etp_rank, layout.etp);
    const std::int64_t rows_per_round = std::vector<std::int64_t>{1, 2, 3, 64}[random() % 4];
    ExpertExchange exchange(
        *groups.stage, *groups.etp, reference_ops(),
        {placement, shape.hidden, shape.top_k, rows_per_round, present_parts(shape.intermediate, layout.etp)});
    groups.stage->reset_traffic();
    groups.etp->reset_traffic();
    for (int steps = 0; steps < 3; ++steps) {
        Rows mine;
        int rows_max = 0;
        int rows_total = 0;
        for (int rank = 0; rank < session.size(); ++rank) {  // all ranks draw alike and keep their own
            const int rows = random() % 3 == 0 ? 0 : static_cast<int>(random() % 11);
            Rows drawn = draw_rows(random, steps == 2 ? 0 : rows, shape.hidden, shape.experts, shape.top_k);
            rows_max = std::max(rows_max, drawn.rows);
            rows_total += drawn.rows;
            if (rank == session.rank()) mine = std::move(drawn);
        }
        const std::int64_t rounds_before = exchange.planned().rounds;
        const std::vector<float> out = step(exchange, experts, mine, rows_max);
        REQUIRE(test::same_bits(out, truth_of(mine, shape.hidden, shape.intermediate, shape.top_k)));
        if (rows_total == 0) REQUIRE(exchange.planned().rounds == rounds_before);
    }
    REQUIRE(exchange.planned().steps == 3);
    REQUIRE(exchange.planned().stage_bytes() == groups.stage->traffic().bytes_sent());
    REQUIRE(exchange.planned().etp_bytes == groups.etp->traffic().bytes_sent());
    REQUIRE(exchange.planned().dispatch_bytes == exchange.planned().rows_sent * shape.hidden * 4);
    REQUIRE(exchange.planned().return_bytes == exchange.planned().rows_returned * shape.hidden * 4);
}

}  // namespace

TEST_CASE("expert exchange: every split of experts gives the bits of one rank") {
    MpiSession session;
    std::mt19937 random(99);
    for (int trial = 0; trial < 12; ++trial) {
        Shape shape;
        shape.experts = std::vector<int>{1, 3, 5, 8, 11, 13}[random() % 6];
        shape.top_k = 1 + static_cast<int>(random() % static_cast<unsigned>(std::min(shape.experts, 8)));
        shape.hidden = 1 + static_cast<int>(random() % 24);
        shape.intermediate =
            1 + static_cast<int>(random() % 15);  // fewer columns than leaves, too: members without a share
        for (const RankLayout& layout : test::moe_layouts(session.size())) {
            INFO(describe(layout) << ", experts " << shape.experts << ", top " << shape.top_k << ", trial " << trial);
            check_layout(session, layout, shape, random);
        }
    }
}

TEST_CASE("expert exchange: one expert for all rows fills rounds unevenly") {
    MpiSession session;
    const RankLayout layout{1, 1, session.size(), 1, session.size(), 1};
    const Groups groups = make_groups(session, layout);
    const ExpertPlacement placement = contiguous_placement(2 * session.size(), session.size());
    const Experts experts(experts_at(placement, groups.place.ep_rank), 6, 9, 0, 1);
    ExpertExchange exchange(*groups.stage, *groups.etp, reference_ops(), {placement, 6, 1, 4, 1});
    std::mt19937 random(static_cast<unsigned>(session.rank()));
    Rows mine = draw_rows(random, session.rank() == 0 ? 19 : 1, 6, placement.experts, 1);
    std::fill(mine.ids.begin(), mine.ids.end(), placement.experts - 1);
    REQUIRE(test::same_bits(step(exchange, experts, mine, 19), truth_of(mine, 6, 9, 1)));
    CHECK(exchange.planned().rounds == (session.size() == 1 ? 1 : 5));
    if (session.size() > 1 && session.rank() == 0) {
        CHECK(exchange.planned().rows_sent == 19);
        CHECK(exchange.planned().rows_returned == 0);
    }
}

TEST_CASE("expert exchange: parts that do not fit together are refused") {
    const auto self = make_self_communicator("stage");
    const ExpertPlacement one = contiguous_placement(4, 1);
    CHECK_THROWS_AS(ExpertExchange(*self, *self, reference_ops(), {contiguous_placement(4, 2), 8, 2, 4, 1}), Error);
    CHECK_THROWS_AS(ExpertExchange(*self, *self, reference_ops(), {one, 8, 5, 4, 1}), Error);
    CHECK_THROWS_AS(ExpertExchange(*self, *self, reference_ops(), {one, 8, 2, 0, 1}), Error);
    CHECK_THROWS_AS(ExpertExchange(*self, *self, reference_ops(), {one, 8, 2, 4, 0}), Error);
}
