// Data for the checks of matrix instructions: each code and accumulator a function of (pattern, position), the same on
// host and device.
#pragma once

#include <cstdint>

#include "kernels/base/philox.hpp"
#include "kernels/quant/bf16.hpp"
#include "kernels/quant/fp8.hpp"

namespace argosy::device {

enum class Pattern : int {
    unit,    // even in [-1, 1)
    wide,    // any mantissa, exponents over 40 binades (fp8: all it has)
    cancel,  // products come in pairs of opposite sign that cancel, or almost
    zeros,   // every second product is a zero of either sign times any number
    tiny,    // products and accumulators around and below the smallest normal f32
    bottom,  // products of bf16 around and below the smallest denormal f32; fp8: zeros, and a denormal accumulator
    range,   // any finite code: sums overflow
    any,     // any code: infinities and NaN too
};
inline constexpr int kPatterns = 8;
inline constexpr const char* kPatternNames[kPatterns] = {"unit", "wide",   "cancel", "zeros",
                                                         "tiny", "bottom", "range",  "any"};

// Which of the three operands a number is for.
enum class Operand : std::uint32_t { a, b, c };

// FNV-1a over the words of f32, so that a few lines of golden values stand for many outputs.
inline constexpr std::uint64_t kDigestStart = 0xcbf29ce484222325U;
ARGOSY_INLINE std::uint64_t digest_with(std::uint64_t digest, float value) {
    return (digest ^ __builtin_bit_cast(std::uint32_t, value)) * 0x100000001b3U;
}

ARGOSY_INLINE PhiloxWords random_words(Pattern pattern, Operand operand, std::uint64_t position) {
    const PhiloxWords counter{{static_cast<std::uint32_t>(position), static_cast<std::uint32_t>(position >> 32),
                               static_cast<std::uint32_t>(operand), 0}};
    return philox4x32_10(counter, 20U + static_cast<std::uint32_t>(pattern), 7U);
}

// A number in [-1, 1), a multiple of 2^-31.
ARGOSY_INLINE float random_unit(std::uint32_t word) {
    return static_cast<float>(static_cast<double>(static_cast<std::int32_t>(word)) * 0x1p-31);
}

// Sign and mantissa from `word`, exponent field from first to first + count - 1.
ARGOSY_INLINE std::uint16_t bf16_of(std::uint32_t word, std::uint32_t choice, int first, int count) {
    const std::uint32_t field = static_cast<std::uint32_t>(first) +
                                static_cast<std::uint32_t>((static_cast<std::uint64_t>(choice) * count) >> 32);
    return static_cast<std::uint16_t>((word & 0x807fU) | field << 7);
}

ARGOSY_INLINE std::uint16_t make_code(const std::uint16_t*, Pattern pattern, Operand operand, std::uint64_t position) {
    const PhiloxWords random = random_words(pattern, operand, position);
    const std::uint32_t word = random.word[0], choice = random.word[1];
    if (pattern == Pattern::unit) return encode_bf16(random_unit(word));
    if (pattern == Pattern::wide) return bf16_of(word, choice, 107, 40);
    if (pattern == Pattern::zeros && position % 2 == 1)
        return operand == Operand::a ? static_cast<std::uint16_t>(word & 0x8000U) : bf16_of(word, choice, 0, 255);
    if (pattern == Pattern::zeros) return bf16_of(word, choice, 107, 20);
    if (pattern == Pattern::bottom)
        return operand == Operand::a ? bf16_of(word, choice, 39, 12) : bf16_of(word, choice, 53, 4);
    if (pattern == Pattern::tiny)
        return operand == Operand::a ? bf16_of(word, choice, 0, 20) : bf16_of(word, choice, 96, 36);
    if (pattern == Pattern::range) return bf16_of(word, choice, 0, 255);
    if (pattern == Pattern::any && (random.word[2] & 127U) == 0) return static_cast<std::uint16_t>(word | 0x7f80U);
    if (pattern == Pattern::any) return bf16_of(word, choice, 0, 255);
    // cancel: the second of a pair is the first, for A with the other sign, and in one of four cases one bit off.
    const PhiloxWords pair = random_words(pattern, operand, position / 2);
    const std::uint16_t code = bf16_of(pair.word[0], pair.word[1], 121, 12);
    if (position % 2 == 0) return code;
    const std::uint32_t flipped = (word & 3U) == 0 ? 1U << (choice & 7U) : 0U;
    return static_cast<std::uint16_t>((code ^ (operand == Operand::a ? 0x8000U : 0U)) ^ flipped);
}

ARGOSY_INLINE std::uint8_t make_code(const std::uint8_t*, Pattern pattern, Operand operand, std::uint64_t position) {
    const PhiloxWords random = random_words(pattern, operand, position);
    const auto code = static_cast<std::uint8_t>(random.word[0]);
    const auto finite = static_cast<std::uint8_t>((code & 0x7fU) == 0x7fU ? code & 0xfeU : code);
    if (pattern == Pattern::unit) return encode_e4m3(16.0F * random_unit(random.word[0]));
    const bool zero = pattern == Pattern::bottom || (pattern == Pattern::zeros && position % 2 == 1);
    if (zero) return operand == Operand::a ? static_cast<std::uint8_t>(code & 0x80U) : finite;
    if (pattern == Pattern::zeros) return static_cast<std::uint8_t>(code & 0xbfU);  // below 2
    if (pattern == Pattern::tiny) return static_cast<std::uint8_t>(code & 0x9fU);   // up to 2^-3, a quarter denormal
    if (pattern == Pattern::any) return (random.word[2] & 63U) == 0 ? static_cast<std::uint8_t>(code | 0x7fU) : code;
    if (pattern != Pattern::cancel) return finite;
    const auto pair = static_cast<std::uint8_t>(random_words(pattern, operand, position / 2).word[0] & 0xfeU);
    if (position % 2 == 0) return pair;
    const std::uint32_t flipped = (random.word[1] & 3U) == 0 ? 1U << (random.word[2] & 3U) : 0U;
    const std::uint32_t second = (pair ^ (operand == Operand::a ? 0x80U : 0U)) ^ flipped;
    return static_cast<std::uint8_t>((second & 0x7fU) == 0x7fU ? second & 0xfeU : second);
}

ARGOSY_INLINE float f32_of(std::uint32_t word, std::uint32_t choice, int first, int count) {
    const std::uint32_t field = static_cast<std::uint32_t>(first) +
                                static_cast<std::uint32_t>((static_cast<std::uint64_t>(choice) * count) >> 32);
    return __builtin_bit_cast(float, (word & 0x807fffffU) | field << 23);
}

// Accumulators that suit the products of a pattern; `code_bytes` of 2: bf16, of 1: fp8.
ARGOSY_INLINE float make_accumulator(int code_bytes, Pattern pattern, std::uint64_t position) {
    const PhiloxWords random = random_words(pattern, Operand::c, position);
    const std::uint32_t word = random.word[0], choice = random.word[1];
    if (pattern == Pattern::unit) return (code_bytes == 2 ? 4.0F : 512.0F) * random_unit(word);
    if (pattern == Pattern::wide) return f32_of(word, choice, code_bytes == 2 ? 97 : 104, code_bytes == 2 ? 60 : 46);
    if (pattern == Pattern::cancel) return f32_of(word, choice, 107, 24);
    if (pattern == Pattern::zeros)
        return (random.word[2] & 1U) != 0 ? f32_of(word, choice, 112, 24)
                                          : __builtin_bit_cast(float, word & 0x80000000U);
    if (pattern == Pattern::tiny) return f32_of(word, choice, 0, code_bytes == 2 ? 24 : 120);
    if (pattern == Pattern::bottom && code_bytes == 1) return f32_of(word, choice, 0, 3);
    if (pattern == Pattern::bottom) return __builtin_bit_cast(float, word & 0x80000003U);
    if (pattern == Pattern::any && (random.word[2] & 15U) == 0) return __builtin_bit_cast(float, word | 0x7f800000U);
    return f32_of(word, choice, 0, 255);
}

}  // namespace argosy::device
