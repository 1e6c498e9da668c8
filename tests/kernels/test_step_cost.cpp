// The formulas of a step's cost against counting: every multiplication of a small model one by one, every message
// between ranks by who holds what.
#include "kernels/base/step_cost.hpp"

#include <catch2/catch.hpp>

#include <cmath>
#include <map>
#include <random>
#include <set>

#include "kernels/base/error.hpp"

using namespace argosy;

namespace {

struct Sequence {
    std::int64_t first = 0;
    std::int64_t rows = 0;
    WantedLogits wanted = WantedLogits::last;
};

CostStep step_of(const CostModel& model, const std::vector<Sequence>& sequences) {
    CostStep step;
    for (const Sequence& s : sequences) add_sequence(step, model, s.first, s.rows, s.wanted);
    return step;
}

// Which tp rank holds q head h, dense column or expert column c of n: the leaf floor rule, by looking for the leaf.
int leaf_owner(std::int64_t unit, std::int64_t units, int parts) {
    for (int leaf = 0; leaf < 8; ++leaf) {
        if (units * leaf / 8 <= unit && unit < units * (leaf + 1) / 8) return leaf / (8 / parts);
    }
    return -1;
}
int row_owner(std::int64_t row, std::int64_t rows, int parts) {
    for (int t = 0; t < parts; ++t) {
        if (rows * t / parts <= row && row < rows * (t + 1) / parts) return t;
    }
    return -1;
}
int vocab_owner(std::int64_t word, std::int64_t vocab, int parts) {
    return row_owner(word / 16, (vocab + 15) / 16, parts);
}

// Counts for one rank, by loops over rows, heads, columns and keys.
struct Counted {
    std::map<CostPart, std::int64_t> multiplications, weights, kv_vectors;
};
Counted count_arithmetic(const CostModel& m, const CostPlace& p, const std::vector<Sequence>& sequences) {
    Counted c;
    std::int64_t rows = 0, wanted = 0;
    for (const Sequence& s : sequences) {
        rows += s.rows;
        wanted += s.wanted == WantedLogits::none ? 0 : s.wanted == WantedLogits::all ? s.rows : s.rows > 0;
    }
    std::set<std::int64_t> q_heads, kv_heads;
    for (std::int64_t h = 0; h < m.q_heads; ++h) {
        if (leaf_owner(h, m.q_heads, p.tp) != p.tp_rank) continue;
        q_heads.insert(h);
        kv_heads.insert(h / (m.q_heads / m.kv_heads));
    }
    const auto product = [&](CostPart part, std::int64_t times, std::int64_t in, std::int64_t out) {
        c.multiplications[part] += times * in * out;
        if (times > 0) c.weights[part] += in * out;
    };
    std::int64_t own = 0;
    for (std::int64_t r = 0; r < rows; ++r) own += row_owner(r, rows, p.tp) == p.tp_rank;
    for (std::int64_t layer = 0; layer < m.layers(); ++layer) {
        const std::int64_t dense = m.dense_columns[static_cast<std::size_t>(layer)];
        const CostLatents& l = m.latents;
        const bool over_latents = l.kv_rank > 0;
        for (std::size_t h = 0; h < q_heads.size(); ++h) {
            if (over_latents) {
                product(CostPart::attention, rows, l.q_rank > 0 ? l.q_rank : m.hidden, l.nope_dim + l.rope_dim);
                product(CostPart::attention, rows, l.nope_dim, l.kv_rank);
                product(CostPart::attention, rows, l.kv_rank, l.value_dim);
                product(CostPart::attention, rows, l.value_dim, m.hidden);
                continue;
            }
            product(CostPart::attention, rows, m.hidden, m.head_dim);  // q
            product(CostPart::attention, rows, m.head_dim, m.hidden);  // output
        }
        if (over_latents && !q_heads.empty()) {
            product(CostPart::attention, rows, m.hidden, l.q_rank);
            product(CostPart::attention, rows, m.hidden, l.kv_rank + l.rope_dim);
        }
        for (std::size_t h = 0; !over_latents && h < 2 * kv_heads.size(); ++h)
            product(CostPart::attention, rows, m.hidden, m.head_dim);
        for (const Sequence& s : sequences) {
            std::set<std::int64_t> read;
            for (std::int64_t position = s.first; position < s.first + s.rows; ++position) {
                for (std::int64_t key = 0; key <= position; ++key) {
                    if (layer < m.windowed_layers && key <= position - m.window) continue;
                    read.insert(key);
                    const std::int64_t each = over_latents ? 2 * l.kv_rank + l.rope_dim : 2 * m.head_dim;
                    c.multiplications[CostPart::scores] += static_cast<std::int64_t>(q_heads.size()) * each;
                }
            }
            const auto touched = static_cast<std::int64_t>(read.size()) + s.rows;  // read, and the new ones written
            const std::int64_t vectors =
                over_latents ? !q_heads.empty() : 2 * static_cast<std::int64_t>(kv_heads.size());
            c.kv_vectors[CostPart::scores] += touched * vectors;
        }
        const std::int64_t width = dense > 0 ? dense : m.shared_columns;
        std::int64_t columns = 0;
        for (std::int64_t i = 0; i < width; ++i) columns += leaf_owner(i, width, p.tp) == p.tp_rank;
        for (int matrix = 0; matrix < 3; ++matrix) product(CostPart::dense, rows, m.hidden, columns);
        if (dense == 0) product(CostPart::router, own, m.hidden, m.experts);
    }
    std::int64_t words = 0;
    for (std::int64_t w = 0; w < m.vocab; ++w) words += vocab_owner(w, m.vocab, p.tp) == p.tp_rank;
    c.multiplications[CostPart::vocabulary] = wanted * m.hidden * words;
    c.weights[CostPart::vocabulary] = (wanted + m.logits_rows - 1) / m.logits_rows * m.hidden * words;
    c.weights[CostPart::embedding] = own * m.hidden;
    return c;
}

std::vector<CostPlace> places_of(int dp, int tp, int etp) {
    std::vector<CostPlace> places;
    const int ep = dp * tp / etp;
    for (int s = 0; s < dp * tp; ++s)
        places.push_back(
            {.dp = dp, .tp = tp, .tp_rank = s % tp, .ep = ep, .ep_rank = s / etp, .etp = etp, .etp_rank = s % etp});
    return places;
}

CostModel small_model() {
    return {.hidden = 24,
            .q_heads = 6,
            .kv_heads = 3,
            .head_dim = 4,
            .vocab = 77,
            .dense_columns = {0, 35, 0},
            .experts = 7,
            .top_k = 3,
            .expert_columns = 13,
            .window = 0,
            .windowed_layers = 0,
            .weight_bits = 16,
            .kv_vector_bytes = 4 * 5,
            .sample_bytes = 20,
            .logits_rows = 4};
}

const std::vector<Sequence> kMixed = {{0, 9, WantedLogits::all},
                                      {17, 1, WantedLogits::last},
                                      {5, 4, WantedLogits::none},
                                      {2, 1, WantedLogits::last},
                                      {0, 0, WantedLogits::last}};

}  // namespace

TEST_CASE("operations and bytes of every part are those of counting them one by one") {
    CostModel model = small_model();
    for (const std::int64_t window : {0, 3, 8, 9}) {
        model.window = window;
        model.windowed_layers = window == 0 ? 0 : window == 9 ? 2 : 3;
        model.shared_columns = window == 3 ? 11 : 0;
        // Over latents where the window is odd, of queries with a latent of their own or without.
        model.latents =
            window % 2 == 0
                ? CostLatents{}
                : CostLatents{
                      .kv_rank = 9, .q_rank = window == 3 ? 5 : 0, .nope_dim = 6, .rope_dim = 2, .value_dim = 7};
        model.kv_heads = model.latents.kv_rank > 0 ? 1 : 3;
        for (const int tp : {1, 2, 4, 8}) {
            for (const CostPlace& place : places_of(1, tp, 1)) {
                INFO("window " << window << ", tp rank " << place.tp_rank << " of " << tp);
                const StepCost cost = step_cost(model, place, step_of(model, kMixed));
                Counted counted = count_arithmetic(model, place, kMixed);
                for (const CostPart part : {CostPart::embedding, CostPart::attention, CostPart::scores, CostPart::dense,
                                            CostPart::router, CostPart::vocabulary}) {
                    INFO(name_of(part));
                    CHECK(cost.of(part).flops == 2 * counted.multiplications[part]);
                    CHECK(cost.of(part).weight_bytes == model.matrix_bytes(counted.weights[part]));
                    CHECK(cost.of(part).kv_bytes == counted.kv_vectors[part] * model.kv_vector_bytes);
                }
            }
        }
    }
}

namespace {

// A step of every dp group, with random choices of experts; bytes that each stage rank sends, message by message.
struct Simulated {
    std::vector<CostRoute> route;                             // [stage]
    std::vector<std::int64_t> row_gather, leaf_sum, members;  // [stage]
    std::vector<std::int64_t> exchange, vocabulary;
};
Simulated simulate(const CostModel& m, const std::vector<CostPlace>& places, const std::vector<CostStep>& steps,
                   std::mt19937& random) {
    const int stage = static_cast<int>(places.size()), tp = places[0].tp, ep = places[0].ep, etp = places[0].etp;
    Simulated out;
    for (auto* list : {&out.row_gather, &out.leaf_sum, &out.members, &out.exchange, &out.vocabulary})
        list->assign(static_cast<std::size_t>(stage), 0);
    out.route.assign(static_cast<std::size_t>(stage), {});
    const auto at = [](int i) { return static_cast<std::size_t>(i); };
    for (const std::int64_t dense : m.dense_columns) {
        for (int s = 0; s < stage; ++s) {  // attention, then the dense block: the same messages
            const CostStep& step = steps[at(s / tp)];
            for (int block = 0; block < (dense > 0 ? 2 : 1); ++block) {
                const std::int64_t units = block == 0 ? m.q_heads : dense;
                bool present = false;
                for (std::int64_t u = 0; u < units; ++u) present = present || leaf_owner(u, units, tp) == s % tp;
                for (std::int64_t row = 0; row < step.rows; ++row) {
                    const int owner = row_owner(row, step.rows, tp);
                    if (owner == s % tp) out.row_gather[at(s)] += (tp - 1) * m.hidden * 4;
                    if (owner != s % tp && present) out.leaf_sum[at(s)] += m.hidden * 4;
                }
            }
        }
        if (dense > 0) continue;
        std::set<std::pair<int, std::int64_t>> hit;  // (stage rank, expert)
        for (int s = 0; s < stage; ++s) {
            out.exchange[at(s)] += ep * 4 * (stage - 1);
            const CostStep& step = steps[at(s / tp)];
            std::map<int, std::int64_t> rows_for;  // of ep ranks
            for (std::int64_t row = 0; row < step.rows; ++row) {
                if (row_owner(row, step.rows, tp) != s % tp) continue;
                std::set<std::int64_t> chosen;
                while (static_cast<std::int64_t>(chosen.size()) < m.top_k)
                    chosen.insert(static_cast<std::int64_t>(random() % static_cast<unsigned>(m.experts)));
                std::map<int, std::int64_t> of_rank;  // experts of the row on each ep rank
                for (const std::int64_t e : chosen) ++of_rank[row_owner(e, m.experts, ep)];
                for (const auto& [g, count] : of_rank) {
                    ++rows_for[g];
                    for (int e = 0; e < etp; ++e) {
                        const int to = g * etp + e;
                        out.route[at(to)].grouped_rows += count;
                        for (const std::int64_t x : chosen) {
                            if (row_owner(x, m.experts, ep) == g) hit.insert({to, x});
                        }
                        if (to == s) continue;
                        ++out.route[at(s)].rows_sent;
                        out.exchange[at(s)] += m.hidden * 4 + m.top_k * 8;
                    }
                }
            }
            // The rows of one source that reach ep rank g come back as one sum each (what a subtree saves or costs is
            // not counted here: experts of a rank are one subtree), shared out over the etp ranks by row.
            for (const auto& [g, count] : rows_for) {
                for (int e = 0; e < etp; ++e) {
                    const std::int64_t back = count * (e + 1) / etp - count * e / etp;
                    if (g * etp + e == s) continue;
                    out.route[at(g * etp + e)].rows_returned += back;
                    out.exchange[at(g * etp + e)] += back * m.hidden * 4;
                }
            }
        }
        for (const auto& [rank, expert] : hit) ++out.route[at(rank)].experts_hit;
    }
    for (int s = 0; s < stage; ++s) {
        const CostStep& step = steps[at(s / tp)];
        const int me = s % tp;
        std::int64_t words = 0;
        for (std::int64_t w = 0; w < m.vocab; ++w) words += vocab_owner(w, m.vocab, tp) == me;
        const auto wanted = static_cast<std::int64_t>(step.wanted_rows.size());
        for (std::int64_t i = 0; i < wanted; ++i) {
            const std::int64_t in_chunk = i % m.logits_rows;
            const std::int64_t chunk = std::min(m.logits_rows, wanted - i + in_chunk);
            const bool sampled_here = row_owner(in_chunk, chunk, tp) == me;
            if (row_owner(step.wanted_rows[at(static_cast<int>(i))], step.rows, tp) == me)
                out.vocabulary[at(s)] += (tp - 1) * m.hidden * 4;
            out.vocabulary[at(s)] += sampled_here ? (tp - 1) * m.sample_bytes : words * 4;
        }
    }
    return out;
}

}  // namespace

TEST_CASE("bytes sent are those of simulating the messages of all ranks") {
    std::mt19937 random(7);
    const CostModel model = small_model();
    for (const auto& [dp, tp, etp] :
         {std::tuple{1, 1, 1}, {1, 2, 1}, {2, 2, 1}, {1, 4, 2}, {3, 1, 1}, {1, 8, 8}, {2, 4, 2}, {4, 1, 4}}) {
        const std::vector<CostPlace> places = places_of(dp, tp, etp);
        std::vector<CostStep> steps;
        for (int d = 0; d < dp; ++d) {
            std::vector<Sequence> sequences = kMixed;
            sequences[0].rows += d;
            steps.push_back(step_of(model, sequences));
        }
        const Simulated simulated = simulate(model, places, steps, random);
        for (std::size_t s = 0; s < places.size(); ++s) {
            INFO("dp " << dp << ", tp " << tp << ", etp " << etp << ", stage rank " << s);
            CostStep step = steps[s / static_cast<std::size_t>(tp)];
            step.route = simulated.route[s];
            const StepCost cost = step_cost(model, places[s], step);
            CHECK(cost.sent.row_gather == simulated.row_gather[s]);
            CHECK(cost.sent.leaf_sum == simulated.leaf_sum[s]);
            CHECK(cost.sent.vocabulary == simulated.vocabulary[s]);
            CHECK(cost.sent.exchange == (places.size() == 1 ? 0 : simulated.exchange[s]));
            CHECK(step_word_sent_bytes(places[s]) == 64 * (dp * tp - 1));
        }
    }
}

TEST_CASE("the expected route is the mean of random choices") {
    std::mt19937 random(11);
    CostModel model = small_model();
    model.experts = 16;  // so that the experts of a rank are whole subtrees
    model.top_k = 4;
    const std::vector<CostPlace> places = places_of(2, 2, 2);
    const std::vector<CostStep> steps(2, step_of(model, {{0, 24, WantedLogits::last}}));
    std::vector<CostRoute> sum(places.size());
    constexpr int kTries = 400;
    for (int i = 0; i < kTries; ++i) {
        const Simulated simulated = simulate(model, places, steps, random);
        for (std::size_t s = 0; s < places.size(); ++s) sum[s] += simulated.route[s];
    }
    const auto close = [](std::int64_t expected, std::int64_t total) {
        const double mean = static_cast<double>(total) / kTries;
        INFO(expected << " expected, " << mean << " on average");
        CHECK(std::abs(static_cast<double>(expected) - mean) <= 0.02 * mean + 1);
    };
    for (std::size_t s = 0; s < places.size(); ++s) {
        const CostRoute expected = expected_route(model, places[s], 24, 512);
        close(expected.grouped_rows, sum[s].grouped_rows);
        close(expected.experts_hit, sum[s].experts_hit);
        close(expected.rows_sent, sum[s].rows_sent);
        close(expected.rows_returned, sum[s].rows_returned);
        CHECK(expected.rounds == 2);
        CHECK(expected_route(model, places[s], 24, 5).rounds == 6);  // 12 own rows, nearly all to each ep rank
    }
}

TEST_CASE("experts cost what their rows and their weights are") {
    const CostModel model = small_model();
    CostStep step = step_of(model, {{0, 5, WantedLogits::last}});
    step.route = {
        .grouped_rows = 30, .experts_hit = 12, .rows_sent = 0, .rows_returned = 0, .member_rows = 0, .rounds = 2};
    const StepCost cost = step_cost(model, {}, step);
    CHECK(cost.of(CostPart::experts).flops == 2 * 30 * 3 * 24 * 13);
    CHECK(cost.of(CostPart::experts).weight_bytes == 12 * 3 * 24 * 13 * 2);
    CHECK(cost.sent.total() == 0);
    CHECK(cost.verbs == 0);
}

TEST_CASE("a part takes the larger of arithmetic and memory, and what is sent comes on top") {
    StepCost cost;
    cost.of(CostPart::dense) = {.flops = 1000, .weight_bytes = 10, .kv_bytes = 0, .activation_bytes = 1 << 30};
    cost.of(CostPart::scores) = {.flops = 10, .weight_bytes = 0, .kv_bytes = 600, .activation_bytes = 0};
    MachineSpeeds machine{
        .gflops = 10, .product_gops = 10, .memory_gbytes_per_s = 2, .caches = {}, .send_gbytes_per_s = 0, .verb_ns = 0};
    CHECK(step_limit_ns(cost, machine) == Approx(1000 / 10 + 600 / 2));
    machine.caches = {{100, 50}, {700, 6}, {9000, 4}};
    CHECK(step_limit_ns(cost, machine) == Approx(1000 / 10 + 600 / 6));
    machine.send_gbytes_per_s = 4;
    machine.verb_ns = 7;
    cost.sent.members = 40;
    cost.verbs = 3;
    CHECK(step_limit_ns(cost, machine) == Approx(100 + 100 + 10 + 21));
    machine.gflops = 0;
    CHECK_THROWS_AS(step_limit_ns(cost, machine), Error);
}
