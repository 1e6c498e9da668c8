// The formats of rows, one after the other: sizes, decoding, encoding.
#include "kernels/quant/block_format.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/base/error.hpp"
#include "kernels/quant/bf16.hpp"
#include "kernels/quant/f16.hpp"
#include "kernels/quant/fp4.hpp"
#include "kernels/quant/fp8.hpp"
#include "kernels/quant/int8.hpp"

namespace argosy {

BlockFormat block_format(DType dtype) {
    switch (dtype) {
        case DType::fp8:
            return {.columns = 128, .rows = 128, .code_bits = 8, .scale_bytes = 4, .of_matrix = false};
        case DType::int8:
            return {.columns = kInt8Block, .rows = 1, .code_bits = 8, .scale_bytes = 4, .of_matrix = false};
        case DType::mxfp4:
            return {.columns = kMxfp4Block, .rows = 1, .code_bits = 4, .scale_bytes = 1, .of_matrix = false};
        case DType::nvfp4:
            return {.columns = kNvfp4Block, .rows = 1, .code_bits = 4, .scale_bytes = 1, .of_matrix = true};
        case DType::mxfp4_int8:  // per block a scale of int8 and four numbers of tables
            return {.columns = kInt8Block, .rows = 1, .code_bits = 4, .scale_bytes = 8, .of_matrix = false};
        default:
            return {.columns = 1,
                    .rows = 1,
                    .code_bits = 8 * static_cast<int>(size_of(dtype)),
                    .scale_bytes = 0,
                    .of_matrix = false};
    }
}

bool is_block_format(DType dtype) { return block_format(dtype).scale_bytes > 0; }

ColumnSpan whole_blocks(DType dtype, ColumnSpan span, std::int64_t columns) {
    const std::int64_t block = block_format(dtype).columns;
    return {span.begin / block * block, std::min((span.end + block - 1) / block * block, columns)};
}

std::int64_t block_count(DType dtype, std::int64_t columns) {
    const std::int64_t block = block_format(dtype).columns;
    return (columns + block - 1) / block;
}

std::int64_t code_bytes(DType dtype, std::int64_t columns) { return (columns * block_format(dtype).code_bits + 7) / 8; }

namespace {

// Bytes of a record before its codes.
std::int64_t head_bytes(DType dtype, std::int64_t columns) {
    const BlockFormat format = block_format(dtype);
    return (format.of_matrix ? 4 : 0) + block_count(dtype, columns) * format.scale_bytes;
}

template <class T>
T load_as(const std::byte* from) {
    T value;
    std::memcpy(&value, from, sizeof value);
    return value;
}

void decode_plain(DType dtype, const std::byte* from, std::int64_t count, float* out) {
    switch (dtype) {
        case DType::f32:
            std::memcpy(out, from, static_cast<std::size_t>(count) * sizeof(float));
            return;
        case DType::bf16:
            for (std::int64_t i = 0; i < count; ++i) out[i] = decode_bf16(load_as<std::uint16_t>(from + 2 * i));
            return;
        case DType::f16:
            for (std::int64_t i = 0; i < count; ++i) out[i] = decode_f16(load_as<std::uint16_t>(from + 2 * i));
            return;
        default:
            fail(ErrorKind::internal, "Rows of {} were to be decoded, which is no format of weights.", name_of(dtype));
    }
}

float scale_at(DType dtype, const std::byte* record, std::int64_t block) {
    switch (dtype) {
        case DType::mxfp4:
            return decode_e8m0(load_as<std::uint8_t>(record + block));
        case DType::nvfp4:
            return decode_e4m3(load_as<std::uint8_t>(record + 4 + block)) * load_as<float>(record);
        default:
            return load_as<float>(record + 4 * block);
    }
}

std::uint8_t code4_at(const std::byte* codes, std::int64_t k) {
    return static_cast<std::uint8_t>(load_as<std::uint8_t>(codes + k / 2) >> (k % 2 * 4) & 15U);
}

// Columns [begin, end) of one block.
void decode_codes(DType dtype, const std::byte* codes, std::int64_t begin, std::int64_t end, float scale, float* out) {
    switch (dtype) {
        case DType::fp8:
            for (std::int64_t k = begin; k < end; ++k) *out++ = decode_e4m3(load_as<std::uint8_t>(codes + k)) * scale;
            return;
        case DType::int8:
            for (std::int64_t k = begin; k < end; ++k)
                *out++ = static_cast<float>(load_as<std::int8_t>(codes + k)) * scale;
            return;
        default:
            for (std::int64_t k = begin; k < end; ++k) *out++ = decode_e2m1(code4_at(codes, k)) * scale;
    }
}

}  // namespace

std::int64_t row_bytes(DType dtype, std::int64_t columns) {
    return head_bytes(dtype, columns) + code_bytes(dtype, columns);
}

std::int64_t weights_bytes(DType dtype, std::int64_t weights) {
    const BlockFormat format = block_format(dtype);
    return code_bytes(dtype, weights) + weights / format.columns * format.scale_bytes;
}

void decode_row(DType dtype, const std::byte* row, std::int64_t columns, std::int64_t first, std::int64_t count,
                float* out) {
    if (!is_block_format(dtype))
        return decode_plain(dtype, row + first * static_cast<std::int64_t>(size_of(dtype)), count, out);
    const std::int64_t block = block_format(dtype).columns;
    const std::byte* codes = row + head_bytes(dtype, columns);
    for (std::int64_t k = first; k < first + count;) {
        const std::int64_t end = std::min(k / block * block + block, first + count);
        decode_codes(dtype, codes, k, end, scale_at(dtype, row, k / block), out);
        out += end - k;
        k = end;
    }
}

float matrix_scale(DType dtype, float largest) {
    if (!block_format(dtype).of_matrix) return 1;
    return largest > 0 ? largest / (kE2m1Max * kE4m3Max) : 1;
}

namespace {

// A block of values: `rows` rows of `count` adjacent columns, `stride` apart.
struct Values {
    const float* at = nullptr;
    std::int64_t rows = 0;
    std::int64_t count = 0;
    std::int64_t stride = 0;
    float largest() const {
        float most = 0;
        for (std::int64_t r = 0; r < rows; ++r) {
            for (std::int64_t i = 0; i < count; ++i) most = std::max(most, std::fabs(at[r * stride + i]));
        }
        return most;
    }
};

// Codes of a block go to columns [k, k + count) of rows of `stride` bytes.
struct Codes {
    std::byte* at = nullptr;
    std::int64_t stride = 0;
    std::int64_t k = 0;
};

void put4(std::byte* row, std::int64_t k, std::uint8_t code) {
    const auto byte = static_cast<std::uint8_t>(row[k / 2]);
    row[k / 2] = static_cast<std::byte>(k % 2 == 0 ? code : byte | code << 4);
}

void encode_fp8(const Values& x, const Codes& to, std::byte* scale_at) {
    const float largest = x.largest();
    const float scale = largest > 0 ? largest / kE4m3Max : 1;
    std::memcpy(scale_at, &scale, sizeof scale);
    for (std::int64_t r = 0; r < x.rows; ++r) {
        for (std::int64_t i = 0; i < x.count; ++i)
            to.at[r * to.stride + to.k + i] = static_cast<std::byte>(encode_e4m3(x.at[r * x.stride + i] / scale));
    }
}

void encode_int8(const Values& x, const Codes& to, std::byte* scale_at) {
    const float scale = int8_quantise(x.at, static_cast<int>(x.count), reinterpret_cast<std::int8_t*>(to.at + to.k));
    std::memcpy(scale_at, &scale, sizeof scale);
}

double squared_error(const Values& x, float scale) {
    double sum = 0;
    for (std::int64_t i = 0; i < x.count; ++i) {
        const double off = static_cast<double>(decode_e2m1(encode_e2m1(x.at[i] / scale)) * scale) - x.at[i];
        sum += off * off;
    }
    return sum;
}

// The code of 2^exponent, within what E8M0 has.
std::uint8_t e8m0_of(int exponent) { return static_cast<std::uint8_t>(std::clamp(exponent + 127, 1, 254)); }

void encode_mxfp4(const Values& x, const Codes& to, std::byte* scale_at) {
    const float largest = x.largest();
    std::uint8_t code = e8m0_of(0);
    if (largest > 0) {
        const int lower = std::ilogb(largest / kE2m1Max);
        code = e8m0_of(lower);
        const std::uint8_t above = e8m0_of(lower + 1);
        if (squared_error(x, decode_e8m0(above)) < squared_error(x, decode_e8m0(code))) code = above;
    }
    *scale_at = static_cast<std::byte>(code);
    const float scale = decode_e8m0(code);
    for (std::int64_t i = 0; i < x.count; ++i) put4(to.at, to.k + i, encode_e2m1(x.at[i] / scale));
}

void encode_nvfp4(const Values& x, float scale_of_matrix, const Codes& to, std::byte* scale_at) {
    const std::uint8_t code = encode_e4m3(x.largest() / (kE2m1Max * scale_of_matrix));
    *scale_at = static_cast<std::byte>(code);
    const float scale = decode_e4m3(code) * scale_of_matrix;
    for (std::int64_t i = 0; i < x.count; ++i)
        put4(to.at, to.k + i, scale > 0 ? encode_e2m1(x.at[i] / scale) : std::uint8_t{0});
}

void encode_block(DType dtype, const Values& x, float scale_of_matrix, const Codes& to, std::byte* scale_at) {
    switch (dtype) {
        case DType::fp8:
            return encode_fp8(x, to, scale_at);
        case DType::int8:
            return encode_int8(x, to, scale_at);
        case DType::mxfp4:
            return encode_mxfp4(x, to, scale_at);
        default:
            return encode_nvfp4(x, scale_of_matrix, to, scale_at);
    }
}

void encode_plain(DType dtype, const float* values, std::int64_t count, std::byte* out) {
    if (dtype == DType::f32) {
        std::memcpy(out, values, static_cast<std::size_t>(count) * sizeof(float));
        return;
    }
    for (std::int64_t i = 0; i < count; ++i) {
        const std::uint16_t code = dtype == DType::bf16 ? encode_bf16(values[i]) : encode_f16(values[i]);
        std::memcpy(out + 2 * i, &code, sizeof code);
    }
}

}  // namespace

void encode_rows(DType dtype, const float* values, std::int64_t rows, std::int64_t columns, float scale_of_matrix,
                 std::byte* codes, std::byte* scales) {
    if (!is_block_format(dtype)) return encode_plain(dtype, values, rows * columns, codes);
    const BlockFormat format = block_format(dtype);
    const std::int64_t stride = code_bytes(dtype, columns);
    for (std::int64_t row = 0; row < rows; row += format.rows) {
        for (std::int64_t k = 0; k < columns; k += format.columns, scales += format.scale_bytes) {
            const Values block{values + row * columns + k, std::min<std::int64_t>(format.rows, rows - row),
                               std::min<std::int64_t>(format.columns, columns - k), columns};
            encode_block(dtype, block, scale_of_matrix, {codes + row * stride, stride, k}, scales);
        }
    }
}

}  // namespace argosy
