// What one matrix instruction of a tensor core does to one output element, in integers, to the last bit.
//
// An output is d = c + a[0] b[0] + ... + a[n-1] b[n-1]. IEEE 754 knows no such sum; the hardware makes it like this:
//   1. Products are exact. A product's exponent is the sum of its operands' exponents and its significand, below 4, is
//      not normalised. Operands below the normal range are used as they are, with the smallest exponent.
//   2. The largest exponent of all products and of c is found.
//   3. Every term is shifted to that exponent and cut off `fraction_bits` below it.
//   4. The cut terms are added exactly.
//   5. The sum is normalised and cut off to f32, or to fewer bits of one.
// No step depends on the order of the products, nor on where in the matrix the element stands. That is why the shape of
// a tile is free while the number of products that are summed in one go is not: it decides which terms meet in step 2.
// Cutting is always towards zero. With E the largest exponent a step loses less than (n + 1) 2^(E - fraction_bits) and
// less than one last place of the result; losses of one sign add up along a chain, where roundings would mostly cancel.
//
// Example, fraction_bits = 25: c = 1, products -1 and 3 * 2^-26. The largest exponent is 0, so the last place is 2^-25.
// The small product is 1.5 last places and is cut to one; the sum is 2^-25, where the true one is 3 * 2^-26. With a
// product 1.5 * 1.5 in the place of 1 the same holds: 2.25 still has the exponent 0.
//
// The form of the model (products aligned to the largest exponent and cut off, the accumulator among them) is that of
// Fasi, Higham, Mikaitis and Pranesh 2021, "Numerical behavior of NVIDIA tensor cores"; numbers for more GPUs are in
// Xie, Wang, Yang and Yang 2025, "MMA-Sim" (arXiv 2511.10909) and Khattak and Mikaitis 2025, "Accurate models of NVIDIA
// tensor cores" (arXiv 2512.07004). The parameters below are those that agreed with an H100 bit by bit
// (tests/device/README.md).
#pragma once

#include <cstdint>

#include "kernels/base/inline.hpp"

namespace argosy {

enum class MmaRounding : std::uint8_t { toward_zero, down, nearest_even };

struct MmaModel {
    int products = 16;        // summed in one go; a longer step is a chain of such sums
    int fraction_bits = 25;   // of an aligned term, at most 40
    int result_bits = 23;     // fraction bits of the result, at most 23
    int exponent_min = -133;  // the exponent to align to is never smaller: no last place is below 2^-158
    MmaRounding alignment = MmaRounding::toward_zero;
    MmaRounding result = MmaRounding::toward_zero;
    bool accumulator_aligned = true;  // with the products; else it is added to their rounded sum
    bool zeros_align = false;         // a product that is zero has an exponent like any other
};

// wgmma (m64 nN k16) and mma.sync m16n8k16 of a Hopper GPU on bf16; with products = 8, mma.sync m16n8k8.
inline constexpr MmaModel kHopperBf16{};
// wgmma on fp8 E4M3: 32 products in one go, and both a term and the result keep 13 bits.
inline constexpr MmaModel kHopperE4m3{32, 13, 13};

// One summand: significand * 2^(exponent - fraction_bits), exact.
struct MmaTerm {
    std::int64_t significand;
    int exponent;
    int fraction_bits;
    int special;  // 0 for a number, 1 for +infinity, 2 for -infinity, 3 for NaN: joining two is `or`
};

// bf16. A field of zero is a denormal: no hidden bit, and the exponent of the field one.
ARGOSY_INLINE MmaTerm mma_term(std::uint16_t code) {
    const int field = (code >> 7) & 0xff, mantissa = code & 0x7f;
    const bool negative = (code & 0x8000) != 0;
    const int magnitude = field == 0 ? mantissa : mantissa | 0x80;
    const int infinity = negative ? 2 : 1;
    return {negative ? -magnitude : magnitude, field == 0 ? -126 : field - 127, 7,
            field != 0xff   ? 0
            : mantissa == 0 ? infinity
                            : 3};
}

// fp8 E4M3.
ARGOSY_INLINE MmaTerm mma_term(std::uint8_t code) {
    const int field = (code >> 3) & 0xf, mantissa = code & 7;
    const int magnitude = field == 0 ? mantissa : mantissa | 8;
    return {(code & 0x80) != 0 ? -magnitude : magnitude, field == 0 ? -6 : field - 7, 3, (code & 0x7f) == 0x7f ? 3 : 0};
}

ARGOSY_INLINE MmaTerm mma_term(float value) {
    const std::uint32_t bits = __builtin_bit_cast(std::uint32_t, value);
    const int field = static_cast<int>(bits >> 23) & 0xff, mantissa = static_cast<int>(bits & 0x7fffffU);
    const bool negative = (bits >> 31) != 0;
    const int magnitude = field == 0 ? mantissa : mantissa | 0x800000;
    const int infinity = negative ? 2 : 1;
    return {negative ? -magnitude : magnitude, field == 0 ? -126 : field - 127, 23,
            field != 0xff   ? 0
            : mantissa == 0 ? infinity
                            : 3};
}

ARGOSY_INLINE MmaTerm mma_product(MmaTerm a, MmaTerm b) {
    MmaTerm product = {a.significand * b.significand, a.exponent + b.exponent, a.fraction_bits + b.fraction_bits, 0};
    if ((a.special | b.special) != 0) {
        const bool a_zero = a.special == 0 && a.significand == 0, b_zero = b.special == 0 && b.significand == 0;
        const bool negative = (a.special == 2 || (a.special == 0 && a.significand < 0)) !=
                              (b.special == 2 || (b.special == 0 && b.significand < 0));
        product.special = a.special == 3 || b.special == 3 || a_zero || b_zero ? 3 : negative ? 2 : 1;
    }
    return product;
}

// value / 2^places, rounded to an integer.
ARGOSY_INLINE std::int64_t mma_shift_right(std::int64_t value, int places, MmaRounding rounding) {
    const std::uint64_t magnitude = static_cast<std::uint64_t>(value < 0 ? -value : value);
    std::uint64_t kept = places > 63 ? 0 : magnitude >> places;
    const std::uint64_t lost = places > 63 ? magnitude : magnitude - (kept << places);
    if (rounding == MmaRounding::down && value < 0 && lost != 0) ++kept;
    if (rounding == MmaRounding::nearest_even && places > 0 && places <= 63) {
        const std::uint64_t half = 1ULL << (places - 1);
        if (lost > half || (lost == half && (kept & 1U) != 0)) ++kept;
    }
    return value < 0 ? -static_cast<std::int64_t>(kept) : static_cast<std::int64_t>(kept);
}

// The term in units of 2^(exponent - model.fraction_bits).
ARGOSY_INLINE std::int64_t mma_aligned(const MmaModel& model, const MmaTerm& term, int exponent) {
    if (term.significand == 0) return 0;  // its exponent may be larger
    const int places = exponent - term.exponent + term.fraction_bits - model.fraction_bits;
    return places <= 0 ? term.significand * (std::int64_t{1} << -places)
                       : mma_shift_right(term.significand, places, model.alignment);
}

// sum * 2^exponent as an f32 of model.result_bits fraction bits; below the normal range the last place is that of the
// smallest normal number, and beyond the largest number is infinity. Zero is +0, also where a negative sum is cut to
// it.
ARGOSY_INLINE float mma_rounded(const MmaModel& model, std::int64_t sum, int exponent) {
    if (sum == 0) return 0.0F;
    // The exponent of |sum|, which is exact as a double.
    const double as_double = static_cast<double>(sum < 0 ? -sum : sum);
    const int leading = static_cast<int>(__builtin_bit_cast(std::uint64_t, as_double) >> 52) - 1023;
    const int smallest = -126 - model.result_bits - exponent;
    const int places = leading - model.result_bits > smallest ? leading - model.result_bits : smallest;
    const std::int64_t rounded =
        places <= 0 ? sum * (std::int64_t{1} << -places) : mma_shift_right(sum, places, model.result);
    const std::int64_t magnitude = rounded < 0 ? -rounded : rounded;
    // A significand that reaches the hidden bit adds one to the exponent field by carrying into it.
    const std::int64_t field = exponent + places + model.result_bits + 126;
    const std::int64_t code = ((field << model.result_bits) + magnitude) << (23 - model.result_bits);
    const std::uint32_t sign = rounded < 0 ? 0x80000000U : 0U;
    const std::uint32_t bits = code > 0x7f800000 ? 0x7f800000U : static_cast<std::uint32_t>(code);
    return __builtin_bit_cast(float, bits | sign);
}

// 1: +infinity, 2: -infinity, 3: the NaN that the hardware writes whatever NaN it read.
ARGOSY_INLINE float mma_special(int special) {
    const std::uint32_t bits = special == 1 ? 0x7f800000U : special == 2 ? 0xff800000U : 0x7fffffffU;
    return __builtin_bit_cast(float, bits);
}

// The exponent with which a term takes part in the search for the largest.
ARGOSY_INLINE int mma_exponent(const MmaModel& model, const MmaTerm& term) {
    return term.significand == 0 && !model.zeros_align ? -1000 : term.exponent;
}

// c + a[0] b[0] + ... + a[count-1] b[count-1], all in one go.
template <class Code>
ARGOSY_INLINE float mma_sum(const MmaModel& model, const Code* a, const Code* b, int count, float c) {
    const MmaTerm accumulator = mma_term(c);
    int largest = model.exponent_min, special = accumulator.special;
    for (int k = 0; k < count; ++k) {
        const MmaTerm product = mma_product(mma_term(a[k]), mma_term(b[k]));
        const int exponent = mma_exponent(model, product);
        largest = exponent > largest ? exponent : largest;
        special |= product.special;
    }
    if (special != 0) return mma_special(special);
    const int own = mma_exponent(model, accumulator);
    if (model.accumulator_aligned && own > largest) largest = own;
    std::int64_t sum = model.accumulator_aligned ? mma_aligned(model, accumulator, largest) : 0;
    for (int k = 0; k < count; ++k) sum += mma_aligned(model, mma_product(mma_term(a[k]), mma_term(b[k])), largest);
    const float joined = mma_rounded(model, sum, largest - model.fraction_bits);
    if (model.accumulator_aligned) return joined;
    const MmaTerm products = mma_term(joined);
    if (products.special != 0) return joined;
    largest = own > products.exponent ? own : products.exponent;
    sum = mma_aligned(model, products, largest) + mma_aligned(model, accumulator, largest);
    return mma_rounded(model, sum, largest - model.fraction_bits);
}

// The chain of a row and a column: sums of model.products, each with the result of the one before it as its c.
template <class Code>
ARGOSY_INLINE float mma_chain(const MmaModel& model, const Code* a, const Code* b, int count, float c) {
    for (int k = 0; k < count; k += model.products)
        c = mma_sum(model, a + k, b + k, count - k < model.products ? count - k : model.products, c);
    return c;
}

}  // namespace argosy
