// Reading, converting and cutting out rows of a piece.
#include "runtime/forward/piece_rows.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <span>

#include "kernels/quant/bf16.hpp"
#include "kernels/quant/block_format.hpp"

namespace argosy {

namespace {

std::int64_t size_in_file(const StoredScales& scales) { return static_cast<std::int64_t>(size_of(scales.dtype)); }

// Rows of scales that belong to a piece's rows. Pieces begin with whole groups of rows.
struct ScaleRows {
    std::int64_t begin = 0;
    std::int64_t end = 0;
};
ScaleRows scale_rows(const LoadPiece& piece, const StoredTensor& tensor) {
    const std::int64_t rows = block_format(tensor.dtype).rows;
    return {piece.row_begin / rows, (piece.row_end + rows - 1) / rows};
}

// Scales [first, first + count) of one row of scales, in the form of a record.
void put_scales(const StoredTensor& tensor, const std::byte* row, std::int64_t first, std::int64_t count,
                std::byte* into) {
    const std::int64_t size = size_in_file(*tensor.scales);
    if (tensor.scales->dtype != DType::bf16) {
        std::memcpy(into, row + first * size, static_cast<std::size_t>(count * size));
        return;
    }
    for (std::int64_t i = 0; i < count; ++i) {
        std::uint16_t code = 0;
        std::memcpy(&code, row + (first + i) * size, sizeof code);
        const float scale = decode_bf16(code);
        std::memcpy(into + 4 * i, &scale, sizeof scale);
    }
}

// Columns of one row of a piece as a row that travels.
std::byte* put_row(const LoadPiece& piece, const StoredTensor& tensor, std::int64_t row, const ColumnSpan& columns,
                   const std::byte* from, std::byte* into) {
    const BlockFormat format = block_format(tensor.dtype);
    if (tensor.scales) {
        if (format.of_matrix) {
            std::memcpy(into, &tensor.matrix_scale, sizeof(float));
            into += sizeof(float);
        }
        const std::byte* scales = from + piece_code_bytes(piece, tensor) +
                                  (row / format.rows - scale_rows(piece, tensor).begin) * tensor.scales->columns *
                                      size_in_file(*tensor.scales);
        const std::int64_t count = block_count(tensor.dtype, columns.count());
        put_scales(tensor, scales, columns.begin / format.columns, count, into);
        into += count * format.scale_bytes;
    }
    const std::int64_t bytes = code_bytes(tensor.dtype, columns.count());
    std::memcpy(into,
                from + (row - piece.row_begin) * code_bytes(tensor.dtype, columns_of(tensor)) +
                    code_bytes(tensor.dtype, columns.begin),
                static_cast<std::size_t>(bytes));
    return into + bytes;
}

ColumnSpan all_columns(const StoredTensor& tensor) { return {0, columns_of(tensor)}; }

void decode_rows(const LoadPiece& piece, const StoredTensor& tensor, std::int64_t begin, std::int64_t end,
                 const std::byte* from, float* out) {
    const std::int64_t columns = columns_of(tensor);
    std::vector<std::byte> record(static_cast<std::size_t>(row_bytes(tensor.dtype, columns)));
    for (std::int64_t row = begin; row < end; ++row, out += columns) {
        put_row(piece, tensor, row, all_columns(tensor), from, record.data());
        decode_row(tensor.dtype, record.data(), columns, 0, columns, out);
    }
}

}  // namespace

std::int64_t piece_code_bytes(const LoadPiece& piece, const StoredTensor& tensor) {
    return (piece.row_end - piece.row_begin) * code_bytes(tensor.dtype, columns_of(tensor));
}

std::int64_t piece_scale_bytes(const LoadPiece& piece, const StoredTensor& tensor) {
    if (!tensor.scales) return 0;
    const ScaleRows rows = scale_rows(piece, tensor);
    return (rows.end - rows.begin) * tensor.scales->columns * size_in_file(*tensor.scales);
}

namespace {
std::int64_t codes_offset(const LoadPiece& piece, const StoredTensor& tensor) {
    return tensor.offset + piece.row_begin * code_bytes(tensor.dtype, columns_of(tensor));
}
}  // namespace

void expect_piece(const LoadPiece& piece, const StoredTensor& tensor, const CheckpointFile& file) {
    if (tensor.transposed) return file.expect(tensor.offset, tensor.bytes);
    file.expect(codes_offset(piece, tensor), piece_code_bytes(piece, tensor));
}

namespace {
// Rows of a piece that are columns of the file's matrix: read row by row of the file, and turned.
void read_transposed(const LoadPiece& piece, const StoredTensor& tensor, CheckpointFile& file,
                     std::vector<std::byte>& into) {
    const std::int64_t size = static_cast<std::int64_t>(size_of(tensor.dtype));
    const std::int64_t count = piece.row_end - piece.row_begin;
    const std::int64_t columns = columns_of(tensor);
    std::vector<std::byte> line(static_cast<std::size_t>(count * size));
    for (std::int64_t k = 0; k < columns; ++k) {
        file.read(tensor.offset + (k * rows_of(tensor) + piece.row_begin) * size, line);
        for (std::int64_t row = 0; row < count; ++row)
            std::memcpy(into.data() + (row * columns + k) * size, line.data() + row * size,
                        static_cast<std::size_t>(size));
    }
}
}  // namespace

void read_piece(const LoadPiece& piece, const StoredTensor& tensor, CheckpointFile& file, CheckpointFile& scale_file,
                std::vector<std::byte>& into) {
    const std::int64_t codes = piece_code_bytes(piece, tensor);
    into.resize(static_cast<std::size_t>(codes + piece_scale_bytes(piece, tensor)));
    if (tensor.transposed) return read_transposed(piece, tensor, file, into);
    const std::span<std::byte> all(into);
    file.read(codes_offset(piece, tensor), all.first(static_cast<std::size_t>(codes)));
    if (!tensor.scales) return;
    const std::int64_t row_bytes = tensor.scales->columns * size_in_file(*tensor.scales);
    scale_file.read(tensor.scales->offset + scale_rows(piece, tensor).begin * row_bytes,
                    all.subspan(static_cast<std::size_t>(codes)));
}

std::int64_t part_bytes(const StoredTensor& tensor, const TensorSlice& part) {
    if (part.empty()) return 0;
    const ColumnSpan columns = whole_blocks(tensor.dtype, {part.column_begin, part.column_end}, columns_of(tensor));
    return part.rows() * row_bytes(tensor.dtype, columns.count());
}

std::int64_t bytes_wanted(const LoadPiece& piece, const StoredTensor& tensor, std::span<const TensorHome> homes,
                          unsigned wanted_arenas) {
    std::int64_t bytes = 0;
    for (const TensorHome& home : homes) {
        if ((wanted_arenas >> static_cast<unsigned>(home.arena) & 1u) == 0) continue;
        bytes += part_bytes(tensor, overlap(piece, home.slice));
    }
    return bytes;
}

std::byte* put_part(const LoadPiece& piece, const StoredTensor& tensor, const TensorSlice& part, const std::byte* from,
                    std::byte* into) {
    const ColumnSpan columns = whole_blocks(tensor.dtype, {part.column_begin, part.column_end}, columns_of(tensor));
    for (std::int64_t row = part.row_begin; row < part.row_end; row += part.row_step)
        into = put_row(piece, tensor, row, columns, from, into);
    return into;
}

StoredTensor in_format(const StoredTensor& tensor, DType dtype) {
    StoredTensor as = tensor;
    as.dtype = dtype;
    as.scales.reset();
    as.matrix_scales.reset();
    as.matrix_scale = 1;
    as.transposed = false;
    const BlockFormat format = block_format(dtype);
    if (format.scale_bytes > 0) {
        as.scales = StoredScales{.file = 0,
                                 .dtype = dtype == DType::mxfp4   ? DType::u8
                                          : dtype == DType::nvfp4 ? DType::f8_e4m3
                                                                  : DType::f32,
                                 .rows = (rows_of(tensor) + format.rows - 1) / format.rows,
                                 .columns = block_count(dtype, columns_of(tensor)),
                                 .offset = 0};
    }
    as.bytes = rows_of(tensor) * code_bytes(dtype, columns_of(tensor));
    return as;
}

void convert_piece(const LoadPiece& piece, const StoredTensor& tensor, const StoredTensor& as,
                   const std::vector<std::byte>& from, std::vector<std::byte>& into) {
    const std::int64_t codes = piece_code_bytes(piece, as);
    into.resize(static_cast<std::size_t>(codes + piece_scale_bytes(piece, as)));
    const std::int64_t group = block_format(as.dtype).rows;
    const std::int64_t columns = columns_of(tensor);
    const std::int64_t scale_row = as.scales ? as.scales->columns * size_in_file(*as.scales) : 0;
#pragma omp parallel for schedule(static)
    for (std::int64_t row = piece.row_begin; row < piece.row_end; row += group) {
        const std::int64_t end = std::min(row + group, piece.row_end);
        std::vector<float> values(static_cast<std::size_t>((end - row) * columns));
        decode_rows(piece, tensor, row, end, from.data(), values.data());
        encode_rows(as.dtype, values.data(), end - row, columns, as.matrix_scale,
                    into.data() + (row - piece.row_begin) * code_bytes(as.dtype, columns),
                    into.data() + codes + (row - piece.row_begin) / group * scale_row);
    }
}

float largest_of_piece(const LoadPiece& piece, const StoredTensor& tensor, const std::vector<std::byte>& from) {
    float largest = 0;
    std::vector<float> values(static_cast<std::size_t>(columns_of(tensor)));
    for (std::int64_t row = piece.row_begin; row < piece.row_end; ++row) {
        decode_rows(piece, tensor, row, row + 1, from.data(), values.data());
        for (const float value : values) largest = std::max(largest, std::fabs(value));
    }
    return largest;
}

}  // namespace argosy
