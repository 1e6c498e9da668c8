// What int8 products read: a rank's columns as blocks, the record of a quantised row of activations, and the panels of
// weights.
//
// Codes of a block are padded with zeros to a multiple of 4, since one instruction sums 4 products per lane.
//
//   row:    [blocks] f32 scales, [blocks] i32 corrections, then codes, from a multiple of 64 bytes on
//   panel:  block after block: [16] f32 scales, [codes/4][16 outputs][4] codes + 128
//
// Weights are kept as code + 128, without sign, because the instruction multiplies bytes without sign by bytes with
// sign; a block's sum starts from the correction, -128 times the sum of the row's codes, and so comes out as if weights
// had their sign.
// Example: k = 150 without leaves: blocks of 128 and 22 columns, the second padded to 24 codes; a panel is
// 64 + 2048 + 64 + 384 bytes, a row's record 64 + 152 rounded up to 64 * 4.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/panels.hpp"
#include "kernels/quant/int8.hpp"

namespace argosy {

ARGOSY_INLINE std::int64_t int8_padded(std::int64_t columns) { return (columns + 3) / 4 * 4; }

struct Int8RowShape {
    std::int64_t blocks = 0;
    std::int64_t codes_offset = 0;  // bytes from a record's start to its codes
    std::int64_t row_bytes = 0;     // a multiple of 64
};

ARGOSY_INLINE Int8RowShape int8_row_shape(const MatrixSpec& spec) {
    Int8RowShape shape;
    std::int64_t codes = 0;
    for (int i = 0; i < leaf_parts(spec); ++i) {
        const std::int64_t columns = leaf_part_begin(spec, i + 1) - leaf_part_begin(spec, i);
        shape.blocks += (columns + kInt8Block - 1) / kInt8Block;
        codes += int8_padded(columns);  // whole blocks need no padding
    }
    shape.codes_offset = (8 * shape.blocks + 63) / 64 * 64;
    // A row is written 16 codes at a time, up to 15 beyond its last.
    shape.row_bytes = (shape.codes_offset + codes + 15 + 63) / 64 * 64;
    return shape;
}

// Quantised activations: records of `shape`, one per row of x.
struct Int8Rows {
    const std::byte* data = nullptr;
    Int8RowShape shape;
    std::byte* decoded = nullptr;  // [threads] times decoded_bytes, where weights are mxfp4_int8
};

// Packs rows as cpu_pack does, for a spec of dtype int8: each block of the decoded values is quantised.
void cpu_pack_int8(const PackArgs& args);

}  // namespace argosy
