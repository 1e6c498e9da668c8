// The probes: what each asks stands in its name.
#include <cmath>
#include <limits>

#include "tests/device/mma_probes.hpp"

namespace argosy::device {

namespace {

float two(int exponent) { return std::ldexp(1.0F, exponent); }

// `count` products of value * 1 from k = first on.
std::vector<Factor> repeated(int first, int count, float value) {
    std::vector<Factor> factors;
    for (int k = first; k < first + count; ++k) factors.push_back({k, value, 1});
    return factors;
}

// Probes that both formats can hold. `f` is the fraction bits that an aligned term is expected to keep.
void add_common(std::vector<Probe>& probes, int products, int f) {
    const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
    const float large = 65536, last = 65536 * two(-f);
    // A product of two powers of two that is `value`.
    const auto small = [](int k, float value) {
        int exponent = 0;
        const float fraction = std::frexp(value, &exponent) * 2;
        --exponent;
        return Factor{k, fraction * std::ldexp(1.0F, exponent / 2), std::ldexp(1.0F, exponent - exponent / 2)};
    };
    probes.push_back({"last place kept: 2^16 - 2^16 + 2^(16-f)", large, {{0, -256, 256}, small(5, last)}});
    probes.push_back({"below the last place: half of it is cut", large, {{0, -256, 256}, small(5, last / 2)}});
    probes.push_back({"1.5 last places are cut to 1", large, {{0, -256, 256}, small(5, 1.5F * last)}});
    probes.push_back({"-0.5 last places: 0 if cut towards zero", large, {{0, -256, 256}, small(5, -last / 2)}});
    probes.push_back({"-1.5 last places: -1 if cut towards zero", large, {{0, -256, 256}, small(5, -1.5F * last)}});
    Probe halves{"halves of a last place are cut before the sum", large, {{0, -256, 256}}};
    for (int k = 1; k < products; ++k) halves.factors.push_back(small(k, last / 2));
    probes.push_back(halves);
    probes.push_back({"2.25 of 1.5 * 1.5 has exponent 0: last place of 1 is kept",
                      0,
                      {{0, 384, 384}, {1, -256, 256}, {2, -256, 256}, {3, -128, 128}, small(7, last)}});
    probes.push_back({"c of 2.25 has exponent 1: last place of 1 is cut",
                      2.25F * large,
                      {{0, -256, 256}, {1, -256, 256}, {2, -128, 128}, small(7, last)}});
    probes.push_back({"2 + 2^-23: half of the result's last place is cut", 1 + two(-23), {{3, 1, 1}}});
    probes.push_back({"the same, negative", -1 - two(-23), {{3, -1, 1}}});
    probes.push_back({"c with all its bits, nothing added", 1 + two(-12) + two(-13) + two(-14) + two(-23), {}});
    probes.push_back({"c with all its bits and a product 2", 1 + two(-12) + two(-14) + two(-23), {{2, 2, 1}}});
    probes.push_back({"c with all its bits and a product 4", 1 + two(-12) + two(-14) + two(-23), {{2, 2, 2}}});
    probes.push_back({"c with all its bits and a product 8", 1 + two(-12) + two(-14) + two(-23), {{2, 4, 2}}});
    probes.push_back({"carries: all products 1.5 * 1.5", 3, {}});
    for (int k = 0; k < products; ++k) probes.back().factors.push_back({k, 1.5F, 1.5F});
    probes.push_back({"exact cancellation of products", 0, {{0, 1, 1}, {9, -1, 1}}});
    probes.push_back({"exact cancellation of c", -1, {{4, 1, 1}}});
    probes.push_back({"all zero, c = +0", 0, {}});
    probes.push_back({"c = -0, products +0", -0.0F, {}});
    probes.push_back({"c = -0, products -0", -0.0F, repeated(0, products, -0.0F)});
    probes.push_back({"c = +0, products -0", 0.0F, repeated(0, products, -0.0F)});
    probes.push_back({"c = smallest denormal f32", two(-149), {}});
    probes.push_back({"c = -largest denormal f32", -(two(-126) - two(-149)), {}});
    probes.push_back({"c = largest f32", std::numeric_limits<float>::max(), {}});
    probes.push_back({"c = largest f32 and a product 1", std::numeric_limits<float>::max(), {{0, 1, 1}}});
    probes.push_back({"c = infinity", inf, {{0, 1, 1}}});
    probes.push_back({"c = NaN 7fc00001", __builtin_bit_cast(float, 0x7fc00001U), {}});
    probes.push_back({"a product NaN * 1", 0, {{0, -nan, 1}}});
}

void add_bf16(std::vector<Probe>& probes) {
    const float inf = std::numeric_limits<float>::infinity();
    for (const float sign : {1.0F, -1.0F})
        probes.push_back({sign > 0 ? "three quarters of the result's last place are cut" : "the same, negative",
                          sign * (1 + two(-23)),
                          {{3, sign, 1}, {4, sign * two(-12), two(-12)}}});
    probes.push_back({"2^127 + 2^127", two(127), {{0, two(127), 1}}});
    probes.push_back({"-2^127 - 2^127 in products", 0, {{0, -two(127), 1}, {1, -two(127), 1}}});
    probes.push_back({"2^200 alone", 0, {{0, two(100), two(100)}}});
    probes.push_back({"2^200 - 2^200", 0, {{0, two(100), two(100)}, {1, -two(100), two(100)}}});
    probes.push_back(
        {"2^200 - 2^200 + 2^180", 0, {{0, two(100), two(100)}, {1, -two(100), two(100)}, {2, two(90), two(90)}}});
    probes.push_back({"2^128 - 2^127", -two(127), {{0, two(64), two(64)}}});
    probes.push_back({"infinity * 1", 0, {{0, inf, 1}}});
    probes.push_back({"infinity * -1", 0, {{0, inf, -1}}});
    probes.push_back({"infinity * 0", 0, {{0, inf, 0}}});
    probes.push_back({"infinity - infinity in products", 0, {{0, inf, 1}, {1, -inf, 1}}});
    probes.push_back({"infinity in a product, -infinity in c", -inf, {{0, inf, 1}}});
    probes.push_back({"0 * 2^127 beside 2^-30", 0, {{0, 0, two(127)}, {1, two(-15), two(-15)}}});
    probes.push_back(
        {"0 * 2^127 beside 1 - 1 + 2^-25", 0, {{0, 0, two(127)}, {1, 1, 1}, {2, -1, 1}, {3, two(-25), 1}}});
    probes.push_back({"denormal bf16 times 2^126", 0, {{0, two(-133), two(126)}}});
    probes.push_back({"denormal bf16 has the smallest exponent: beside it 2^-126 - 2^-126 + 2^-133 * 2^-18",
                      two(-126),
                      {{0, -two(-126), 1}, {1, two(-133), two(-18)}}});
    probes.push_back({"two denormals, 2^-133 * 2^-133", 0, {{0, two(-133), two(-133)}}});
    probes.push_back({"product 2^-149", 0, {{0, two(-75), two(-74)}}});
    probes.push_back({"product -2^-149", 0, {{0, -two(-75), two(-74)}}});
    probes.push_back({"product 2^-150", 0, {{0, two(-75), two(-75)}}});
    probes.push_back({"product -2^-150: the sign of what is cut to zero", 0, {{0, -two(-75), two(-75)}}});
    probes.push_back({"product 1.5 * 2^-149", 0, {{0, 1.5F * two(-75), two(-74)}}});
    probes.push_back({"two of 2^-150", 0, {{0, two(-75), two(-75)}, {1, two(-75), two(-75)}}});
    // Sixteen times 2^-153 are 2^-149, unless each is cut where a largest exponent of at least -127 or so would cut it.
    for (const int exponent : {150, 151, 152, 153}) {
        Probe probe{"2^" + std::to_string(exponent - 149) + " of 2^-" + std::to_string(exponent), 0, {}};
        for (int k = 0; k < 1 << (exponent - 149); ++k) probe.factors.push_back({k, two(-75), two(75 - exponent)});
        probes.push_back(probe);
    }
    for (const int fraction : {154, 156, 157, 158, 159}) {
        Probe probe{"2^-149 - 15 of 2^-" + std::to_string(fraction), 0, {{0, two(-75), two(-74)}}};
        for (int k = 1; k < 16; ++k) probe.factors.push_back({k, -two(-75), two(75 - fraction)});
        probes.push_back(probe);
    }
}

void add_e4m3(std::vector<Probe>& probes) {
    probes.push_back({"the largest product, 448 * 448, 32 times", 0, {}});
    for (int k = 0; k < 32; ++k) probes.back().factors.push_back({k, 448, 448});
    probes.push_back({"the smallest product, 2^-9 * 2^-9", 0, {{31, two(-9), two(-9)}}});
    probes.push_back({"a denormal has the exponent -6: 2^-12 - 2^-12 + 2^-18",
                      0,
                      {{0, two(-6), two(-6)}, {1, -two(-6), two(-6)}, {2, two(-9), two(-9)}}});
    probes.push_back({"c = 2^127 and a product", two(127), {{0, 448, 448}}});
    probes.push_back({"c denormal of f32 with 13 bits", two(-126) * (1 - two(-13)), {}});
    probes.push_back({"c denormal of f32 with 14 bits", two(-126) * (1 - two(-14)), {}});
    probes.push_back({"-c denormal of f32 with the 14th bit alone", -two(-126) * two(-14), {}});
}

}  // namespace

std::vector<Probe> hand_made_probes(int code_bytes) {
    std::vector<Probe> probes;
    add_common(probes, 32 / code_bytes, code_bytes == 2 ? 25 : 13);
    if (code_bytes == 2)
        add_bf16(probes);
    else
        add_e4m3(probes);
    return probes;
}

std::vector<DepthRow> depth_rows(int code_bytes) {
    const int last = 32 / code_bytes - 1;
    const std::string last_name = "k[" + std::to_string(last) + "]";
    return {{"c - k[0]", -1, 0, {}},
            {"c - " + last_name, -1, last, {}},
            {"k[0] - " + last_name, 0, last, {}},
            {"k[0] - k[1]", 0, 1, {}}};
}

}  // namespace argosy::device
