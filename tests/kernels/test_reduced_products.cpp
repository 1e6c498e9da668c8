// Products that are not of f32 (rules R9 and R11): every backend against the reference's bits, for any rows and threads
// and in any cut over ranks.
#include <optional>

#include "kernels/base/leaf_tree.hpp"
#include "tests/kernels/op_cases.hpp"

namespace argosy::test {
namespace {

constexpr std::string_view kModes[] = {"bf16", "bf16-amx", "int8"};

// The same as check_rows, for the tables of one mode.
void check_rows_of(std::string_view numerics, const std::string& what, int rows, const RunRows& run) {
    const Ops& reference = select_backend("reference", "auto", numerics);
    const Floats expected = run(reference, 1, all_rows(rows));
    const std::size_t width = expected.size() / static_cast<std::size_t>(rows);
    const Rows last{rows - 1};
    Rows odd;
    for (int row = 1; row < rows; row += 2) odd.push_back(row);
    for (const Ops* ops : runnable_ops(numerics)) {
        REQUIRE(ops->numerics_id == reference.numerics_id);
        for (const int threads : {1, 2, 3}) {
            INFO(numerics << " " << what << ", " << ops->name << ", " << threads << " threads, " << rows << " rows");
            REQUIRE(same_bits(run(*ops, threads, all_rows(rows)), expected));
        }
        INFO(numerics << " " << what << ", " << ops->name << ", parts of " << rows << " rows");
        REQUIRE(same_bits(run(*ops, 2, last), gather(expected, last, width)));
        if (!odd.empty()) REQUIRE(same_bits(run(*ops, 1, odd), gather(expected, odd, width)));
    }
}

constexpr std::pair<int, int> kShapes[] = {{1, 1},    {3, 17},    {16, 128},  {37, 40},   {65, 129},
                                           {40, 255}, {131, 260}, {200, 515}, {33, 1024}, {300, 384}};

void check_logits(std::string_view numerics) {
    for (const auto& [n, k] : kShapes) {
        for (const DType source : {DType::bf16, DType::f32}) {
            const Stored weights = random_weights(9, n, k, source);
            const MatrixSpec spec{n, k, kept_as(select_backend("reference", "auto", numerics), source), {}};
            for (const int count : {1, 2, 3, 5, 7, 8, 13, 61}) {
                const Floats x = Random(8).reals(static_cast<std::size_t>(count * k), -3, 3);
                check_rows_of(numerics, "logits", count, [&](const Ops& ops, int threads, const Rows& rows) {
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

TEST_CASE("logits of reduced products, also into rows of a wider array") {
    for (const std::string_view numerics : kModes) check_logits(numerics);
}

void check_gate_up(std::string_view numerics) {
    for (const auto& [n, k] : {std::pair{1, 5}, {24, 130}, {43, 70}, {96, 257}}) {
        for (const auto& [indexed, biased] : {std::pair{false, false}, {true, false}, {false, true}, {true, true}}) {
            const int groups = 5;
            const int count = 61;
            const MatrixSpec spec{n, k, kept_as(select_backend("reference", "auto", numerics), DType::bf16), {}};
            const Floats x = Random(10).reals(static_cast<std::size_t>(count * k), -2, 2);
            std::vector<Stored> gate, up;
            for (std::uint64_t g = 0; g < groups; ++g) {
                gate.push_back(random_weights(20 + g, n, k, DType::bf16));
                up.push_back(random_weights(40 + g, n, k, DType::bf16));
            }
            const Biases gate_bias(60, groups, n), up_bias(70, groups, n);
            const int group_end[groups] = {7, 7, 8, 40, 61};
            check_rows_of(numerics, "gate_up", count, [&](const Ops& ops, int threads, const Rows& rows) {
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
                ops.gate_up({.groups = groups,
                             .group_begin = begin.data(),
                             .row_index = indexed ? index.data() : nullptr,
                             .gate = gates.data(),
                             .up = ups.data(),
                             .x = in.data(),
                             .h = out.data(),
                             .x_rows = x_rows,
                             .scratch = scratch.data(),
                             .gate_bias = biased ? gate_bias.pointers.data() : nullptr,
                             .up_bias = biased ? up_bias.pointers.data() : nullptr,
                             .swiglu_limit = biased ? 1.5F : 0},
                            {.threads = threads});
                return out;
            });
        }
    }
}

TEST_CASE("gate_up of reduced products: groups, empty ones too, and rows named by an index") {
    for (const std::string_view numerics : kModes) check_gate_up(numerics);
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
    const MatrixSpec spec{shape.n, k, kept_as(ops, DType::bf16), share.cut};
    const Packed packed = pack(ops, spec, weights, shape.k(), share.k_begin);
    Floats slice;
    for (std::int64_t row = 0; row < rows; ++row) {
        const auto at = x.begin() + row * shape.k() + share.k_begin;
        slice.insert(slice.end(), at, at + k);
    }
    Floats out(static_cast<std::size_t>(rows * shape.n));
    Scratch scratch(ops, spec, rows);
    const std::int32_t begin[2] = {0, rows};
    const Biases bias(80, 1, shape.n);
    const bool biased = rows % 2 == 1 && share.k_begin == 0;  // the first leaf present is here
    ops.leaf_projection({.groups = 1,
                         .group_begin = begin,
                         .weight = &packed.matrix,
                         .x = slice.data(),
                         .out = out.data(),
                         .scratch = scratch.data(),
                         .bias = biased ? bias.pointers.data() : nullptr},
                        {.threads = threads});
    return out;
}

void check_leaf_projection(std::string_view numerics) {
    for (const LeafCase& shape : {LeafCase{1, 8, 3},
                                  {3, 13, 20},
                                  {4, 64, 33},
                                  {16, 64, 40},
                                  {9, 200, 17},
                                  {100, 1, 7},
                                  {512, 1, 130},
                                  {1500, 1, 24}}) {
        for (const int rows : {1, 5, 9, 23, 44}) {
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
            const Floats expected = sum(select_backend("reference", "auto", numerics), 1, 1);
            for (const Ops* ops : runnable_ops(numerics)) {
                for (const int parts : {1, 2, 4, 8}) {
                    INFO(numerics << " " << shape.units << " units of " << shape.per_unit << ", " << ops->name
                                  << ", tp " << parts);
                    REQUIRE(same_bits(sum(*ops, parts, 1 + parts % 3), expected));
                }
            }
        }
    }
}

TEST_CASE("leaf_projection of reduced products: tp 1, 2, 4 and 8 give the same bits on every backend") {
    for (const std::string_view numerics : kModes) check_leaf_projection(numerics);
}

}  // namespace
}  // namespace argosy::test
