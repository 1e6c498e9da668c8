// The model of a tensor core's sums: against exact arithmetic where nothing is cut, by hand where something is, and
// against what an H100 wrote.
#include <catch2/catch.hpp>

#include <cmath>
#include <limits>
#include <vector>

#include "kernels/base/philox.hpp"
#include "kernels/cuda/mma_model.hpp"
#include "kernels/quant/bf16.hpp"
#include "kernels/quant/fp8.hpp"
#include "tests/device/mma_inputs.hpp"

namespace argosy::test {
namespace {

std::uint32_t bits_of(float value) { return __builtin_bit_cast(std::uint32_t, value); }
float two(int exponent) { return std::ldexp(1.0F, exponent); }

struct Product {
    float a, b;
};

// One sum of bf16 products; the places that are not named hold +0 times +0.
float bf16_sum(float c, const std::vector<Product>& products, const MmaModel& model = kHopperBf16) {
    std::vector<std::uint16_t> a(16), b(16);
    for (std::size_t k = 0; k < products.size(); ++k) {
        a[k] = encode_bf16(products[k].a);
        b[k] = encode_bf16(products[k].b);
        REQUIRE((decode_bf16(a[k]) == products[k].a || std::isnan(products[k].a)));
        REQUIRE((decode_bf16(b[k]) == products[k].b || std::isnan(products[k].b)));
    }
    return mma_chain(model, a.data(), b.data(), 16, c);
}

float e4m3_sum(float c, const std::vector<Product>& products) {
    std::vector<std::uint8_t> a(32), b(32);
    for (std::size_t k = 0; k < products.size(); ++k) {
        a[k] = encode_e4m3(products[k].a);
        b[k] = encode_e4m3(products[k].b);
    }
    return mma_chain(kHopperE4m3, a.data(), b.data(), 32, c);
}

TEST_CASE("every bf16 and every fp8 times one is itself, and an accumulator alone passes through") {
    for (std::uint32_t code = 0; code < 65536; ++code) {
        const float value = decode_bf16(static_cast<std::uint16_t>(code));
        const float result = bf16_sum(0, {{1, value}});
        CAPTURE(code);
        if (std::isnan(value)) {
            REQUIRE(bits_of(result) == 0x7fffffffU);
        } else {
            REQUIRE(result == value);
        }
    }
    for (int code = 0; code < 256; ++code) {
        const float value = decode_e4m3(static_cast<std::uint8_t>(code));
        if (!std::isnan(value)) REQUIRE(e4m3_sum(0, {{1, value}}) == value);
    }
    for (const float c : {1.0F + two(-23), -two(-149), two(-126) - two(-149), std::numeric_limits<float>::max()}) {
        REQUIRE(bf16_sum(c, {}) == c);
    }
}

TEST_CASE("sums of small integers are exact, in any order") {
    for (std::uint32_t i = 0; i < 2000; ++i) {
        std::vector<Product> products;
        double truth = 0;
        for (std::uint32_t k = 0; k < 16; ++k) {
            const PhiloxWords random = philox4x32_10({{i, k, 0, 0}}, 1, 2);
            products.push_back({static_cast<float>(static_cast<int>(random.word[0] % 511) - 255),
                                static_cast<float>(static_cast<int>(random.word[1] % 511) - 255)});
            products.back().a = decode_bf16(encode_bf16(products.back().a));
            products.back().b = decode_bf16(encode_bf16(products.back().b));
            truth += static_cast<double>(products.back().a) * static_cast<double>(products.back().b);
        }
        const float forwards = bf16_sum(17, products);
        REQUIRE(static_cast<double>(forwards) == truth + 17);
        REQUIRE(bits_of(bf16_sum(17, {products.rbegin(), products.rend()})) == bits_of(forwards));
    }
}

TEST_CASE("a term keeps 25 bits below the largest exponent, and is cut towards zero before the sum") {
    REQUIRE(bf16_sum(1, {{-1, 1}, {two(-25), 1}}) == two(-25));
    REQUIRE(bf16_sum(1, {{-1, 1}, {two(-26), 1}}) == 0);
    REQUIRE(bf16_sum(1, {{-1, 1}, {1.5F * two(-25), 1}}) == two(-25));
    REQUIRE(bf16_sum(1, {{-1, 1}, {-1.5F * two(-25), 1}}) == -two(-25));
    REQUIRE(bf16_sum(1, {{-1, 1}, {-two(-26), 1}}) == 0);
    // Fourteen halves of a last place are seven in truth and nothing here.
    std::vector<Product> halves(14, {two(-26), 1});
    halves.push_back({-1, 1});
    REQUIRE(bf16_sum(1, halves) == 0);
    // The accumulator is a term like the others.
    REQUIRE(bf16_sum(two(-25), {{1, 1}, {-1, 1}}) == two(-25));
    REQUIRE(bf16_sum(two(-26), {{1, 1}, {-1, 1}}) == 0);
}

TEST_CASE("a product's exponent is the sum of its factors' exponents") {
    // 1.5 * 1.5 is above 2, and the last place is still that of 1; 2.25 as accumulator has exponent 1.
    REQUIRE(bf16_sum(0, {{1.5F, 1.5F}, {-1, 1}, {-1, 1}, {-0.25F, 1}, {two(-25), 1}}) == two(-25));
    REQUIRE(bf16_sum(2.25F, {{-1, 1}, {-1, 1}, {-0.25F, 1}, {two(-25), 1}}) == 0);
    // A zero has no exponent.
    REQUIRE(bf16_sum(0, {{0, two(127)}, {two(-60), 1}}) == two(-60));
}

TEST_CASE("the result is cut to f32 and not rounded") {
    const float above_one = 1 + two(-23);
    REQUIRE(bf16_sum(above_one, {{1, 1}}) == 2);
    REQUIRE(bf16_sum(-above_one, {{-1, 1}}) == -2);
    REQUIRE(bf16_sum(above_one, {{1, 1}, {two(-24), 1}}) == 2);
    REQUIRE(bf16_sum(above_one, {{1, 1}, {two(-24), 1}, {two(-24), 1}}) == 2 + two(-22));
}

TEST_CASE("denormal operands and results are kept, overflow is infinite, infinities and NaN go through") {
    const float inf = std::numeric_limits<float>::infinity();
    REQUIRE(bf16_sum(0, {{two(-133), two(126)}}) == two(-7));
    REQUIRE(bf16_sum(0, {{two(-75), two(-74)}}) == two(-149));
    REQUIRE(bf16_sum(0, {{two(-75), 1.5F * two(-74)}}) == two(-149));
    REQUIRE(bits_of(bf16_sum(0, {{-two(-75), two(-75)}})) == 0);  // +0
    // The exponent to align to is at least -133, so the last place is at least 2^-158.
    REQUIRE(bf16_sum(0, std::vector<Product>(16, {two(-75), two(-78)})) == two(-149));
    REQUIRE(bf16_sum(0, {{two(-75), two(-74)}, {-two(-75), two(-83)}}) == 0);
    REQUIRE(bf16_sum(0, {{two(-75), two(-74)}, {-two(-75), two(-84)}}) == two(-149));
    REQUIRE(bf16_sum(0, {{two(127), 1}, {two(127), 1}}) == inf);
    REQUIRE(bf16_sum(-two(127), {{two(64), two(64)}}) == two(127));
    REQUIRE(bf16_sum(0, {{two(100), two(100)}, {-two(100), two(100)}}) == 0);
    REQUIRE(bf16_sum(1, {{inf, -1}}) == -inf);
    REQUIRE(bf16_sum(-inf, {{1, 1}}) == -inf);
    REQUIRE(bits_of(bf16_sum(0, {{inf, 0}})) == 0x7fffffffU);
    REQUIRE(bits_of(bf16_sum(-inf, {{inf, 1}})) == 0x7fffffffU);
    REQUIRE(bits_of(bf16_sum(std::numeric_limits<float>::quiet_NaN(), {})) == 0x7fffffffU);
}

TEST_CASE("fp8: thirteen bits of a term, thirteen of the result") {
    REQUIRE(e4m3_sum(1, {{-1, 1}, {two(-7), two(-6)}}) == two(-13));
    REQUIRE(e4m3_sum(1, {{-1, 1}, {two(-7), two(-7)}}) == 0);
    REQUIRE(e4m3_sum(1 + two(-13) + two(-14), {}) == 1 + two(-13));
    REQUIRE(e4m3_sum(1 + two(-13), {{1, 1}}) == 2);
    // Products of the largest numbers: 32 * 448 * 448 = 49 * 2^17.
    REQUIRE(e4m3_sum(0, std::vector<Product>(32, {448, 448})) == 49 * two(17));
}

TEST_CASE(
    "a chain carries its sum from one step to the next, and steps of eight are other sums than steps of sixteen") {
    std::vector<std::uint16_t> a(32), b(32);
    for (std::uint32_t k = 0; k < 32; ++k) {
        const PhiloxWords random = philox4x32_10({{k, 0, 0, 0}}, 3, 4);
        a[k] = encode_bf16(static_cast<float>(random.word[0]) * two(-32));
        b[k] = encode_bf16(static_cast<float>(random.word[1]) * two(-32));
    }
    const float first = mma_sum(kHopperBf16, a.data(), b.data(), 16, 0.5F);
    REQUIRE(bits_of(mma_chain(kHopperBf16, a.data(), b.data(), 32, 0.5F)) ==
            bits_of(mma_sum(kHopperBf16, a.data() + 16, b.data() + 16, 16, first)));
    MmaModel eight = kHopperBf16;
    eight.products = 8;
    // In the first eight 1 and -1 meet, so that nothing is left that the small product could be cut against.
    std::vector<Product> products(16, {0, 0});
    products[0] = {1, 1};
    products[1] = {-1, 1};
    products[9] = {two(-40), 1};
    REQUIRE(bf16_sum(0, products, kHopperBf16) == 0);
    REQUIRE(bf16_sum(0, products, eight) == two(-40));
}

// Single sums of bf16 that an H100 computed (the probes of tests/device/results/2026-11-26-h100-mma-bits.json): c, the
// products that are not zero, and what wgmma and two m16n8k8 wrote.
struct RecordedSum {
    const char* asks;
    std::uint32_t c;
    struct Factor {
        std::size_t k;
        std::uint16_t a, b;
    };
    std::vector<Factor> factors;
    std::uint32_t wgmma, two_of_eight;
};
const RecordedSum kRecordedSums[] = {
    {"1.5 last places are cut to 1", 0x47800000U, {{0, 0xc380, 0x4380}, {5, 0x3dc0, 0x3d00}}, 0x3b000000U, 0x3b000000U},
    {"-1.5 last places: -1 if cut towards zero",
     0x47800000U,
     {{0, 0xc380, 0x4380}, {5, 0xbdc0, 0x3d00}},
     0xbb000000U,
     0xbb000000U},
    {"halves of a last place are cut before the sum",
     0x47800000U,
     {{0, 0xc380, 0x4380},
      {1, 0x3d00, 0x3d00},
      {2, 0x3d00, 0x3d00},
      {3, 0x3d00, 0x3d00},
      {4, 0x3d00, 0x3d00},
      {5, 0x3d00, 0x3d00},
      {6, 0x3d00, 0x3d00},
      {7, 0x3d00, 0x3d00},
      {8, 0x3d00, 0x3d00},
      {9, 0x3d00, 0x3d00},
      {10, 0x3d00, 0x3d00},
      {11, 0x3d00, 0x3d00},
      {12, 0x3d00, 0x3d00},
      {13, 0x3d00, 0x3d00},
      {14, 0x3d00, 0x3d00},
      {15, 0x3d00, 0x3d00}},
     0x00000000U,
     0x3c000000U},
    {"2.25 of 1.5 * 1.5 has exponent 0: last place of 1 is kept",
     0x00000000U,
     {{0, 0x43c0, 0x43c0}, {1, 0xc380, 0x4380}, {2, 0xc380, 0x4380}, {3, 0xc300, 0x4300}, {7, 0x3d80, 0x3d00}},
     0x3b000000U,
     0x3b000000U},
    {"c of 2.25 has exponent 1: last place of 1 is cut",
     0x48100000U,
     {{0, 0xc380, 0x4380}, {1, 0xc380, 0x4380}, {2, 0xc300, 0x4300}, {7, 0x3d80, 0x3d00}},
     0x00000000U,
     0x00000000U},
    {"c with all its bits and a product 8", 0x3f800a01U, {{2, 0x4080, 0x4000}}, 0x41100140U, 0x41100140U},
    {"c = -0, products -0",
     0x80000000U,
     {{0, 0x8000, 0x3f80},
      {1, 0x8000, 0x3f80},
      {2, 0x8000, 0x3f80},
      {3, 0x8000, 0x3f80},
      {4, 0x8000, 0x3f80},
      {5, 0x8000, 0x3f80},
      {6, 0x8000, 0x3f80},
      {7, 0x8000, 0x3f80},
      {8, 0x8000, 0x3f80},
      {9, 0x8000, 0x3f80},
      {10, 0x8000, 0x3f80},
      {11, 0x8000, 0x3f80},
      {12, 0x8000, 0x3f80},
      {13, 0x8000, 0x3f80},
      {14, 0x8000, 0x3f80},
      {15, 0x8000, 0x3f80}},
     0x00000000U,
     0x00000000U},
    {"c = largest f32 and a product 1", 0x7f7fffffU, {{0, 0x3f80, 0x3f80}}, 0x7f7fffffU, 0x7f7fffffU},
    {"c = NaN 7fc00001", 0x7fc00001U, {}, 0x7fffffffU, 0x7fffffffU},
    {"three quarters of the result's last place are cut",
     0x3f800001U,
     {{3, 0x3f80, 0x3f80}, {4, 0x3980, 0x3980}},
     0x40000000U,
     0x40000000U},
    {"2^200 - 2^200", 0x00000000U, {{0, 0x7180, 0x7180}, {1, 0xf180, 0x7180}}, 0x00000000U, 0x00000000U},
    {"2^200 - 2^200 + 2^180",
     0x00000000U,
     {{0, 0x7180, 0x7180}, {1, 0xf180, 0x7180}, {2, 0x6c80, 0x6c80}},
     0x7f800000U,
     0x7f800000U},
    {"2^128 - 2^127", 0xff000000U, {{0, 0x5f80, 0x5f80}}, 0x7f000000U, 0x7f000000U},
    {"infinity * 0", 0x00000000U, {{0, 0x7f80, 0x0000}}, 0x7fffffffU, 0x7fffffffU},
    {"0 * 2^127 beside 1 - 1 + 2^-25",
     0x00000000U,
     {{0, 0x0000, 0x7f00}, {1, 0x3f80, 0x3f80}, {2, 0xbf80, 0x3f80}, {3, 0x3300, 0x3f80}},
     0x33000000U,
     0x33000000U},
    {"denormal bf16 times 2^126", 0x00000000U, {{0, 0x0001, 0x7e80}}, 0x3c000000U, 0x3c000000U},
    {"two denormals, 2^-133 * 2^-133", 0x00000000U, {{0, 0x0001, 0x0001}}, 0x00000000U, 0x00000000U},
    {"product -2^-150: the sign of what is cut to zero", 0x00000000U, {{0, 0x9a00, 0x1a00}}, 0x00000000U, 0x00000000U},
    {"2^4 of 2^-153",
     0x00000000U,
     {{0, 0x1a00, 0x1880},
      {1, 0x1a00, 0x1880},
      {2, 0x1a00, 0x1880},
      {3, 0x1a00, 0x1880},
      {4, 0x1a00, 0x1880},
      {5, 0x1a00, 0x1880},
      {6, 0x1a00, 0x1880},
      {7, 0x1a00, 0x1880},
      {8, 0x1a00, 0x1880},
      {9, 0x1a00, 0x1880},
      {10, 0x1a00, 0x1880},
      {11, 0x1a00, 0x1880},
      {12, 0x1a00, 0x1880},
      {13, 0x1a00, 0x1880},
      {14, 0x1a00, 0x1880},
      {15, 0x1a00, 0x1880}},
     0x00000001U,
     0x00000000U},
    {"2^-149 - 15 of 2^-158",
     0x00000000U,
     {{0, 0x1a00, 0x1a80},
      {1, 0x9a00, 0x1600},
      {2, 0x9a00, 0x1600},
      {3, 0x9a00, 0x1600},
      {4, 0x9a00, 0x1600},
      {5, 0x9a00, 0x1600},
      {6, 0x9a00, 0x1600},
      {7, 0x9a00, 0x1600},
      {8, 0x9a00, 0x1600},
      {9, 0x9a00, 0x1600},
      {10, 0x9a00, 0x1600},
      {11, 0x9a00, 0x1600},
      {12, 0x9a00, 0x1600},
      {13, 0x9a00, 0x1600},
      {14, 0x9a00, 0x1600},
      {15, 0x9a00, 0x1600}},
     0x00000000U,
     0x00000000U},
    {"2^-149 - 15 of 2^-159",
     0x00000000U,
     {{0, 0x1a00, 0x1a80},
      {1, 0x9a00, 0x1580},
      {2, 0x9a00, 0x1580},
      {3, 0x9a00, 0x1580},
      {4, 0x9a00, 0x1580},
      {5, 0x9a00, 0x1580},
      {6, 0x9a00, 0x1580},
      {7, 0x9a00, 0x1580},
      {8, 0x9a00, 0x1580},
      {9, 0x9a00, 0x1580},
      {10, 0x9a00, 0x1580},
      {11, 0x9a00, 0x1580},
      {12, 0x9a00, 0x1580},
      {13, 0x9a00, 0x1580},
      {14, 0x9a00, 0x1580},
      {15, 0x9a00, 0x1580}},
     0x00000001U,
     0x00000001U},
};

TEST_CASE("single sums are what an H100 wrote") {
    for (const RecordedSum& sum : kRecordedSums) {
        CAPTURE(sum.asks);
        std::uint16_t a[16] = {}, b[16] = {};
        for (const RecordedSum::Factor& factor : sum.factors) {
            a[factor.k] = factor.a;
            b[factor.k] = factor.b;
        }
        MmaModel eight = kHopperBf16;
        eight.products = 8;
        const float c = __builtin_bit_cast(float, sum.c);
        CHECK(bits_of(mma_chain(kHopperBf16, a, b, 16, c)) == sum.wgmma);
        CHECK(bits_of(mma_chain(eight, a, b, 16, c)) == sum.two_of_eight);
    }
}

// From the same file: digests of the first outputs for the data of
// tests/device/mma_inputs.hpp. bf16 in sums of 16 is wgmma and mma.sync m16n8k16, in sums of 8 mma.sync m16n8k8.
struct Recorded {
    int code_bytes, products;
    device::Pattern pattern;
    int k, outputs;
    std::uint64_t digest;
};
using device::Pattern;
const Recorded kRecorded[] = {
    {2, 16, Pattern::unit, 16, 16384, 0x09f668688e288e37U},    {2, 8, Pattern::unit, 16, 16384, 0x035236d12e885db2U},
    {2, 16, Pattern::wide, 16, 16384, 0x454aa309596055d0U},    {2, 8, Pattern::wide, 16, 16384, 0xfe3c91b3cf019faaU},
    {2, 16, Pattern::cancel, 16, 16384, 0x956f4376ce566c4dU},  {2, 8, Pattern::cancel, 16, 16384, 0x8f43ed53579f4098U},
    {2, 16, Pattern::zeros, 16, 16384, 0x489bf013b4a77099U},   {2, 8, Pattern::zeros, 16, 16384, 0x7f4253e03bf3fcffU},
    {2, 16, Pattern::tiny, 16, 16384, 0x895fec0b13b4c34aU},    {2, 8, Pattern::tiny, 16, 16384, 0xe9ac89e867936ab2U},
    {2, 16, Pattern::bottom, 16, 16384, 0x09c3a1b46f6bfecbU},  {2, 8, Pattern::bottom, 16, 16384, 0xe2b4023872520cdbU},
    {2, 16, Pattern::range, 16, 16384, 0xb059f1c567b8bb76U},   {2, 8, Pattern::range, 16, 16384, 0x6d13b663c11c839fU},
    {2, 16, Pattern::any, 16, 16384, 0x62ed77b94c40f37bU},     {2, 8, Pattern::any, 16, 16384, 0xfd6f464bd3510e67U},
    {2, 16, Pattern::unit, 2048, 2048, 0xfa0cb02b3604d4e5U},   {2, 8, Pattern::unit, 2048, 2048, 0xd719c51ff9fa6997U},
    {2, 16, Pattern::wide, 2048, 2048, 0x0a29f09fb76bf21eU},   {2, 8, Pattern::wide, 2048, 2048, 0xc384cb16ee885a65U},
    {2, 16, Pattern::cancel, 2048, 2048, 0x4d687c3214d4f55eU}, {2, 8, Pattern::cancel, 2048, 2048, 0x36b1ddbf43609738U},
    {1, 32, Pattern::unit, 32, 16384, 0xe812b5ec5a08db25U},    {1, 32, Pattern::wide, 32, 16384, 0xb87b12cfb2af5f25U},
    {1, 32, Pattern::cancel, 32, 16384, 0x105f7fd5fa1a0725U},  {1, 32, Pattern::zeros, 32, 16384, 0x896e888c7edfab25U},
    {1, 32, Pattern::tiny, 32, 16384, 0xda103660e5fb8f25U},    {1, 32, Pattern::bottom, 32, 16384, 0xc6ed77d6ae2e8b25U},
    {1, 32, Pattern::range, 32, 16384, 0xf2d1eb9de5cc1325U},   {1, 32, Pattern::any, 32, 16384, 0x387cafa46dd0cca1U},
    {1, 32, Pattern::unit, 4096, 2048, 0x278b103efaddcb25U},   {1, 32, Pattern::wide, 4096, 2048, 0x9ac83e5d7124eb25U},
    {1, 32, Pattern::cancel, 4096, 2048, 0xa2e59dfc77a61725U},
};

// Rows of A and columns of B as the device program lays them out: the first problem, 256 columns.
template <class Code>
std::uint64_t digest_of_model(const Recorded& recorded) {
    const auto k = static_cast<std::size_t>(recorded.k);
    const std::size_t rows = static_cast<std::size_t>(recorded.outputs) / 256;
    const auto codes = [&](device::Operand operand, std::size_t count) {
        std::vector<Code> values(count * k);
        for (std::size_t i = 0; i < values.size(); ++i)
            values[i] = device::make_code(static_cast<const Code*>(nullptr), recorded.pattern, operand, i);
        return values;
    };
    const std::vector<Code> a = codes(device::Operand::a, rows), b = codes(device::Operand::b, 256);
    MmaModel model = sizeof(Code) == 2 ? kHopperBf16 : kHopperE4m3;
    if (recorded.products == 8) model.products = 8;
    REQUIRE(model.products == recorded.products);
    std::uint64_t digest = device::kDigestStart;
    for (std::size_t i = 0; i < rows * 256; ++i) {
        const float c = device::make_accumulator(sizeof(Code), recorded.pattern, i);
        digest = device::digest_with(digest, mma_chain(model, &a[i / 256 * k], &b[i % 256 * k], recorded.k, c));
    }
    return digest;
}

TEST_CASE("the model writes the bits that an H100 wrote, on every kind of data") {
    for (const Recorded& recorded : kRecorded) {
        CAPTURE(recorded.code_bytes, recorded.products, static_cast<int>(recorded.pattern), recorded.k);
        const std::uint64_t digest = recorded.code_bytes == 2 ? digest_of_model<std::uint16_t>(recorded)
                                                              : digest_of_model<std::uint8_t>(recorded);
        CHECK(digest == recorded.digest);
    }
}

}  // namespace
}  // namespace argosy::test
