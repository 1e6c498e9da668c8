// Products of bf16 in pairs (rule R11) and in the order of tiles (rule R12): order, rounding and zeros for denormals,
// one step at a time on every backend, and how near they are to exact ones.
#include <bit>
#include <cmath>

#include "kernels/quant/bf16.hpp"
#include "tests/kernels/op_cases.hpp"

namespace argosy::test {
namespace {

float with_bits(std::uint32_t bits) { return std::bit_cast<float>(bits); }

// A product of one row of x with one of w, of equal length.
float product(const Ops& ops, const Floats& x, const Floats& w) {
    const auto k = static_cast<std::int64_t>(x.size());
    const Stored weights = stored(w, DType::f32);
    const MatrixSpec spec{1, k, kept_as(ops, DType::f32), {}};
    const Packed packed = pack(ops, spec, weights, k);
    Scratch scratch(ops, spec, 1);
    float out = 0;
    ops.logits({1, x.data(), packed.matrix, &out, 1, scratch.data()}, {});
    return out;
}

void check(const Floats& x, const Floats& w, float expected, std::string_view numerics = "bf16") {
    for (const Ops* ops : runnable_ops(numerics)) {
        INFO(ops->name << ": " << product(*ops, x, w) << " instead of " << expected);
        REQUIRE(std::bit_cast<std::uint32_t>(product(*ops, x, w)) == std::bit_cast<std::uint32_t>(expected));
    }
}

TEST_CASE("both sides are rounded to bf16, to nearest even, and what is no normal f32 is a zero of its sign") {
    for (const auto& [value, rounded] : {std::pair{1.0F, 1.0F},
                                         {with_bits(0x3f808000), 1.0F},
                                         {with_bits(0x3f818000), with_bits(0x3f820000)},
                                         {with_bits(0x3f808001), with_bits(0x3f810000)},
                                         {-with_bits(0x3f80ffff), -with_bits(0x3f810000)},
                                         {0x1p-126F, 0x1p-126F},
                                         {0x1.fffffcp-127F, 0.0F},
                                         {-0x1p-127F, -0.0F},
                                         {0x1p-149F, 0.0F}}) {
        CHECK(std::bit_cast<std::uint32_t>(decode_bf16(encode_bf16_pairs(value))) ==
              std::bit_cast<std::uint32_t>(rounded));
        for (const std::string_view numerics : {"bf16", "bf16-amx"}) {
            check({value, 0}, {1, 0}, rounded + 0.0F, numerics);  // the chain begins with +0
            check({1, 0}, {value, 0}, rounded + 0.0F, numerics);
        }
    }
}

TEST_CASE("of a pair the later column comes first, each rounded once") {
    // In the order 1, 0, 3, 2 of columns; what is added to 2^24 before 2^24 goes away again is rounded off.
    check({0x1p12F, 0x1p12F, 0, 1}, {0x1p12F, -0x1p12F, 0, 1}, 1.0F);
    check({1, 0x1p12F, 0, 0x1p12F}, {1, 0x1p12F, 0, -0x1p12F}, 0.0F);
    check({0x1p12F, 1, 0x1p12F, 0}, {0x1p12F, 1, -0x1p12F, 0}, 0.0F);
    check({0x1p12F, 1, 0, 0x1p12F}, {0x1p12F, 1, 0, -0x1p12F}, 0.0F);
    check({0x1p12F, 0x1p12F, 1, 1}, {-0x1p12F, 0x1p12F, 1, 0}, 1.0F);
    // An odd last column stands alone.
    check({1, 2, 3}, {5, 7, 11}, 52.0F);
}

TEST_CASE("of 32 columns the even ones are one chain and the odd ones another, which join before the sum so far") {
    const auto check_tiles = [](const Floats& x, const Floats& w, float expected) {
        check(x, w, expected, "bf16-amx");
    };
    const float large = 0x1p12F;                                     // its square takes a 1 in, and away
    check_tiles({large, 1, large, 0}, {large, 1, -large, 0}, 1.0F);  // even: 0, odd: 1
    check_tiles({large, 0, 1, 0, large}, {large, 0, 1, 0, -large}, 0.0F);
    check_tiles({1, large, 0, 0, 0, large}, {1, large, 0, 0, 0, -large}, 1.0F);
    check_tiles({large, large, 1, 0}, {large, -large, 1, 0}, 0.0F);  // the even chain has lost its 1
    // Column 32 begins anew: 2^24 and 1 are added only then.
    Floats x(66, 0.0F), w(66, 0.0F);
    x[0] = w[0] = large;
    x[32] = w[32] = x[65] = w[65] = 1;
    check_tiles(x, w, 0x1p24F);  // + 1 and + 1, each rounded off
    x[33] = w[33] = 1;
    check_tiles(x, w, 0x1p24F + 4);  // + 2, then + 1, which is halfway and goes to the even
    x[64] = large;
    w[64] = -large;
    check_tiles(x, w, 3.0F);  // (2^24 + 2) + (-2^24 + 1)
}

TEST_CASE("a sum below the smallest normal f32, after rounding to 24 bits, is a zero of its sign") {
    const float smallest = 0x1p-126F;
    // smallest - part * 2^-151: up to half of the last place it is rounded to smallest.
    const std::pair<float, float> cases[] = {{0.5F, smallest}, {1.0F, smallest}, {1.0078125F, 0.0F},
                                             {1.25F, 0.0F},    {2.0F, 0.0F},     {4.0F, 0.0F}};
    for (const auto& [part, expected] : cases) {
        check({part * 0x1p-76F, 0x1p-63F}, {-0x1p-75F, 0x1p-63F}, expected);
        check({part * 0x1p-76F, 0x1p-63F}, {0x1p-75F, -0x1p-63F}, -expected);
    }
    check({0, 0x1p-63F}, {0, 0x1p-64F}, 0.0F);
    check({0, 0x1p-63F}, {0, -0x1p-64F}, 0.0F + -0.0F);  // flushed to -0, then + 0 * 0
    check({0x1p-63F, 0}, {-0x1p-64F, 0}, -0.0F);
    // Flushed between two columns, not only at the end.
    check({0x1p-63F, 0x1p-63F}, {0x1.8p-64F, 0x1.8p-64F}, 0.0F);
}

TEST_CASE("far from the small ones nothing is flushed, and overflow is an infinity") {
    check({0x1p100F, 0x1p100F}, {0x1p-126F, -0x1p-126F}, 0.0F);
    check({0x1p127F, 1}, {0x1p-126F, 0x1p-20F}, 2.0F + 0x1p-20F);
    check({0x1p100F, 0}, {0x1p100F, 0}, INFINITY);
    check({-0x1p100F, 0}, {0x1p100F, 0}, -INFINITY);
}

void check_random(std::string_view numerics, int k_most, int rounds) {
    Random random(5);
    const Ops& reference = select_backend("reference", "auto", numerics);
    int zeros = 0;
    for (int round = 0; round < rounds; ++round) {
        const int n = 33, k = random.between(1, k_most);
        const auto any = [&] {
            const float sign = random.between(0, 1) == 0 ? 1.0F : -1.0F;
            return sign * std::ldexp(1.0F + static_cast<float>(random.between(0, 255)) / 256.0F,
                                     round % 3 == 0 ? random.between(-66, -60) : random.between(-140, 90));
        };
        Floats x, w;
        for (int i = 0; i < k; ++i) x.push_back(any());
        for (int i = 0; i < n * k; ++i) w.push_back(any());
        const Stored weights = stored(w, DType::f32);
        const MatrixSpec spec{n, k, kept_as(reference, DType::f32), {}};
        const auto run = [&](const Ops& ops) {
            const Packed packed = pack(ops, spec, weights, k);
            Floats out(n);
            Scratch scratch(ops, spec, 1);
            ops.logits({1, x.data(), packed.matrix, out.data(), n, scratch.data()}, {});
            return out;
        };
        const Floats expected = run(reference);
        for (const float value : expected) zeros += value == 0 ? 1 : 0;
        for (const Ops* ops : runnable_ops(numerics)) {
            INFO(numerics << ", " << ops->name << ", round " << round);
            REQUIRE(same_bits(run(*ops), expected));
        }
    }
    CHECK(zeros > rounds / 3);  // flushed ones
}

TEST_CASE("random pairs of all sizes give the reference's bits on every backend") {
    check_random("bf16", 9, 3000);
    check_random("bf16-amx", 9, 2000);
    check_random("bf16-amx", 70, 600);
}

void check_near(std::string_view numerics) {
    const int n = 70, k = 600;
    const Stored weights = random_weights(11, n, k, DType::bf16);
    const Floats x = Random(12).reals(k, -2, 2);
    const Ops& ops = select_backend("cpu", "auto", numerics);
    const MatrixSpec spec{n, k, kept_as(ops, DType::f32), {}};
    const Packed packed = pack(ops, spec, weights, k);
    Scratch scratch(ops, spec, 1);
    Floats out(n);
    ops.logits({1, x.data(), packed.matrix, out.data(), n, scratch.data()}, {});
    double error = 0, size = 0;
    for (int i = 0; i < n; ++i) {
        double exact = 0;
        for (int j = 0; j < k; ++j) exact += static_cast<double>(x[j]) * weights.values[i * k + j];
        error += (out[i] - exact) * (out[i] - exact);
        size += exact * exact;
    }
    CHECK(std::sqrt(error / size) < 0.003);  // an activation is off by 2^-9 at most
    CHECK(error > 0);
}

TEST_CASE("bf16 products are near the exact ones") {
    for (const std::string_view numerics : {"bf16", "bf16-amx"}) check_near(numerics);
}

}  // namespace
}  // namespace argosy::test
