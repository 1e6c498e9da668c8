// Rules R2 and R4: sums that are cut over ranks. Joined parts must have the bits of the uncut sum, whatever the cut.
#include <optional>

#include "tests/kernels/op_cases.hpp"

namespace argosy::test {
namespace {

// A product over `units` * `per_unit` columns, by group.
struct LeafCase {
    std::int64_t units, per_unit, n;
    DType dtype;
    bool biased = false;
    std::int64_t k() const { return units * per_unit; }
};
std::vector<LeafCase> leaf_cases() {
    std::vector<LeafCase> list;
    for (const std::int64_t units : {1, 2, 3, 4, 5, 7, 8, 9, 13, 100}) {
        for (const std::int64_t per_unit : {1, 8, 13}) {
            list.push_back(
                {units, per_unit, 1 + units * 5 % 37, units % 2 == 0 ? DType::bf16 : DType::f32, per_unit == 8});
        }
    }
    return list;
}

// One rank's part of the product of the rows named; nothing if it owns no column.
std::optional<Floats> rank_part(const Ops& ops, const LeafCase& shape, const std::vector<Stored>& weights,
                                const Floats& x, const std::vector<std::int32_t>& group_begin, int part, int parts,
                                int threads) {
    const LeafShare share = leaf_share(shape.units, shape.per_unit, part, parts);
    const std::int64_t k = share.k_end - share.k_begin;
    if (k == 0) return std::nullopt;
    std::vector<Packed> packed;
    std::vector<WeightMatrix> matrices;
    for (const Stored& weight : weights) {
        packed.push_back(pack(ops, {shape.n, k, shape.dtype, share.cut}, weight, shape.k(), share.k_begin));
        matrices.push_back(packed.back().matrix);
    }
    const std::int64_t rows = group_begin.back();
    Floats slice;
    for (std::int64_t row = 0; row < rows; ++row) {
        const auto at = x.begin() + row * shape.k() + share.k_begin;
        slice.insert(slice.end(), at, at + k);
    }
    Floats out(static_cast<std::size_t>(rows * shape.n));
    const auto groups = static_cast<int>(weights.size());
    const Biases bias(80, groups, shape.n);
    ops.leaf_projection({.groups = groups,
                         .group_begin = group_begin.data(),
                         .weight = matrices.data(),
                         .x = slice.data(),
                         .out = out.data(),
                         .bias = shape.biased && share.k_begin == 0 ? bias.pointers.data() : nullptr},
                        {.threads = threads});
    return out;
}

Floats join(const Ops& ops, const LeafCase& shape, const std::vector<std::optional<Floats>>& parts,
            const Floats* residual, std::size_t count, int threads) {
    std::vector<const float*> partial;
    for (const auto& part : parts) partial.push_back(part ? part->data() : nullptr);
    Floats out = residual != nullptr ? *residual : Floats(count);
    ops.leaf_join(
        {static_cast<int>(count) / static_cast<int>(shape.n), static_cast<int>(shape.n), static_cast<int>(parts.size()),
         partial.data(), residual != nullptr ? out.data() : nullptr, out.data()},
        {.threads = threads});
    return out;
}

TEST_CASE("leaf_projection: any rows, any groups") {
    for (const LeafCase& shape : leaf_cases()) {
        const int count = 41;
        const int group_end[3] = {9, 9, 41};
        std::vector<Stored> weights;
        for (std::uint64_t g = 0; g < 3; ++g)
            weights.push_back(random_weights(50 + g, shape.n, shape.k(), shape.dtype));
        const Floats x = Random(14).reals(static_cast<std::size_t>(count * shape.k()));
        check_rows("leaf_projection " + std::to_string(shape.units) + " units", count,
                   [&](const Ops& ops, int threads, const Rows& rows) {
                       std::vector<std::int32_t> begin{0};
                       for (const int end : group_end)
                           begin.push_back(static_cast<std::int32_t>(
                               std::count_if(rows.begin(), rows.end(), [&](int r) { return r < end; })));
                       return *rank_part(ops, shape, weights, gather(x, rows, static_cast<std::size_t>(shape.k())),
                                         begin, 0, 1, threads);
                   });
    }
}

TEST_CASE("leaf_projection and leaf_join: tp 1, 2, 4 and 8 give the same bits, ranks that own nothing included") {
    for (const LeafCase& shape : leaf_cases()) {
        const int rows = 5;
        const std::vector<Stored> weights{random_weights(15, shape.n, shape.k(), shape.dtype)};
        const Floats x = Random(16).reals(static_cast<std::size_t>(rows * shape.k()));
        const std::size_t count = static_cast<std::size_t>(rows * shape.n);
        const Floats residual = Random(17).reals(count);
        const std::vector<std::int32_t> begin{0, rows};
        const auto sum = [&](const Ops& ops, int parts, const Floats* start, int threads) {
            std::vector<std::optional<Floats>> list;
            for (int part = 0; part < parts; ++part)
                list.push_back(rank_part(ops, shape, weights, x, begin, part, parts, threads));
            return join(ops, shape, list, start, count, threads);
        };
        const Floats expected = sum(reference_ops(), 1, &residual, 1);
        const Floats expected_bare = sum(reference_ops(), 1, nullptr, 1);
        for (const Ops* ops : runnable_ops()) {
            for (const int parts : {1, 2, 4, 8}) {
                INFO(shape.units << " units of " << shape.per_unit << ", " << ops->name << ", tp " << parts);
                REQUIRE(same_bits(sum(*ops, parts, &residual, 1 + parts % 3), expected));
                REQUIRE(same_bits(sum(*ops, parts, nullptr, 1 + parts % 3), expected_bare));
            }
        }
    }
}

TEST_CASE("leaf_join: absent parts are passed by, not added as zero") {
    const LeafCase shape{8, 1, 19, DType::f32};
    const std::size_t count = 19 * 3;
    const Floats minus_zero(count, -0.0F);
    for (const Ops* ops : runnable_ops()) {
        INFO(ops->name);
        REQUIRE(same_bits(join(*ops, shape, {std::nullopt, minus_zero, std::nullopt, std::nullopt}, nullptr, count, 1),
                          minus_zero));
        REQUIRE(same_bits(join(*ops, shape, {std::nullopt, std::nullopt}, &minus_zero, count, 1), minus_zero));
        REQUIRE(same_bits(join(*ops, shape, {std::nullopt}, nullptr, count, 1), Floats(count, 0.0F)));
    }
}

TEST_CASE("leaf_join adds the residual last") {
    // 1 + (2^-24 + 2^-24) is above 1; (1 + 2^-24) + 2^-24 is not.
    const LeafCase shape{8, 1, 1, DType::f32};
    const Floats one{1.0F};
    for (const Ops* ops : runnable_ops())
        REQUIRE(join(*ops, shape, {Floats{0x1p-24F}, Floats{0x1p-24F}}, &one, 1, 1)[0] == 1.0F + 0x1p-23F);
}

// ---- combine
// -------------------------------------------------------------------------------------------------------------------

struct Postfix {
    std::vector<std::int32_t> begin{0}, source;
    std::vector<std::uint8_t> merges;
    Floats weight;
};

// Appends the tree over the expert ids in [low, low + size) that `ids` holds; true if there is any.
bool append_tree(Postfix& out, const std::vector<int>& ids, int low, int size, const std::function<void(int)>& push) {
    if (size == 1) {
        if (std::find(ids.begin(), ids.end(), low) == ids.end()) return false;
        push(low);
        out.merges.push_back(0);
        return true;
    }
    const bool left = append_tree(out, ids, low, size / 2, push);
    const bool right = append_tree(out, ids, low + size / 2, size / 2, push);
    if (left && right) ++out.merges.back();
    return left || right;
}

// The same tree by its definition, for one column.
std::optional<float> tree_value(const std::vector<std::pair<int, float>>& values, int low, int size) {
    if (size == 1) {
        for (const auto& [id, value] : values) {
            if (id == low) return value;
        }
        return std::nullopt;
    }
    const auto left = tree_value(values, low, size / 2);
    const auto right = tree_value(values, low + size / 2, size / 2);
    if (left && right) return *left + *right;
    return left ? left : right;
}

TEST_CASE("combine: rows of which ranks hold leaves apart give the bits of joining them first") {
    const int rows = 23, columns = 101, top_k = 3, sources = rows * top_k;
    Random random(77);
    const auto width = static_cast<std::size_t>(columns);
    for (const int parts : {1, 2, 4, 8}) {
        for (const unsigned present : {255U, 0x5aU, 0x81U}) {
            std::vector<Floats> held;
            std::vector<std::vector<std::int32_t>> order;
            std::vector<const float*> joined;
            std::vector<Floats> in_order;
            for (int p = 0; p < parts; ++p) {
                held.push_back(random.reals(static_cast<std::size_t>(sources) * width));
                std::vector<std::int32_t> at(sources);
                std::iota(at.begin(), at.end(), 0);
                if (p % 3 != 1) std::rotate(at.begin(), at.begin() + 5 + p, at.end());
                in_order.push_back(gather(held.back(), Rows(at.begin(), at.end()), width));
                order.push_back(at);
            }
            const unsigned mask = (present & ((1U << parts) - 1)) == 0 ? 1U : present;
            for (int p = 0; p < parts; ++p) joined.push_back((mask >> p & 1U) != 0 ? in_order[p].data() : nullptr);
            Floats y(static_cast<std::size_t>(sources) * width);
            reference_ops().leaf_join({sources, columns, parts, joined.data(), nullptr, y.data()}, {});
            const auto combine = [&](const Ops& ops, int threads, const Rows& some, bool apart) {
                std::vector<std::int32_t> begin{0}, source;
                std::vector<float> weight;
                std::vector<std::uint8_t> merges;
                for (const int row : some) {
                    for (int i = 0; i < top_k; ++i) {
                        source.push_back(row * top_k + i);
                        weight.push_back(0.1F * static_cast<float>(1 + (row + i) % 7));
                        merges.push_back(i == 0 ? 0 : 1);
                    }
                    begin.push_back(static_cast<std::int32_t>(source.size()));
                }
                std::vector<const float*> partial;
                std::vector<const std::int32_t*> partial_row;
                for (int p = 0; p < parts; ++p) {
                    partial.push_back((mask >> p & 1U) != 0 ? held[p].data() : nullptr);
                    partial_row.push_back(p % 3 != 1 ? order[p].data() : nullptr);
                }
                Floats out(some.size() * width);
                CombineArgs args{
                    static_cast<int>(some.size()), columns, begin.data(), source.data(), weight.data(), merges.data(),
                    apart ? nullptr : y.data(),    nullptr, out.data()};
                if (apart) {
                    args.parts = parts;
                    args.partial = partial.data();
                    args.partial_row = partial_row.data();
                }
                ops.combine(args, {.threads = threads});
                return out;
            };
            INFO(parts << " parts, present " << mask);
            REQUIRE(same_bits(combine(reference_ops(), 1, all_rows(rows), true),
                              combine(reference_ops(), 1, all_rows(rows), false)));
            check_rows("combine of parts", rows, [&](const Ops& ops, int threads, const Rows& some) {
                return combine(ops, threads, some, true);
            });
        }
    }
}

TEST_CASE("combine: the tree over expert ids, any rows, also split over ranks") {
    for (const auto& [experts, top_k, columns] :
         {std::tuple{8, 2, 17}, {8, 3, 64}, {16, 16, 5}, {128, 8, 33}, {4, 1, 40}}) {
        const int rows = 29;
        Random random(static_cast<std::uint64_t>(experts + top_k));
        std::vector<std::vector<int>> chosen(rows);
        for (auto& ids : chosen) {
            while (static_cast<int>(ids.size()) < top_k) {
                const int id = random.between(0, experts - 1);
                if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
            }
        }
        chosen[rows / 2].clear();  // a row that this rank has no expert of
        const auto width = static_cast<std::size_t>(columns);
        const Floats y = random.reals(static_cast<std::size_t>(rows * experts) * width);
        const Floats gate = random.reals(static_cast<std::size_t>(rows * experts), 0, 1);
        const Floats residual = random.reals(static_cast<std::size_t>(rows) * width);
        for (const bool weighted : {false, true}) {
            for (const bool with_residual : {false, true}) {
                const RunRows run = [&](const Ops& ops, int threads, const Rows& some) {
                    Postfix tree;
                    for (const int row : some) {
                        append_tree(tree, chosen[row], 0, experts, [&](int id) {
                            tree.source.push_back(row * experts + id);
                            tree.weight.push_back(gate[row * experts + id]);
                        });
                        tree.begin.push_back(static_cast<std::int32_t>(tree.source.size()));
                    }
                    Floats out = gather(residual, some, width);
                    ops.combine({static_cast<int>(some.size()), columns, tree.begin.data(), tree.source.data(),
                                 weighted ? tree.weight.data() : nullptr, tree.merges.data(), y.data(),
                                 with_residual ? out.data() : nullptr, out.data()},
                                {.threads = threads});
                    return out;
                };
                check_rows("combine", rows, run);
                const Floats got = run(reference_ops(), 1, all_rows(rows));
                for (int row = 0; row < rows; ++row) {
                    for (std::size_t i = 0; i < width; ++i) {
                        std::vector<std::pair<int, float>> values;
                        for (const int id : chosen[row]) {
                            const float value = y[static_cast<std::size_t>(row * experts + id) * width + i];
                            values.push_back({id, weighted ? gate[row * experts + id] * value : value});
                        }
                        const float start = residual[row * width + i];
                        const auto tree = tree_value(values, 0, experts);
                        const float expected =
                            tree ? (with_residual ? start + *tree : *tree) : (with_residual ? start : 0.0F);
                        REQUIRE(same_bits(&got[row * width + i], &expected, 1));
                    }
                }
            }
        }
    }
}

}  // namespace
}  // namespace argosy::test
