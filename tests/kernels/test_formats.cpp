// bf16, f16, fp8 and fp4 codes, all of them, and Philox against its published answers.
#include <catch2/catch.hpp>

#include <cmath>

#include "kernels/base/philox.hpp"
#include "kernels/quant/fp4.hpp"
#include "kernels/quant/fp8.hpp"
#include "tests/kernels/op_cases.hpp"

namespace argosy::test {
namespace {

// What a code of `exponent_bits` and `mantissa_bits` means, by the definition of IEEE 754.
double meaning(std::uint32_t code, int exponent_bits, int mantissa_bits) {
    const int bias = (1 << (exponent_bits - 1)) - 1;
    const int exponent = static_cast<int>(code >> mantissa_bits) & ((1 << exponent_bits) - 1);
    const int mantissa = static_cast<int>(code) & ((1 << mantissa_bits) - 1);
    const double sign = code >> (exponent_bits + mantissa_bits) != 0 ? -1 : 1;
    if (exponent == (1 << exponent_bits) - 1) return mantissa == 0 ? sign * INFINITY : NAN;
    if (exponent == 0) return sign * std::ldexp(mantissa, 1 - bias - mantissa_bits);
    return sign * std::ldexp(mantissa + (1 << mantissa_bits), exponent - bias - mantissa_bits);
}

template <class Decode, class Encode>
void check_format(int exponent_bits, int mantissa_bits, Decode decode, Encode encode) {
    const std::uint32_t infinity = ((1U << exponent_bits) - 1) << mantissa_bits;
    for (std::uint32_t code = 0; code < 65536; ++code) {
        const double truth = meaning(code, exponent_bits, mantissa_bits);
        const float value = decode(static_cast<std::uint16_t>(code));
        if (std::isnan(truth)) {
            REQUIRE(std::isnan(value));
            REQUIRE(std::isnan(decode(encode(value))));
            REQUIRE((encode(value) & 0x8000U) == (code & 0x8000U));
            continue;
        }
        REQUIRE(static_cast<double>(value) == truth);
        REQUIRE(std::signbit(value) == std::signbit(truth));
        REQUIRE(encode(value) == code);
        if ((code & 0x7fffU) >= infinity) continue;
        // Between a code and the next one away from zero: the middle goes to the even code, either side to its
        // neighbour. The code after the largest finite one is infinity, and stands where the next number would be.
        const double next = (code & 0x7fffU) + 1 == infinity
                                ? 2 * truth - meaning(code - 1, exponent_bits, mantissa_bits)
                                : meaning(code + 1, exponent_bits, mantissa_bits);
        const auto middle = static_cast<float>(truth + (next - truth) / 2);
        if (static_cast<double>(middle) != truth + (next - truth) / 2) continue;  // below the smallest f32
        REQUIRE(encode(middle) == (code % 2 == 0 ? code : code + 1));
        REQUIRE(encode(std::nextafterf(middle, 0.0F)) == code);
        REQUIRE(encode(std::nextafterf(middle, code < 0x8000 ? INFINITY : -INFINITY)) == code + 1);
    }
}

TEST_CASE("bf16: every code decodes by definition, comes back, and its halfway points round to even") {
    check_format(
        8, 7, [](std::uint16_t code) { return decode_bf16(code); }, [](float value) { return encode_bf16(value); });
}

TEST_CASE("f16: every code decodes by definition, comes back, and its halfway points round to even") {
    check_format(
        5, 10, [](std::uint16_t code) { return decode_f16(code); }, [](float value) { return encode_f16(value); });
    REQUIRE(encode_f16(65519.0F) == 0x7bff);
    REQUIRE(encode_f16(1e30F) == 0x7c00);
    REQUIRE(encode_f16(-INFINITY) == 0xfc00);
}

// A small format without infinities: every code by definition, and every f32 around the middles between neighbours.
// `codes` positive codes are numbers; what lies beyond the largest becomes the largest.
template <class Decode, class Encode>
void check_small_format(int bits, int exponent_bits, int mantissa_bits, int codes, Decode decode, Encode encode) {
    const auto truth = [&](int code) {
        const int bias = (1 << (exponent_bits - 1)) - 1;
        const int exponent = code >> mantissa_bits, mantissa = code & ((1 << mantissa_bits) - 1);
        return exponent == 0 ? std::ldexp(mantissa, 1 - bias - mantissa_bits)
                             : std::ldexp(mantissa + (1 << mantissa_bits), exponent - bias - mantissa_bits);
    };
    const auto minus = static_cast<std::uint8_t>(1 << (bits - 1));
    for (int code = 0; code < codes; ++code) {
        CAPTURE(code);
        const auto positive = static_cast<std::uint8_t>(code);
        const auto negative = static_cast<std::uint8_t>(code | minus);
        REQUIRE(static_cast<double>(decode(positive)) == truth(code));
        REQUIRE(static_cast<double>(decode(negative)) == -truth(code));
        REQUIRE(std::signbit(decode(negative)));
        REQUIRE(encode(decode(positive)) == positive);
        REQUIRE(encode(decode(negative)) == negative);
        if (code + 1 == codes) continue;
        const auto middle = static_cast<float>((truth(code) + truth(code + 1)) / 2);  // exact: a bit more than a code
        REQUIRE(encode(middle) == (code % 2 == 0 ? code : code + 1));
        REQUIRE(encode(-middle) == ((code % 2 == 0 ? code : code + 1) | minus));
        REQUIRE(encode(std::nextafterf(middle, 0.0F)) == code);
        REQUIRE(encode(std::nextafterf(middle, INFINITY)) == code + 1);
    }
    const float largest = decode(static_cast<std::uint8_t>(codes - 1));
    for (const float beyond : {std::nextafterf(largest, INFINITY), 1.03F * largest, 1.1F * largest, 1.3F * largest,
                               2 * largest, 3e38F, INFINITY}) {
        REQUIRE(encode(beyond) == codes - 1);
        REQUIRE(encode(-beyond) == ((codes - 1) | minus));
    }
    REQUIRE(encode(1e-44F) == 0);
}

TEST_CASE("fp8 E4M3: every code decodes by definition, comes back, halfway points round to even, 448 is the end") {
    check_small_format(
        8, 4, 3, 127, [](std::uint8_t code) { return decode_e4m3(code); },
        [](float value) { return encode_e4m3(value); });
    REQUIRE(decode_e4m3(0x7e) == kE4m3Max);
    for (const int nan : {0x7f, 0xff}) {
        REQUIRE(std::isnan(decode_e4m3(static_cast<std::uint8_t>(nan))));
        REQUIRE(encode_e4m3(decode_e4m3(static_cast<std::uint8_t>(nan))) == nan);
    }
}

TEST_CASE("fp4 E2M1: every code decodes by definition, comes back, halfway points round to even, 6 is the end") {
    check_small_format(
        4, 2, 1, 8, [](std::uint8_t code) { return decode_e2m1(code); },
        [](float value) { return encode_e2m1(value); });
    REQUIRE(decode_e2m1(7) == kE2m1Max);
    REQUIRE(decode_e2m1(0xa3) == decode_e2m1(3));  // the upper half is another code
}

TEST_CASE("E8M0: every code is its power of two") {
    for (int code = 0; code < 255; ++code)
        REQUIRE(static_cast<double>(decode_e8m0(static_cast<std::uint8_t>(code))) == std::ldexp(1.0, code - 127));
    REQUIRE(std::isnan(decode_e8m0(255)));
}

// From the authors' kat_vectors file (Random123).
TEST_CASE("Philox4x32-10 gives the published answers") {
    const auto check = [](PhiloxWords counter, std::uint32_t key0, std::uint32_t key1, PhiloxWords answer) {
        const PhiloxWords got = philox4x32_10(counter, key0, key1);
        for (int i = 0; i < 4; ++i) REQUIRE(got.word[i] == answer.word[i]);
    };
    check({{0, 0, 0, 0}}, 0, 0, {{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}});
    check({{~0U, ~0U, ~0U, ~0U}}, ~0U, ~0U, {{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}});
    check({{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}}, 0xa4093822, 0x299f31d0,
          {{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}});
}

TEST_CASE("uniform numbers lie in [0, 1), depend on every argument, and fill 64 bins evenly") {
    REQUIRE(uniform_f64(0, 0, 0, 0) == static_cast<double>(0x6627e8d5e169c58dU >> 11) * 0x1p-53);
    const double base = uniform_f64(1, 2, 3, 4);
    for (const double other :
         {uniform_f64(2, 2, 3, 4), uniform_f64(1, 3, 3, 4), uniform_f64(1, 2, 4, 4), uniform_f64(1, 2, 3, 5),
          uniform_f64(1 + (1ULL << 40), 2, 3, 4), uniform_f64(1, 2 + (1ULL << 40), 3, 4)}) {
        REQUIRE(other != base);
    }
    int count[64] = {};
    const int samples = 640000;
    for (int i = 0; i < samples; ++i) {
        const double u = uniform_f64(5, 6, 7, static_cast<std::uint32_t>(i));
        REQUIRE((u >= 0 && u < 1));
        ++count[static_cast<int>(u * 64)];
    }
    double chi_square = 0;
    for (const int n : count) chi_square += (n - 10000.0) * (n - 10000.0) / 10000.0;
    REQUIRE(chi_square < 130);  // 63 degrees of freedom: exceeded with probability 1e-6
}

}  // namespace
}  // namespace argosy::test
