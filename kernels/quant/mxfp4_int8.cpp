// The tables, and which of them a block's groups take.
#include "kernels/quant/mxfp4_int8.hpp"

#include "kernels/quant/fp8.hpp"

namespace argosy {

namespace {

constexpr int kLeastDifference = -11;

// Magnitudes of E2M1, by its lower three bits.
constexpr float kMagnitude[8] = {0, 0.5F, 1, 1.5F, 2, 3, 4, 6};

constexpr float power_of_two(int exponent) {
    return __builtin_bit_cast(float, static_cast<std::uint32_t>(exponent + 127) << 23);
}

constexpr Mxfp4Tables make_tables() {
    Mxfp4Tables tables{};
    for (auto& code : tables.code[0]) code = 128;
    for (int largest = 1; largest < 8; ++largest) {
        const float inverse = 127.0F / kMagnitude[largest];
        for (int difference = 0; difference < kMxfp4Differences; ++difference) {
            const float scale = power_of_two(difference + kLeastDifference);
            auto& table = tables.code[1 + (largest - 1) * kMxfp4Differences + difference];
            for (int i = 0; i < 8; ++i) {
                const int code = int8_code(kMagnitude[i] * scale, inverse);
                table[i] = static_cast<std::uint8_t>(128 + code);
                table[8 + i] = static_cast<std::uint8_t>(128 - code);
            }
        }
    }
    return tables;
}

int largest_code(const std::byte* codes) {
    int largest = 0;
    for (int i = 0; i < kMxfp4Block / 2; ++i) {
        const int both = static_cast<int>(codes[i]);
        const int low = both & 7;
        const int high = both >> 4 & 7;
        largest = low > largest ? low : largest;
        largest = high > largest ? high : largest;
    }
    return largest;
}

}  // namespace

constexpr Mxfp4Tables kTables = make_tables();
const Mxfp4Tables kMxfp4CodeTables = kTables;

Mxfp4Block mxfp4_block(const std::byte* scales, const std::byte* codes, int groups) {
    Mxfp4Block block;
    float largest = 0;
    int of_largest = 0;
    int exponent_of_largest = 0;
    for (int g = 0; g < groups; ++g) {
        const int code = largest_code(codes + g * (kMxfp4Block / 2));
        const int exponent = static_cast<int>(scales[g]);
        const float value = kMagnitude[code] * decode_e8m0(static_cast<std::uint8_t>(exponent));
        if (value > largest) {
            largest = value;
            of_largest = code;
            exponent_of_largest = exponent;
        }
    }
    block.scale = int8_scale(largest).scale;
    if (block.scale == 0) return block;
    for (int g = 0; g < groups; ++g) {
        const int difference = static_cast<int>(scales[g]) - exponent_of_largest - kLeastDifference;
        const bool none = difference < 0 || difference >= kMxfp4Differences;
        block.table[g] = static_cast<std::uint8_t>(none ? 0 : 1 + (of_largest - 1) * kMxfp4Differences + difference);
    }
    return block;
}

}  // namespace argosy
