// mxfp4 weights as products of int8 take them, without giving up that they have 4 bits.
//
// Rule R9 takes the decoded weights of a block of 128 columns as codes of int8, relative to the block's largest
// magnitude. A block is four groups of mxfp4, each with a power of two as its scale, so a code of int8 depends on three
// things alone: the code of mxfp4, by which power of two its group's scale differs from that of the group which holds
// the largest magnitude, and which of the seven magnitudes of E2M1 that is. Hence 16 codes of int8 per group, a table
// of which there are 7 * 15 different ones, and one in which all is 0: differences below -11 leave no code above 0, and
// those above 3 would make the smallest magnitude exceed the largest.
//
// Example: a block's largest weight is 3 * 2^-5. Its int8 scale is 3 * 2^-5 / 127. In a group with scale 2^-6 a code of
// mxfp4 that stands for 4 is worth 4 * 2^-6 = 2 * 2^-5: code 85 of int8. That table is the one of largest magnitude 3
// and difference -1.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/quant/fp4.hpp"
#include "kernels/quant/int8.hpp"

namespace argosy {

inline constexpr int kMxfp4Differences = 15;  // -11 to 3
inline constexpr int kMxfp4Tables = 1 + 7 * kMxfp4Differences;
inline constexpr int kMxfp4GroupsOfBlock = kInt8Block / kMxfp4Block;

// Codes of int8, plus 128, by code of mxfp4. Table 0 is that of zeros.
struct Mxfp4Tables {
    alignas(64) std::uint8_t code[kMxfp4Tables][16];
};
extern const Mxfp4Tables kMxfp4CodeTables;

// One row's groups of one block, of which there are up to four.
struct Mxfp4Block {
    float scale = 0;  // of the block's int8 codes
    std::uint8_t table[kMxfp4GroupsOfBlock] = {};
};

// From `groups` E8M0 scales and as many times 16 bytes of codes, two to a byte. The codes that its tables give, and the
// scale, are those of int8_quantise over the decoded weights.
Mxfp4Block mxfp4_block(const std::byte* scales, const std::byte* codes, int groups);

}  // namespace argosy
