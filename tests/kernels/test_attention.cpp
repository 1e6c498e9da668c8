// qkv and attention of every backend: the reference's bits for any batch, chunking, block table and thread count.
#include "tests/kernels/kv_case.hpp"

namespace argosy::test {
namespace {

std::vector<KvCase> kv_cases() {
    const DType bf16 = DType::bf16;
    const DType f32 = DType::f32;
    const DType int8 = DType::int8;
    return {
        {4, 4, 8, 8, f32, {1, 17, 70}},
        {4, 2, 8, 4, bf16, {33, 129, 5}, bf16},
        {6, 2, 16, 16, bf16, {150, 64, 65}, bf16, true},
        {3, 1, 32, 32, f32, {3, 200}, f32, false, true},
        {2, 2, 64, 64, bf16, {130, 16}, f32, true, true},
        {5, 1, 80, 20, bf16, {66, 31, 1}, bf16, true},
        {4, 2, 128, 128, bf16, {257}, bf16},
        {4, 4, 128, 128, f32, {67, 12}, f32, true},
        {6, 3, 10, 10, f32, {40, 7}, f32, false, true, true},
        {8, 8, 16, 16, bf16, {65}, bf16, false, false, true},
        {12, 6, 16, 16, bf16, {70, 33}, bf16},  // more KV heads than stand together in a task of few queries
        {4, 2, 16, 16, f32, {200, 9}, f32, false, false, false, 19, 1, 5, true},  // a window within a tile's rows
        {8, 2, 64, 64, bf16, {300, 130, 64}, bf16, false, false, false, 19, 1, 128, true},
        {6, 3, 10, 10, bf16, {150, 70}, f32, false, false, false, 19, 1, 64, false},
        {4, 1, 32, 32, bf16, {200}, f32, false, false, false, 19, 1, 0, true},
        {8, 2, 64, 64, int8, {300, 130, 64}, bf16, false, false, false, 19, 1, 128, true},
        {4, 2, 10, 10, int8, {200, 9}, f32, false, false, false, 19, 1, 7, false},
        {4, 4, 8, 8, int8, {1, 17, 70}},
        {6, 2, 10, 4, int8, {33, 129, 5}, bf16},
        {2, 2, 64, 64, int8, {130, 16}, f32, true, true},
        {5, 1, 80, 20, int8, {66, 31, 1}, bf16, true},
        {4, 2, 128, 128, int8, {257}, bf16},
        {12, 6, 16, 16, int8, {70, 33}, bf16},
        {2, 1, 512, 512, int8, {70, 3}, bf16},
    };
}

TEST_CASE("qkv: q of any rows") {
    for (const KvCase& shape : kv_cases()) {
        const KvInputs in = kv_inputs(shape);
        check_rows(
            "qkv " + shape.name(), shape.tokens(),
            [&](const Ops& ops, int threads, const Rows& rows) {
                return KvPool(ops, shape, in, 3).run_qkv(rows, threads);
            },
            shape.numerics());
    }
}

// One of `parts` ranks: its heads, their rows of the weights and its part of the norms.
struct PartOfHeads {
    KvCase shape;
    KvInputs in;
    WideNorm norms[2];
    int q_first = 0;
};
PartOfHeads part_of_heads(const KvCase& whole, const KvInputs& all, int part, int parts) {
    const auto heads_from = [&](int p) { return static_cast<int>(leaf_begin(whole.q_heads, p * kLeafCount / parts)); };
    const int group = whole.q_heads / whole.kv_heads;
    const int q_first = heads_from(part), q_end = heads_from(part + 1);
    const int kv_first = q_first / group, kv_end = (q_end - 1) / group + 1;
    PartOfHeads own{whole, all, {}, q_first};
    if (q_first == q_end) return own;
    own.shape.q_heads = q_end - q_first;
    own.shape.kv_heads = kv_end - kv_first;
    Rows rows;
    const auto take = [&](int first, int count) {
        for (int i = 0; i < count * whole.head_dim; ++i) rows.push_back(first * whole.head_dim + i);
    };
    take(q_first, own.shape.q_heads);
    take(whole.q_heads + kv_first, own.shape.kv_heads);
    take(whole.q_heads + whole.kv_heads + kv_first, own.shape.kv_heads);
    own.in.weights = stored(gather(all.weights.values, rows, static_cast<std::size_t>(whole.hidden)), DType::f32);
    own.in.bias = gather(all.bias, rows, 1);
    const auto norm = [&](int heads, int first, const Floats& weight) {
        const LeafShare share = leaf_share(heads, whole.head_dim, part, parts);
        WideNorm wide{.weight = weight.data() + first * whole.head_dim,
                      .columns = heads * whole.head_dim,
                      .cut = share.cut,
                      .first = share.k_begin - first * whole.head_dim};
        for (int i = 0; i < kLeafCount; ++i)
            if (leaf_begin(heads, i) < leaf_begin(heads, i + 1)) wide.present |= 1U << i;
        return wide;
    };
    own.norms[0] = norm(whole.q_heads, q_first, all.q_norm);
    own.norms[1] = norm(whole.kv_heads, kv_first, all.k_norm);
    return own;
}

TEST_CASE("qkv: norms over all heads are the same on any number of ranks") {
    const KvCase shapes[] = {{6, 3, 10, 10, DType::f32, {23}, DType::f32, false, true, true},
                             {4, 2, 16, 16, DType::f32, {9}, DType::f32, false, false, true},
                             {16, 16, 8, 8, DType::f32, {5}, DType::f32, false, false, true}};
    for (const KvCase& shape : shapes) {
        const KvInputs all = kv_inputs(shape);
        const Rows tokens = all_rows(shape.tokens());
        for (const Ops* ops : runnable_ops()) {
            const Floats expected = KvPool(*ops, shape, all, 3).run_qkv(tokens, 2);
            for (const int parts : {2, 4, 8}) {
                INFO(shape.name() << ", " << ops->name << ", " << parts << " ranks");
                Floats squares(tokens.size() * 2 * kLeafCount, NAN);
                std::vector<Floats> qkv(static_cast<std::size_t>(parts));
                for (const bool summed : {false, true}) {
                    for (int part = 0; part < parts; ++part) {
                        const PartOfHeads own = part_of_heads(shape, all, part, parts);
                        if (own.norms[0].weight == nullptr) continue;
                        Floats& kept = qkv[static_cast<std::size_t>(part)];
                        kept.resize(tokens.size() * static_cast<std::size_t>(own.shape.columns()));
                        const Floats q = KvPool(*ops, own.shape, own.in, 3)
                                             .run_qkv_once(tokens, 2, kept, own.norms, squares.data(), summed);
                        if (!summed) continue;
                        for (const int token : tokens) {
                            const auto width = static_cast<std::size_t>(own.shape.q_columns());
                            REQUIRE(same_bits(
                                q.data() + static_cast<std::size_t>(token) * width,
                                expected.data() + token * shape.q_columns() + own.q_first * shape.head_dim, width));
                        }
                    }
                }
            }
        }
    }
}

TEST_CASE("qkv and attention: chunks, lone rows, permuted blocks and threads give the whole's bits") {
    for (const KvCase& shape : kv_cases()) {
        const KvInputs in = kv_inputs(shape);
        const KvPool judge(shape.judge(), shape, in, 5);
        const Floats q = judge.run_qkv(all_rows(shape.tokens()), 1);
        const Floats expected = judge.run_attention(q, judge.whole_spans(), 1);
        for (const float value : expected) REQUIRE(value == value);

        for (const Ops* ops : runnable_ops(shape.numerics())) {
            INFO(shape.name() << ", " << ops->name);
            for (const int threads : {1, 2, 3}) {
                const KvPool pool(*ops, shape, in, 100 + static_cast<std::uint64_t>(threads));
                REQUIRE(same_bits(pool.run_qkv(all_rows(shape.tokens()), threads), q));
                REQUIRE(same_bits(pool.run_attention(q, pool.whole_spans(), threads), expected));
            }
            // Keys arrive in chunks of other sizes than the queries are asked in.
            const KvPool pool(*ops, shape, in, 200);
            Random random(shape.seed + 9);
            for (const auto& [first, count] : pool.whole_spans()) {
                for (int at = 0; at < count;) {
                    const int rows = std::min(random.between(1, 37), count - at);
                    Rows chunk = all_rows(rows);
                    for (int& token : chunk) token += first + at;
                    pool.run_qkv(chunk, 1 + rows % 3);
                    at += rows;
                }
            }
            std::vector<std::pair<int, int>> chunks;
            Rows order;
            for (const auto& [first, count] : pool.whole_spans()) {
                for (int at = 0; at < count;) {
                    const int rows = std::min(random.between(1, 45), count - at);
                    chunks.push_back({first + at, rows});
                    at += rows;
                }
            }
            for (int i = static_cast<int>(chunks.size()) - 1; i > 0; --i)
                std::swap(chunks[i], chunks[random.between(0, i)]);
            for (const auto& [first, count] : chunks) {
                for (int i = 0; i < count; ++i) order.push_back(first + i);
            }
            const auto columns = static_cast<std::size_t>(shape.q_columns());
            REQUIRE(same_bits(pool.run_attention(q, chunks, 2), gather(expected, order, columns)));
            for (int token = 0; token < shape.tokens(); token += 1 + token / 7) {
                REQUIRE(
                    same_bits(pool.run_attention(q, {{token, 1}}, 1 + token % 3), gather(expected, {token}, columns)));
            }
        }
    }
}

// Many sequences with a row or two each, as in decode: their heads are taken together, a few at a time, beside spans
// that are too long for that.
TEST_CASE("attention of many short spans, alone and beside long ones, gives the whole's bits") {
    for (const KvCase& shape : kv_cases()) {
        const KvInputs in = kv_inputs(shape);
        const KvPool judge(shape.judge(), shape, in, 5);
        const Floats q = judge.run_qkv(all_rows(shape.tokens()), 1);
        const Floats expected = judge.run_attention(q, judge.whole_spans(), 1);
        for (const int rows_max : {1, 3, 40}) {
            std::vector<std::pair<int, int>> spans;
            Rows order;
            Random random(shape.seed + static_cast<std::uint64_t>(rows_max));
            for (const auto& [first, count] : judge.whole_spans()) {
                for (int at = 0; at < count;) {
                    const int most = random.between(0, 5) == 0 ? rows_max : std::min(rows_max, 3);
                    const int rows = std::min(random.between(1, most), count - at);
                    spans.push_back({first + at, rows});
                    for (int i = 0; i < rows; ++i) order.push_back(first + at + i);
                    at += rows;
                }
            }
            for (const Ops* ops : runnable_ops(shape.numerics())) {
                const KvPool pool(*ops, shape, in, 7);
                pool.run_qkv(all_rows(shape.tokens()), 1);
                for (const int threads : {1, 2, 3}) {
                    INFO(shape.name() << ", " << ops->name << ", " << spans.size() << " spans, " << threads
                                      << " threads");
                    REQUIRE(same_bits(pool.run_attention(q, spans, threads),
                                      gather(expected, order, static_cast<std::size_t>(shape.q_columns()))));
                }
            }
        }
    }
}

// The scheduler hands out blocks again that a window has passed: whatever stands there, here NaN, must not matter.
TEST_CASE("attention with a window: blocks that no row of a span sees may be anyone's") {
    for (const KvCase& shape : kv_cases()) {
        if (shape.window == 0) continue;
        const KvInputs in = kv_inputs(shape);
        const KvPool judge(shape.judge(), shape, in, 5);
        const Floats q = judge.run_qkv(all_rows(shape.tokens()), 1);
        const Floats expected = judge.run_attention(q, judge.whole_spans(), 1);
        for (const Ops* ops : runnable_ops(shape.numerics())) {
            for (const int rows : {1, 3, 40}) {
                INFO(shape.name() << ", " << ops->name << ", the last " << rows << " rows");
                KvPool pool(*ops, shape, in, 7);
                pool.run_qkv(all_rows(shape.tokens()), 1);
                std::vector<std::pair<int, int>> spans;
                Rows order;
                for (int s = 0; s < static_cast<int>(shape.lengths.size()); ++s) {
                    const int length = shape.lengths[static_cast<std::size_t>(s)];
                    const int first = std::max(0, length - rows);
                    spans.push_back({shape.begin(s) + first, length - first});
                    for (int row = first; row < length; ++row) order.push_back(shape.begin(s) + row);
                    for (int b = 0; (b + 1) * kKvBlockTokens <= first - shape.window + 1; ++b)
                        pool.blocks[static_cast<std::size_t>(s)][static_cast<std::size_t>(b)] = pool.nobodys;
                }
                REQUIRE(same_bits(pool.run_attention(q, spans, 2),
                                  gather(expected, order, static_cast<std::size_t>(shape.q_columns()))));
            }
        }
    }
}

// Heads that are sliced over ranks need not begin at a group's first query head.
TEST_CASE("attention with an explicit map of query heads to kv heads") {
    const KvCase shape{5, 3, 16, 16, DType::bf16, {90, 20}};
    const KvInputs in = kv_inputs(shape);
    const std::vector<std::int32_t> map{2, 0, 0, 1, 2};
    const KvPool judge(shape.judge(), shape, in, 5);
    const Floats q = judge.run_qkv(all_rows(shape.tokens()), 1);
    const Floats expected = judge.run_attention(q, judge.whole_spans(), 1, map.data());
    // The same with one query head per kv head, three runs of it.
    for (int head = 0; head < shape.q_heads; ++head) {
        KvCase single = shape;
        single.q_heads = 1;
        const KvPool& pool = judge;
        KvPool alone(single.judge(), single, in, 5);
        alone.layer = pool.layer;
        alone.blocks = pool.blocks;
        Floats q_head, expected_head;
        for (int token = 0; token < shape.tokens(); ++token) {
            const auto at = static_cast<std::ptrdiff_t>(token * shape.q_columns() + head * shape.head_dim);
            q_head.insert(q_head.end(), q.begin() + at, q.begin() + at + shape.head_dim);
            expected_head.insert(expected_head.end(), expected.begin() + at, expected.begin() + at + shape.head_dim);
        }
        REQUIRE(same_bits(alone.run_attention(q_head, alone.whole_spans(), 1, &map[head]), expected_head));
    }
    for (const Ops* ops : runnable_ops(shape.numerics())) {
        INFO(ops->name);
        for (const int threads : {1, 2, 3}) {
            const KvPool pool(*ops, shape, in, 77);
            pool.run_qkv(all_rows(shape.tokens()), threads);
            REQUIRE(same_bits(pool.run_attention(q, pool.whole_spans(), threads, map.data()), expected));
        }
    }
}

// Rule R5 counts positions, not rows: a sequence's first tokens give the same output whatever follows or stands beside
// them.
TEST_CASE("attention depends on the tokens before a row alone") {
    for (const DType dtype : {DType::bf16, DType::int8}) {
        const KvCase longer{2, 1, 16, 16, dtype, {140, 9}};
        KvCase shorter = longer;
        shorter.lengths = {71};
        const KvInputs in = kv_inputs(longer);
        for (const Ops* ops : runnable_ops(longer.numerics())) {
            const KvPool all(*ops, longer, in, 1);
            const Floats q = all.run_qkv(all_rows(149), 1);
            const Floats whole = all.run_attention(q, all.whole_spans(), 1);
            const KvPool part(*ops, shorter, in, 2);
            const Floats q_part = part.run_qkv(all_rows(71), 1);
            INFO(ops->name << ", " << name_of(dtype));
            REQUIRE(same_bits(part.run_attention(q_part, part.whole_spans(), 1), gather(whole, all_rows(71), 32)));
        }
    }
}

// Codes of 8 bits for queries, keys, values and weights: right to about one in a hundred.
TEST_CASE("attention over a KV cache of int8 is near that over one of f32") {
    for (const int head_dim : {16, 64, 128}) {
        KvCase shape{4, 2, head_dim, 16, DType::f32, {150, 31}};
        const KvInputs in = kv_inputs(shape);
        const Ops& reference = select_backend("reference", "auto", "int8");
        const auto run = [&](DType dtype) {
            shape.kv_dtype = dtype;
            const KvPool pool(reference, shape, in, 5);
            return pool.run_attention(pool.run_qkv(all_rows(shape.tokens()), 1), pool.whole_spans(), 1);
        };
        const Floats exact = run(DType::f32);
        const Floats codes = run(DType::int8);
        double error = 0;
        double square = 0;
        for (std::size_t i = 0; i < exact.size(); ++i) {
            error += (codes[i] - exact[i]) * (codes[i] - exact[i]);
            square += exact[i] * exact[i];
        }
        INFO(head_dim << " dimensions");
        CHECK(std::sqrt(error / square) < 0.02);
        CHECK(error > 0);
    }
}

}  // namespace
}  // namespace argosy::test
