// mxfp4 that products of int8 take as it is: the codes that its tables give are those of rule R9 over the decoded
// weights, and every op gives the bits that it gives with weights kept as int8.
#include <cmath>

#include "kernels/base/leaf_tree.hpp"
#include "kernels/quant/block_format.hpp"
#include "kernels/quant/fp8.hpp"
#include "kernels/quant/mxfp4_int8.hpp"
#include "tests/kernels/op_cases.hpp"

namespace argosy::test {
namespace {

using Bytes = std::vector<std::byte>;

std::uint8_t code_at(const std::byte* codes, int i) {
    return static_cast<std::uint8_t>(static_cast<unsigned>(codes[i / 2]) >> (i % 2 * 4) & 15U);
}

// A block of up to four groups against int8_quantise.
void check_block(const std::vector<std::uint8_t>& scales, const Bytes& codes) {
    const int groups = static_cast<int>(scales.size());
    float values[kInt8Block];
    for (int i = 0; i < groups * kMxfp4Block; ++i)
        values[i] =
            decode_e2m1(code_at(codes.data(), i)) * decode_e8m0(scales[static_cast<std::size_t>(i / kMxfp4Block)]);
    std::int8_t expected[kInt8Block];
    const float scale = int8_quantise(values, groups * kMxfp4Block, expected);
    const Mxfp4Block block = mxfp4_block(reinterpret_cast<const std::byte*>(scales.data()), codes.data(), groups);
    REQUIRE(block.scale == scale);
    for (int i = 0; i < groups * kMxfp4Block; ++i) {
        const std::uint8_t* table = kMxfp4CodeTables.code[block.table[i / kMxfp4Block]];
        REQUIRE(static_cast<int>(table[code_at(codes.data(), i)]) - 128 == static_cast<int>(expected[i]));
    }
}

// A group whose largest magnitude is that of `code`, with every smaller one and both signs.
Bytes group_up_to(int code) {
    Bytes bytes;
    for (int i = 0; i < kMxfp4Block / 2; ++i) {
        const int low = i % (code + 1);
        const int high = 8 + (code - low);
        bytes.push_back(static_cast<std::byte>(low | high << 4));
    }
    return bytes;
}

TEST_CASE("tables of mxfp4 codes: every largest magnitude beside every magnitude, for all differences of scales") {
    for (int largest = 1; largest < 8; ++largest) {
        for (int other = 0; other < 8; ++other) {
            for (int difference = -20; difference <= 20; ++difference) {
                for (const int scale : {40, 127, 200}) {
                    Bytes codes = group_up_to(largest);
                    const Bytes more = group_up_to(other);
                    codes.insert(codes.end(), more.begin(), more.end());
                    check_block({static_cast<std::uint8_t>(scale), static_cast<std::uint8_t>(scale + difference)},
                                codes);
                }
            }
        }
    }
}

TEST_CASE(
    "tables of mxfp4 codes: random blocks of one to four groups, scales from the smallest to nearly the largest") {
    Random random(3);
    for (int round = 0; round < 20000; ++round) {
        const int groups = random.between(1, 4);
        const int middle = random.between(0, 250);
        const int spread = random.between(0, 1) == 0 ? 2 : 40;
        const int most = random.between(0, 7);
        std::vector<std::uint8_t> scales;
        Bytes codes;
        for (int g = 0; g < groups; ++g) {
            // Up to 2^124: six times that is no infinity yet.
            scales.push_back(static_cast<std::uint8_t>(std::clamp(middle + random.between(-spread, spread), 0, 251)));
            for (int i = 0; i < kMxfp4Block / 2; ++i) {
                const int low = random.between(0, most) | random.between(0, 1) << 3;
                const int high = random.between(0, most) | random.between(0, 1) << 3;
                codes.push_back(static_cast<std::byte>(low | high << 4));
            }
        }
        check_block(scales, codes);
    }
}

// Rows of mxfp4 records, with columns of all sizes and some groups of zeros.
struct Records {
    std::int64_t columns = 0;
    Bytes bytes;

    Records(std::uint64_t seed, std::int64_t rows, std::int64_t of_columns) : columns(of_columns) {
        const std::int64_t groups = columns / kMxfp4Block;
        Floats values = Random(seed).reals(static_cast<std::size_t>(rows * columns), -1, 1);
        Random random(seed + 1);
        for (std::int64_t g = 0; g < rows * groups; ++g) {
            const float by = random.between(0, 9) == 0 ? 0.0F : std::ldexp(1.0F, random.between(-6, 2));
            for (int i = 0; i < kMxfp4Block; ++i) values[static_cast<std::size_t>(g * kMxfp4Block + i)] *= by;
        }
        Bytes codes(static_cast<std::size_t>(rows * code_bytes(DType::mxfp4, columns)));
        Bytes scales(static_cast<std::size_t>(rows * groups));
        encode_rows(DType::mxfp4, values.data(), rows, columns, 1, codes.data(), scales.data());
        for (std::int64_t row = 0; row < rows; ++row) {
            bytes.insert(bytes.end(), scales.begin() + row * groups, scales.begin() + (row + 1) * groups);
            bytes.insert(bytes.end(), codes.begin() + row * columns / 2, codes.begin() + (row + 1) * columns / 2);
        }
    }

    // In two calls, as rows of q and of k and v arrive in two.
    Packed pack(const Ops& ops, const MatrixSpec& spec, std::int64_t first_column = 0) const {
        Packed out{Buffer(ops.packed_bytes(spec)), {}};
        std::memset(out.buffer.data(), 0, out.buffer.bytes());
        const std::int64_t stride = row_bytes(DType::mxfp4, columns);
        for (const auto& [begin, end] : {std::pair{std::int64_t{0}, spec.n / 3}, std::pair{spec.n / 3, spec.n}}) {
            ops.pack({.spec = spec,
                      .row_begin = begin,
                      .rows = end - begin,
                      .source = bytes.data() + begin * stride,
                      .source_dtype = DType::mxfp4,
                      .source_stride_bytes = stride,
                      .packed = out.buffer.data(),
                      .source_columns = columns,
                      .source_first = first_column});
        }
        out.matrix = {spec, out.buffer.data()};
        return out;
    }
};

constexpr int kRowCounts[] = {1, 2, 3, 4, 5, 9, 23, 44};

// run(ops, dtype, threads): the same op with weights kept in either way.
template <class Run>
void check_same(const std::string& what, const Run& run) {
    const Floats expected = run(select_backend("reference", "auto", "int8"), DType::int8, 1);
    for (const Ops* ops : runnable_ops("int8")) {
        for (const int threads : {1, 3}) {
            INFO(what << ", " << ops->name << ", " << threads << " threads");
            REQUIRE(same_bits(run(*ops, DType::mxfp4_int8, threads), expected));
        }
    }
}

TEST_CASE("logits of mxfp4 that stays mxfp4") {
    for (const auto& [n, k] : {std::pair{1, 32}, {20, 96}, {37, 160}, {130, 1024}, {33, 2880}}) {
        const Records records(5, n, k);
        for (const int rows : kRowCounts) {
            const Floats x = Random(6).reals(static_cast<std::size_t>(rows * k), -3, 3);
            check_same(
                "logits of " + std::to_string(rows) + " rows, k " + std::to_string(k),
                [&](const Ops& ops, DType dtype, int threads) {
                    const MatrixSpec spec{n, k, dtype, {}};
                    const Packed packed = records.pack(ops, spec);
                    Scratch scratch(ops, spec, rows, threads);
                    Floats out(static_cast<std::size_t>(rows * n));
                    ops.logits({rows, x.data(), packed.matrix, out.data(), n, scratch.data()}, {.threads = threads});
                    return out;
                });
        }
    }
}

TEST_CASE("gate_up of mxfp4 that stays mxfp4: groups of all sizes, rows named by an index") {
    const int groups = 5;
    const int rows = 61;
    const std::int32_t begin[groups + 1] = {0, 3, 3, 8, 40, 61};
    std::vector<std::int32_t> index;
    for (int row = 0; row < rows; ++row) index.push_back(row * 7 % rows);
    for (const auto& [n, k] : {std::pair{24, 64}, {70, 288}}) {
        const Floats x = Random(8).reals(static_cast<std::size_t>(rows * k), -2, 2);
        check_same("gate_up, k " + std::to_string(k), [&](const Ops& ops, DType dtype, int threads) {
            const MatrixSpec spec{n, k, dtype, {}};
            std::vector<Packed> packed;
            std::vector<WeightMatrix> gate, up;
            for (std::uint64_t g = 0; g < groups; ++g) {
                packed.push_back(Records(20 + g, n, k).pack(ops, spec));
                gate.push_back(packed.back().matrix);
                packed.push_back(Records(40 + g, n, k).pack(ops, spec));
                up.push_back(packed.back().matrix);
            }
            Scratch scratch(ops, spec, rows, threads);
            Floats h(static_cast<std::size_t>(rows * n));
            ops.gate_up({groups, begin, index.data(), gate.data(), up.data(), x.data(), h.data(), rows, scratch.data()},
                        {.threads = threads});
            return h;
        });
    }
}

TEST_CASE("leaf_projection of mxfp4 that stays mxfp4, also of a rank's columns") {
    // Units of 32 columns, so that leaves begin with groups; 11 units leave leaves of one and of two groups.
    for (const auto& [units, per_unit] : {std::pair{8, 32}, {11, 32}, {16, 96}, {9, 160}}) {
        const std::int64_t columns = std::int64_t{units} * per_unit;
        const std::int64_t n = 50;
        const Records records(7, n, columns);
        for (const int parts : {1, 4}) {
            const LeafShare share = leaf_share(units, per_unit, parts - 1, parts);
            const std::int64_t k = share.k_end - share.k_begin;
            for (const int rows : kRowCounts) {
                const std::int32_t begin[2] = {0, rows};
                const Floats x = Random(9).reals(static_cast<std::size_t>(rows * k), -2, 2);
                check_same("leaf projection, k " + std::to_string(k), [&](const Ops& ops, DType dtype, int threads) {
                    const MatrixSpec spec{n, k, dtype, share.cut};
                    const Packed packed = records.pack(ops, spec, share.k_begin);
                    Scratch scratch(ops, spec, rows, threads);
                    Floats out(static_cast<std::size_t>(rows * n));
                    ops.leaf_projection({1, begin, &packed.matrix, x.data(), out.data(), scratch.data()},
                                        {.threads = threads});
                    return out;
                });
            }
        }
    }
}

TEST_CASE("mxfp4 that stays mxfp4 takes little more memory than its file") {
    for (const Ops* ops : runnable_ops("int8")) {
        if (ops->name == "reference") continue;
        const MatrixSpec spec{1024, 2048, DType::mxfp4_int8, {}};
        CHECK(ops->packed_bytes(spec) * 8 == 1024 * 2048 * 9 / 2);
    }
}

}  // namespace
}  // namespace argosy::test
