// Products of bf16 pairs (rule R11): order, rounding and zeros for denormals, one step at a time on every backend, and
// how near they are to exact ones.
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

void check(const Floats& x, const Floats& w, float expected) {
    for (const Ops* ops : runnable_ops("bf16")) {
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
        check({value, 0}, {1, 0}, rounded + 0.0F);  // the chain begins with +0
        check({1, 0}, {value, 0}, rounded + 0.0F);
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

TEST_CASE("random pairs of all sizes give the reference's bits on every backend") {
    Random random(5);
    const Ops& reference = select_backend("reference", "auto", "bf16");
    int zeros = 0;
    for (int round = 0; round < 3000; ++round) {
        const int n = 33, k = random.between(1, 9);
        const auto any = [&] {
            const float sign = random.between(0, 1) == 0 ? 1.0F : -1.0F;
            return sign * std::ldexp(1.0F + static_cast<float>(random.between(0, 255)) / 256.0F,
                                     round % 3 == 0 ? random.between(-66, -60) : random.between(-140, 90));
        };
        Floats x, w;
        for (int i = 0; i < k; ++i) x.push_back(any());
        for (int i = 0; i < n * k; ++i) w.push_back(any());
        const Stored weights = stored(w, DType::f32);
        const MatrixSpec spec{n, k, DType::bf16_pairs, {}};
        const auto run = [&](const Ops& ops) {
            const Packed packed = pack(ops, spec, weights, k);
            Floats out(n);
            ops.logits({1, x.data(), packed.matrix, out.data(), n, nullptr}, {});
            return out;
        };
        const Floats expected = run(reference);
        for (const float value : expected) zeros += value == 0 ? 1 : 0;
        for (const Ops* ops : runnable_ops("bf16")) {
            INFO(ops->name << ", round " << round);
            REQUIRE(same_bits(run(*ops), expected));
        }
    }
    CHECK(zeros > 1000);  // flushed ones
}

TEST_CASE("bf16 products are near the exact ones") {
    const int n = 70, k = 600;
    const Stored weights = random_weights(11, n, k, DType::bf16);
    const Floats x = Random(12).reals(k, -2, 2);
    const Ops& ops = select_backend("cpu", "auto", "bf16");
    const Packed packed = pack(ops, {n, k, DType::bf16_pairs, {}}, weights, k);
    Floats out(n);
    ops.logits({1, x.data(), packed.matrix, out.data(), n, nullptr}, {});
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

}  // namespace
}  // namespace argosy::test
