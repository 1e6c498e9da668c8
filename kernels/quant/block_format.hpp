// How rows of weights are stored: plain elements, or blocks, that is codes of 8 or 4 bits with a scale for every few
// adjacent columns. Decoding and encoding of rows; nothing here knows of files.
//
// A row of a block format travels as a record, [f32 scale of the matrix, nvfp4 alone][a scale per block][codes], and a
// record of some columns covers the whole blocks that they touch, counted from the matrix's first column. Where two
// codes share a byte, the first has its lower half.
//
//   format   block                  codes   scale of a block in a record     a weight
//   fp8      128 columns, 128 rows  E4M3    f32                              code * scale
//   int8     128 columns            int8    f32                              code * scale
//   mxfp4    32 columns             E2M1    E8M0                             code * scale
//   nvfp4    16 columns             E2M1    E4M3                             code * (scale * scale of the matrix)
//
// Every product is rounded to f32 once: of codes and a power of two it is exact.
// Example: columns 40 to 69 of an mxfp4 row: blocks 1 and 2, columns 32 to 95, a record of 2 + 32 bytes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/base/dtype.hpp"

namespace argosy {

// In which matrices may be stored, and written.
inline constexpr DType kWeightFormats[] = {DType::f32,  DType::bf16,  DType::f16,  DType::fp8,
                                           DType::int8, DType::mxfp4, DType::nvfp4};

struct BlockFormat {
    int columns = 1;         // of a block
    int rows = 1;            // of the matrix that share its scale
    int code_bits = 0;       // 8 or 4
    int scale_bytes = 0;     // of a block in a record
    bool of_matrix = false;  // a record begins with the matrix's own scale
};

// A plain format is a block format of one column without scales.
BlockFormat block_format(DType dtype);
bool is_block_format(DType dtype);

// Adjacent columns of a matrix.
struct ColumnSpan {
    std::int64_t begin = 0;
    std::int64_t end = 0;
    std::int64_t count() const { return end - begin; }
};

// The whole blocks that columns [span.begin, span.end) of a matrix of `columns` columns touch; the last may be cut off
// by the matrix's end.
ColumnSpan whole_blocks(DType dtype, ColumnSpan span, std::int64_t columns);

std::int64_t block_count(DType dtype, std::int64_t columns);
std::int64_t code_bytes(DType dtype, std::int64_t columns);
// Bytes of a row, or of the record of a row, of that many columns.
std::int64_t row_bytes(DType dtype, std::int64_t columns);

// About what that many weights take in memory, their part of the scales included.
std::int64_t weights_bytes(DType dtype, std::int64_t weights);

// Columns [first, first + count) of a row (record) of `columns` columns, as f32.
void decode_row(DType dtype, const std::byte* row, std::int64_t columns, std::int64_t first, std::int64_t count,
                float* out);

// The scale of a matrix whose largest magnitude is `largest`: 1 where the format has none. ModelOpt's rule for nvfp4:
// largest / (6 * 448), so that the block which holds it has the largest code of both kinds.
float matrix_scale(DType dtype, float largest);

// Encodes values [rows, columns], rows being whole groups of block_format(dtype).rows but for the matrix's last ones.
// codes: [rows][code_bytes]; scales: [groups of rows][block_count], of block_format(dtype).scale_bytes each.
//   fp8    scale = largest / 448, code = nearest to x / scale
//   int8   int8_quantise
//   mxfp4  of the two powers of two around largest / 6 the one with the smaller squared error, the lower on a tie
//   nvfp4  scale = nearest E4M3 to largest / (6 * scale of the matrix), code = nearest to x / (scale * that)
// Plain formats: codes alone, to nearest even.
void encode_rows(DType dtype, const float* values, std::int64_t rows, std::int64_t columns, float scale_of_matrix,
                 std::byte* codes, std::byte* scales);

}  // namespace argosy
