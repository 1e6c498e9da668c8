// int8 products (rule R9): codes, blocks, and every backend against the reference's bits, in any cut over ranks.
#include <cmath>
#include <optional>

#include "kernels/base/leaf_tree.hpp"
#include "kernels/quant/int8.hpp"
#include "tests/kernels/op_cases.hpp"

namespace argosy::test {
namespace {

TEST_CASE("int8 codes: nearest, ties to even, never beyond 127, zeros for what is too small") {
    Random random(1);
    for (int round = 0; round < 2000; ++round) {
        const int count = random.between(1, kInt8Block);
        const float scale = std::ldexp(1.0F, random.between(-90, 90));
        Floats x = random.reals(static_cast<std::size_t>(count), -scale, scale);
        if (round % 7 == 0) x[0] = -scale;
        std::int8_t code[kInt8Block];
        const float step = int8_quantise(x.data(), count, code);
        float largest = 0;
        for (const float value : x) largest = std::max(largest, std::fabs(value));
        REQUIRE(step == largest / 127.0F);
        bool reached = false;
        for (int i = 0; i < count; ++i) {
            REQUIRE(code[i] >= -127);
            reached = reached || std::abs(code[i]) == 127;
            // Half a step, and what x * (127 / largest) may be off by.
            REQUIRE(std::fabs(static_cast<double>(x[i]) - static_cast<double>(code[i]) * step) <= 0.50002 * step);
        }
        REQUIRE(reached);
    }
    const float ties[] = {127, 2.5F, 3.5F, -2.5F, -0.5F, 0.5F, 1.5F};
    std::int8_t code[7];
    REQUIRE(int8_quantise(ties, 7, code) == 1.0F);
    const std::int8_t even[] = {127, 2, 4, -2, 0, 0, 2};
    for (int i = 0; i < 7; ++i) CHECK(code[i] == even[i]);
    const float tiny[] = {0x1p-101F, -0x1p-126F, 0};
    REQUIRE(int8_quantise(tiny, 3, code) == 0.0F);
    for (int i = 0; i < 3; ++i) CHECK(code[i] == 0);
}

// The same as check_rows, for the int8 tables.
void check_int8_rows(const std::string& what, int rows, const RunRows& run) {
    const Floats expected = run(reference_int8_ops(), 1, all_rows(rows));
    const std::size_t width = expected.size() / static_cast<std::size_t>(rows);
    const Rows last{rows - 1};
    Rows odd;
    for (int row = 1; row < rows; row += 2) odd.push_back(row);
    for (const Ops* ops : runnable_ops("int8")) {
        REQUIRE(ops->numerics_id == reference_int8_ops().numerics_id);
        for (const int threads : {1, 2, 3}) {
            INFO(what << ", " << ops->name << ", " << threads << " threads, " << rows << " rows");
            REQUIRE(same_bits(run(*ops, threads, all_rows(rows)), expected));
        }
        INFO(what << ", " << ops->name << ", parts of " << rows << " rows");
        REQUIRE(same_bits(run(*ops, 2, last), gather(expected, last, width)));
        if (!odd.empty()) REQUIRE(same_bits(run(*ops, 1, odd), gather(expected, odd, width)));
    }
}

constexpr std::pair<int, int> kShapes[] = {{1, 1},    {3, 17},    {16, 128},  {37, 40},   {65, 129},
                                           {40, 255}, {131, 260}, {200, 515}, {33, 1024}, {300, 384}};

TEST_CASE("int8 logits, also into rows of a wider array") {
    for (const auto& [n, k] : kShapes) {
        for (const DType source : {DType::bf16, DType::f32}) {
            const Stored weights = random_weights(9, n, k, source);
            const MatrixSpec spec{n, k, DType::int8, {}};
            for (const int count : {1, 2, 3, 5, 7, 8, 13, 61}) {
                const Floats x = Random(8).reals(static_cast<std::size_t>(count * k), -3, 3);
                check_int8_rows("logits", count, [&](const Ops& ops, int threads, const Rows& rows) {
                    const Packed packed = pack(ops, spec, weights, k);
                    const Floats in = gather(x, rows, static_cast<std::size_t>(k));
                    Scratch scratch(ops, spec, static_cast<std::int64_t>(rows.size()));
                    const std::size_t stride = static_cast<std::size_t>(n) + 5;
                    Floats wide(rows.size() * stride, 42.0F);
                    ops.logits({static_cast<int>(rows.size()), in.data(), packed.matrix, wide.data(),
                                static_cast<std::int64_t>(stride), scratch.data()},
                               {.threads = threads});
                    Floats out;
                    for (std::size_t row = 0; row < rows.size(); ++row) {
                        const auto at = wide.begin() + static_cast<std::ptrdiff_t>(row * stride);
                        out.insert(out.end(), at, at + n);
                        REQUIRE(std::vector<float>(at + n, at + n + 5) == std::vector<float>(5, 42.0F));
                    }
                    return out;
                });
            }
        }
    }
}

TEST_CASE("int8 products are what their codes say, and near the exact ones") {
    const int n = 70, k = 600;
    const Stored weights = random_weights(11, n, k, DType::bf16);
    const Floats x = Random(12).reals(k, -2, 2);
    const MatrixSpec spec{n, k, DType::int8, {}};
    const Ops& ops = select_backend("cpu", "auto", "int8");
    const Packed packed = pack(ops, spec, weights, k);
    Scratch scratch(ops, spec, 1);
    Floats out(n);
    ops.logits({1, x.data(), packed.matrix, out.data(), n, scratch.data()}, {});
    double error = 0, size = 0;
    for (int i = 0; i < n; ++i) {
        double from_codes = 0, exact = 0;
        for (int begin = 0; begin < k; begin += kInt8Block) {
            const int count = std::min(kInt8Block, k - begin);
            std::int8_t x_code[kInt8Block], w_code[kInt8Block];
            const double x_scale = int8_quantise(x.data() + begin, count, x_code);
            const double w_scale = int8_quantise(weights.values.data() + i * k + begin, count, w_code);
            for (int j = 0; j < count; ++j) {
                from_codes += x_code[j] * x_scale * (w_code[j] * w_scale);
                exact += static_cast<double>(x[begin + j]) * weights.values[i * k + begin + j];
            }
        }
        CHECK(out[i] == Approx(from_codes).epsilon(1e-5).margin(1e-5));
        error += (out[i] - exact) * (out[i] - exact);
        size += exact * exact;
    }
    CHECK(std::sqrt(error / size) < 0.015);
    CHECK(error > 0);
}

TEST_CASE("int8 gate_up: groups, empty ones too, and rows named by an index") {
    for (const auto& [n, k] : {std::pair{1, 5}, {24, 130}, {43, 70}, {96, 257}}) {
        for (const bool indexed : {false, true}) {
            const int groups = 5;
            const int count = 61;
            const MatrixSpec spec{n, k, DType::int8, {}};
            const Floats x = Random(10).reals(static_cast<std::size_t>(count * k), -2, 2);
            std::vector<Stored> gate, up;
            for (std::uint64_t g = 0; g < groups; ++g) {
                gate.push_back(random_weights(20 + g, n, k, DType::bf16));
                up.push_back(random_weights(40 + g, n, k, DType::bf16));
            }
            const int group_end[groups] = {7, 7, 8, 40, 61};
            check_int8_rows("gate_up", count, [&](const Ops& ops, int threads, const Rows& rows) {
                std::vector<Packed> packed;
                std::vector<WeightMatrix> gates, ups;
                std::vector<std::int32_t> begin{0}, index;
                for (std::size_t g = 0; g < groups; ++g) {
                    packed.push_back(pack(ops, spec, gate[g], k));
                    gates.push_back(packed.back().matrix);
                    packed.push_back(pack(ops, spec, up[g], k));
                    ups.push_back(packed.back().matrix);
                    begin.push_back(static_cast<std::int32_t>(
                        std::count_if(rows.begin(), rows.end(), [&](int r) { return r < group_end[g]; })));
                }
                for (const int row : rows) index.push_back((row * 7) % count);
                const Floats in = indexed ? x : gather(x, rows, static_cast<std::size_t>(k));
                const int x_rows = indexed ? count : static_cast<int>(rows.size());
                Scratch scratch(ops, spec, x_rows);
                Floats out(rows.size() * static_cast<std::size_t>(n));
                ops.gate_up({groups, begin.data(), indexed ? index.data() : nullptr, gates.data(), ups.data(),
                             in.data(), out.data(), x_rows, scratch.data()},
                            {.threads = threads});
                return out;
            });
        }
    }
}

struct LeafCase {
    std::int64_t units, per_unit, n;
    std::int64_t k() const { return units * per_unit; }
};

// One rank's part of the product; nothing if it owns no column.
std::optional<Floats> rank_part(const Ops& ops, const LeafCase& shape, const Stored& weights, const Floats& x, int rows,
                                int part, int parts, int threads) {
    const LeafShare share = leaf_share(shape.units, shape.per_unit, part, parts);
    const std::int64_t k = share.k_end - share.k_begin;
    if (k == 0) return std::nullopt;
    const MatrixSpec spec{shape.n, k, DType::int8, share.cut};
    const Packed packed = pack(ops, spec, weights, shape.k(), share.k_begin);
    Floats slice;
    for (std::int64_t row = 0; row < rows; ++row) {
        const auto at = x.begin() + row * shape.k() + share.k_begin;
        slice.insert(slice.end(), at, at + k);
    }
    Floats out(static_cast<std::size_t>(rows * shape.n));
    Scratch scratch(ops, spec, rows);
    const std::int32_t begin[2] = {0, rows};
    ops.leaf_projection({1, begin, &packed.matrix, slice.data(), out.data(), scratch.data()}, {.threads = threads});
    return out;
}

TEST_CASE("int8 leaf_projection: tp 1, 2, 4 and 8 give the same bits on every backend") {
    for (const LeafCase& shape : {LeafCase{1, 8, 3},
                                  {3, 13, 20},
                                  {4, 64, 33},
                                  {16, 64, 40},
                                  {9, 200, 17},
                                  {100, 1, 7},
                                  {512, 1, 130},
                                  {1500, 1, 24}}) {
        for (const int rows : {1, 5, 9}) {
            const Stored weights = random_weights(15, shape.n, shape.k(), DType::bf16);
            const Floats x = Random(16).reals(static_cast<std::size_t>(rows * shape.k()));
            const auto sum = [&](const Ops& ops, int parts, int threads) {
                std::vector<std::optional<Floats>> list;
                for (int part = 0; part < parts; ++part)
                    list.push_back(rank_part(ops, shape, weights, x, rows, part, parts, threads));
                std::vector<const float*> partial;
                for (const auto& one : list) partial.push_back(one ? one->data() : nullptr);
                Floats out(static_cast<std::size_t>(rows * shape.n));
                ops.leaf_join({rows, static_cast<int>(shape.n), parts, partial.data(), nullptr, out.data()},
                              {.threads = threads});
                return out;
            };
            const Floats expected = sum(reference_int8_ops(), 1, 1);
            for (const Ops* ops : runnable_ops("int8")) {
                for (const int parts : {1, 2, 4, 8}) {
                    INFO(shape.units << " units of " << shape.per_unit << ", " << ops->name << ", tp " << parts);
                    REQUIRE(same_bits(sum(*ops, parts, 1 + parts % 3), expected));
                }
            }
        }
    }
}

}  // namespace
}  // namespace argosy::test
