// exp, log, silu, sine and cosine against the C library in double, and one rounding in fma.
#include <catch2/catch.hpp>

#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/base/elementary.hpp"
#include "kernels/base/rope_table.hpp"
#include "tests/kernels/op_cases.hpp"

namespace argosy::test {
namespace {

float from_bits(std::uint32_t bits) { return __builtin_bit_cast(float, bits); }
std::uint32_t to_bits(float value) { return __builtin_bit_cast(std::uint32_t, value); }

// |value - truth| in units of the last place of the f32 nearest to truth.
double ulps(float value, double truth) {
    int exponent = 0;
    std::frexp(static_cast<float>(truth), &exponent);
    return std::fabs(value - truth) / std::ldexp(1.0, exponent - 24);
}

TEST_CASE("exp is within one ulp wherever its result is a normal f32") {
    double worst = 0;
    for (std::uint32_t bits = 0; bits < to_bits(88.8F); bits += 37) {
        for (const float x : {from_bits(bits), -from_bits(bits)}) {
            const double truth = std::exp(static_cast<double>(x));
            if (truth >= 0x1p-126 && truth < 0x1p128 * (1 - 0x1p-25))
                worst = std::max(worst, ulps(exp_lanes(x), truth));
        }
    }
    REQUIRE(worst <= 1.0);
}

TEST_CASE("exp at its edges: zero below the smallest normal, infinity above the largest, NaN kept") {
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    REQUIRE(to_bits(exp_lanes(-kInfinity)) == 0);
    REQUIRE(to_bits(exp_lanes(-1e30F)) == 0);
    REQUIRE(to_bits(exp_lanes(-88.0F)) == 0);
    REQUIRE(exp_lanes(kInfinity) == kInfinity);
    REQUIRE(exp_lanes(std::numeric_limits<float>::max()) == kInfinity);
    REQUIRE(std::isnan(exp_lanes(std::numeric_limits<float>::quiet_NaN())));
    REQUIRE(to_bits(exp_lanes(0.0F)) == to_bits(1.0F));
    REQUIRE(to_bits(exp_lanes(-0.0F)) == to_bits(1.0F));
    // Every f32 around the two thresholds: no result is a denormal, none is lost.
    for (std::uint32_t bits = to_bits(87.33F); bits < to_bits(87.34F); ++bits) {
        const double truth = std::exp(-static_cast<double>(from_bits(bits)));
        const float value = exp_lanes(-from_bits(bits));
        REQUIRE((truth < 0x1p-126 ? to_bits(value) == 0 : ulps(value, truth) <= 1.0));
    }
    for (std::uint32_t bits = to_bits(88.72F); bits < to_bits(88.73F); ++bits) {
        const double truth = std::exp(static_cast<double>(from_bits(bits)));
        const float value = exp_lanes(from_bits(bits));
        REQUIRE((truth > 0x1.ffffffp127 ? value == kInfinity : ulps(value, truth) <= 1.0));
    }
}

TEST_CASE("log is within one ulp for positive normal numbers") {
    double worst = 0;
    for (std::uint32_t bits = 0x00800000; bits < 0x7f800000; bits += 61) {
        if (bits != to_bits(1.0F))
            worst = std::max(worst, ulps(log_lanes(from_bits(bits)), std::log(static_cast<double>(from_bits(bits)))));
    }
    for (std::uint32_t bits = to_bits(0.99F); bits < to_bits(1.01F); ++bits) {
        const double truth = std::log(static_cast<double>(from_bits(bits)));
        if (truth != 0) worst = std::max(worst, ulps(log_lanes(from_bits(bits)), truth));
    }
    REQUIRE(worst <= 1.0);
    REQUIRE(to_bits(log_lanes(1.0F)) == 0);
}

TEST_CASE("silu is within three ulps of x / (1 + exp(-x))") {
    double worst = 0;
    for (std::uint32_t bits = to_bits(1e-30F); bits < to_bits(80.0F); bits += 101) {
        for (const float x : {from_bits(bits), -from_bits(bits)}) {
            worst = std::max(worst, ulps(silu_lanes(x), x / (1 + std::exp(-static_cast<double>(x)))));
        }
    }
    REQUIRE(worst <= 3.0);
    REQUIRE(silu_lanes(-1e30F) == 0.0F);
    REQUIRE(silu_lanes(1e30F) == 1e30F);
}

TEST_CASE("sine and cosine are within 1e-15 relative for angles up to 1e6") {
    Random random(7);
    double worst = 0;
    for (int i = 0; i < 1000000; ++i) {
        const float range = i % 2 == 0 ? 1e6F : 10.0F;
        const double angle = random.real(-range, range);
        const SinCos value = sincos_f64(angle);
        // The long double functions judge, since the C library's double ones are no better than ours.
        const long double sine = sinl(angle);
        const long double cosine = cosl(angle);
        worst = std::max({worst, static_cast<double>(fabsl((value.sin - sine) / sine)),
                          static_cast<double>(fabsl((value.cos - cosine) / cosine))});
    }
    REQUIRE(worst < 1e-15);
}

TEST_CASE("the rope table takes the f32 product as the angle") {
    const Floats inverse{1.0F, 0.1F, 1e-4F};
    const int positions = 5003;
    Floats cos(static_cast<std::size_t>(positions) * 3), sin(cos.size());
    rope_table(inverse, positions, cos.data(), sin.data());
    for (int position = 0; position < positions; ++position) {
        for (std::size_t i = 0; i < 3; ++i) {
            const double angle = static_cast<float>(position) * inverse[i];
            REQUIRE(cos[position * 3 + i] == static_cast<float>(std::cos(angle)));
            REQUIRE(sin[position * 3 + i] == static_cast<float>(std::sin(angle)));
        }
    }
}

// Bits of three operands from which a halfway case, a cancellation or a denormal is likely.
struct Operands {
    float a, b, c;
};
Operands operands(Random& random, int kind) {
    std::uint32_t a = static_cast<std::uint32_t>(random.next());
    std::uint32_t b = static_cast<std::uint32_t>(random.next());
    std::uint32_t c = static_cast<std::uint32_t>(random.next());
    const int product_exponent = static_cast<int>(a >> 23 & 255) + static_cast<int>(b >> 23 & 255) - 127;
    if (kind % 2 == 1) {  // an addend of about the product's size
        const int exponent = product_exponent + random.between(-30, 30);
        c = (c & 0x807fffffU) | (static_cast<std::uint32_t>(exponent & 255) << 23);
    }
    if (kind % 4 == 3) {  // few bits: exact products, ties
        a &= 0xffff8000U;
        b &= 0xffff8000U;
        c &= 0xfffff000U | static_cast<std::uint32_t>(random.between(0, 1));
    }
    if (kind % 8 == 6) {  // a product near the smallest f32
        a = (a & 0x807fffffU) | (static_cast<std::uint32_t>(random.between(1, 60)) << 23);
        b = (b & 0x807fffffU) | (static_cast<std::uint32_t>(random.between(40, 90)) << 23);
        c &= 0x80ffffffU;
    }
    return {from_bits(a), from_bits(b), from_bits(c)};
}

TEST_CASE("fma without the instruction rounds once: 12 million random operands and all pairs of edges") {
    const auto agrees = [](const Operands& o) {
        const float truth = std::fmaf(o.a, o.b, o.c);
        const float ours = fma_f32_by_double(o.a, o.b, o.c);
        const float chosen = fma_f32(o.a, o.b, o.c);
        if (std::isnan(truth)) return std::isnan(ours) && std::isnan(chosen);
        return to_bits(ours) == to_bits(truth) && to_bits(chosen) == to_bits(truth);
    };
    Random random(11);
    int wrong = 0;
    for (int i = 0; i < 12000000; ++i) wrong += agrees(operands(random, i)) ? 0 : 1;
    REQUIRE(wrong == 0);
    std::vector<float> edges;
    for (const std::uint32_t bits : {0U, 1U, 2U, 0x7fffffU, 0x800000U, 0x800001U, 0x3f7fffffU, 0x3f800000U, 0x3f800001U,
                                     0x33800000U, 0x34000000U, 0x4b800001U, 0x7f7fffffU, 0x7f800000U, 0x7fc00000U}) {
        edges.push_back(from_bits(bits));
        edges.push_back(-from_bits(bits));
    }
    for (const float a : edges) {
        for (const float b : edges) {
            for (const float c : edges) REQUIRE(agrees({a, b, c}));
        }
    }
}

}  // namespace
}  // namespace argosy::test
