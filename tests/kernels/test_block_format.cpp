// Block formats: every code with every scale decodes by definition, encoding picks what it says, and packing a row of
// blocks is packing what it decodes to.
#include <cmath>
#include <iostream>

#include "kernels/quant/block_format.hpp"
#include "kernels/quant/fp4.hpp"
#include "kernels/quant/fp8.hpp"
#include "tests/kernels/op_cases.hpp"

namespace argosy::test {
namespace {

using Bytes = std::vector<std::byte>;

std::byte byte(unsigned value) { return static_cast<std::byte>(value); }

// By value, so that NaN equals NaN.
void check_same(float got, double product) {
    if (std::isnan(product)) {
        REQUIRE(std::isnan(got));
    } else {
        REQUIRE(got == static_cast<float>(product));  // a product of two f32 is exact in double: one rounding
    }
}

TEST_CASE("mxfp4 and nvfp4: every code with every scale, in either half of a byte") {
    for (const DType dtype : {DType::mxfp4, DType::nvfp4}) {
        const int block = block_format(dtype).columns;
        const int head = dtype == DType::nvfp4 ? 4 : 0;
        const std::int64_t columns = 2 * block;
        REQUIRE(row_bytes(dtype, columns) == head + 2 + block);
        for (const float of_matrix : {1.0F, 0.0123F}) {
            for (unsigned scale = 0; scale < 256; ++scale) {
                Bytes row(static_cast<std::size_t>(row_bytes(dtype, columns)));
                if (head > 0) std::memcpy(row.data(), &of_matrix, 4);
                row[static_cast<std::size_t>(head) + 1] = byte(scale);
                // The second block holds all 16 codes.
                for (unsigned i = 0; i < 8; ++i)
                    row[static_cast<std::size_t>(head + 2 + block / 2) + i] = byte((2 * i + 1) << 4 | 2 * i);
                float out[16];
                decode_row(dtype, row.data(), columns, block, 16, out);
                const float by = dtype == DType::mxfp4 ? decode_e8m0(static_cast<std::uint8_t>(scale))
                                                       : decode_e4m3(static_cast<std::uint8_t>(scale)) * of_matrix;
                for (unsigned code = 0; code < 16; ++code) {
                    check_same(out[code], static_cast<double>(decode_e2m1(static_cast<std::uint8_t>(code))) * by);
                    float one = 0;
                    decode_row(dtype, row.data(), columns, block + static_cast<int>(code), 1, &one);
                    REQUIRE((one == out[code] || std::isnan(one)));
                }
            }
        }
    }
}

TEST_CASE("fp8 and int8: every code, with scales of all sizes") {
    for (const DType dtype : {DType::fp8, DType::int8}) {
        Random random(5);
        for (int round = 0; round < 300; ++round) {
            const float scales[2] = {1, std::ldexp(random.real(1, 2), random.between(-140, 100))};
            Bytes row(static_cast<std::size_t>(row_bytes(dtype, 256)));
            REQUIRE(row.size() == 8 + 256);
            std::memcpy(row.data(), scales, sizeof scales);
            for (unsigned i = 0; i < 256; ++i) row[8 + i] = byte(i);
            float out[256];
            decode_row(dtype, row.data(), 256, 0, 256, out);
            for (unsigned i = 0; i < 256; ++i) {
                const double code = dtype == DType::fp8 ? decode_e4m3(static_cast<std::uint8_t>(i))
                                                        : static_cast<double>(static_cast<std::int8_t>(i));
                check_same(out[i], code * scales[i / 128]);
            }
        }
    }
}

TEST_CASE("records of columns cover whole blocks, up to the end of the matrix") {
    const auto check = [](DType dtype, std::int64_t begin, std::int64_t end, std::int64_t columns, std::int64_t from,
                          std::int64_t to) {
        const ColumnSpan span = whole_blocks(dtype, {begin, end}, columns);
        CHECK(span.begin == from);
        CHECK(span.end == to);
    };
    check(DType::mxfp4, 40, 70, 256, 32, 96);
    check(DType::mxfp4, 32, 64, 256, 32, 64);
    check(DType::fp8, 130, 150, 200, 128, 200);
    check(DType::nvfp4, 0, 1, 16, 0, 16);
    check(DType::bf16, 3, 7, 9, 3, 7);
    CHECK(row_bytes(DType::mxfp4, 64) == 2 + 32);
    CHECK(row_bytes(DType::nvfp4, 48) == 4 + 3 + 24);
    CHECK(row_bytes(DType::fp8, 200) == 8 + 200);
    CHECK(row_bytes(DType::bf16, 9) == 18);
}

// A matrix as a reader makes it of values: file form, then a record per row.
struct Encoded {
    DType dtype;
    std::int64_t columns;
    Bytes codes, scales;
    float of_matrix;

    Encoded(DType format, const Floats& values, std::int64_t width) : dtype(format), columns(width) {
        const auto rows = static_cast<std::int64_t>(values.size()) / columns;
        float largest = 0;
        for (const float value : values) largest = std::max(largest, std::fabs(value));
        of_matrix = matrix_scale(dtype, largest);
        const BlockFormat block = block_format(dtype);
        codes.resize(static_cast<std::size_t>(rows * code_bytes(dtype, columns)));
        scales.resize(static_cast<std::size_t>((rows + block.rows - 1) / block.rows * block_count(dtype, columns) *
                                               block.scale_bytes));
        encode_rows(dtype, values.data(), rows, columns, of_matrix, codes.data(), scales.data());
    }
    Bytes record(std::int64_t row) const {
        Bytes out;
        const auto put = [&](const void* from, std::int64_t bytes) {
            const auto* at = static_cast<const std::byte*>(from);
            out.insert(out.end(), at, at + bytes);
        };
        const BlockFormat block = block_format(dtype);
        if (block.of_matrix) put(&of_matrix, 4);
        const std::int64_t scale_row = block_count(dtype, columns) * block.scale_bytes;
        put(scales.data() + row / block.rows * scale_row, scale_row);
        put(codes.data() + row * code_bytes(dtype, columns), code_bytes(dtype, columns));
        return out;
    }
    Floats decoded(std::int64_t row) const {
        Floats out(static_cast<std::size_t>(columns));
        const Bytes bytes = record(row);
        REQUIRE(static_cast<std::int64_t>(bytes.size()) == row_bytes(dtype, columns));
        decode_row(dtype, bytes.data(), columns, 0, columns, out.data());
        return out;
    }
};

TEST_CASE("encoded values are as near as the format allows") {
    struct Bound {
        DType dtype;
        float of_largest;  // half of the widest step, as a part of the block's largest magnitude
        double noise;      // root mean square error over root mean square, of evenly spread values
    };
    for (const Bound& bound :
         {Bound{DType::int8, 0.5F / 127, 0.0040}, Bound{DType::fp8, 16.0F / 448, 0.0280},
          Bound{DType::mxfp4, 0.34F, 0.1300},  // the larger scale: 2 of at least 6; saturated: less
          Bound{DType::nvfp4, 0.18F, 0.1200}}) {
        const std::int64_t rows = 131, columns = 300;
        const int block = block_format(bound.dtype).columns;
        const int block_rows = block_format(bound.dtype).rows;
        Floats values = Random(7).reals(static_cast<std::size_t>(rows * columns), -0.2F, 0.2F);
        for (std::int64_t k = 0; k < 64; ++k) values[static_cast<std::size_t>(5 * columns + k)] = 0;
        const Encoded encoded(bound.dtype, values, columns);
        double error = 0, size = 0;
        std::vector<Floats> decoded;
        for (std::int64_t row = 0; row < rows; ++row) decoded.push_back(encoded.decoded(row));
        for (std::int64_t row = 0; row < rows; ++row) {
            for (std::int64_t k = 0; k < columns; ++k) {
                float largest = 0;
                const std::int64_t r0 = row / block_rows * block_rows, k0 = k / block * block;
                for (std::int64_t r = r0; r < std::min(rows, r0 + block_rows); ++r) {
                    for (std::int64_t c = k0; c < std::min(columns, k0 + block); ++c)
                        largest = std::max(largest, std::fabs(values[static_cast<std::size_t>(r * columns + c)]));
                }
                const float value = values[static_cast<std::size_t>(row * columns + k)];
                const float off =
                    std::fabs(decoded[static_cast<std::size_t>(row)][static_cast<std::size_t>(k)] - value);
                INFO(name_of(bound.dtype) << " row " << row << " column " << k);
                REQUIRE(off <= bound.of_largest * largest * 1.001F);
                error += static_cast<double>(off) * off;
                size += static_cast<double>(value) * value;
            }
        }
        std::cout << name_of(bound.dtype) << ": noise " << std::sqrt(error / size) << "\n";
        CHECK(std::sqrt(error / size) < bound.noise);
        CHECK(std::sqrt(error / size) > bound.noise / 2);
    }
}

TEST_CASE("mxfp4 takes the better of the two scales around the largest value") {
    // 7 is cut to 6 with scale 1, exact as 3.5 is not with scale 2: of 7 and 1, scale 1 is off by 1; scale 2 is off by
    // 1 (7 becomes 8 or 6) too, and the lower scale wins the tie. With 7.5, scale 2 is better.
    const auto scale_of = [](float largest) {
        Floats values(32, 0.0F);
        values[3] = largest;
        return static_cast<int>(Encoded(DType::mxfp4, values, 32).scales[0]);
    };
    CHECK(scale_of(6) == 127);
    CHECK(scale_of(6.5F) == 127);
    CHECK(scale_of(7) == 127);
    CHECK(scale_of(7.5F) == 128);
    CHECK(scale_of(8) == 128);
    CHECK(scale_of(0) == 127);
    CHECK(scale_of(1e-45F) == 1);
    CHECK(scale_of(3e38F) == 252);  // the code above would stand for 2^128
}

TEST_CASE("packing rows of blocks is packing what they decode to, from any column on, on every backend") {
    const std::int64_t columns = 300;
    for (const DType dtype : {DType::fp8, DType::int8, DType::mxfp4, DType::nvfp4}) {
        const std::int64_t n = 37;
        const Encoded encoded(dtype, Random(9).reals(static_cast<std::size_t>(n * columns)), columns);
        Bytes records;
        Floats twin;
        const ColumnSpan slice{70, 250};
        const ColumnSpan covered = whole_blocks(dtype, slice, columns);
        // The whole row is a record too; its columns [70, 250) are meant.
        for (std::int64_t row = 0; row < n; ++row) {
            const Bytes record = encoded.record(row);
            records.insert(records.end(), record.begin(), record.end());
            const Floats values = encoded.decoded(row);
            twin.insert(twin.end(), values.begin() + slice.begin, values.begin() + slice.end);
        }
        CHECK(covered.begin <= slice.begin);
        for (const char* numerics : {"exact", "int8"}) {
            for (const Ops* ops : runnable_ops(numerics)) {
                for (const DType kept : {DType::f32, DType::bf16}) {
                    for (const bool leaves : {false, true}) {
                        const MatrixSpec spec{n, slice.count(), kept_as(*ops, kept),
                                              leaves ? leaf_share(slice.count(), 1, 0, 1).cut : LeafCut{}};
                        Bytes from_blocks(ops->packed_bytes(spec)), from_twin(from_blocks.size());
                        ops->pack({.spec = spec,
                                   .row_begin = 0,
                                   .rows = n,
                                   .source = records.data(),
                                   .source_dtype = dtype,
                                   .source_stride_bytes = row_bytes(dtype, columns),
                                   .packed = from_blocks.data(),
                                   .source_columns = columns,
                                   .source_first = slice.begin});
                        ops->pack({.spec = spec,
                                   .row_begin = 0,
                                   .rows = n,
                                   .source = twin.data(),
                                   .source_dtype = DType::f32,
                                   .source_stride_bytes = slice.count() * 4,
                                   .packed = from_twin.data()});
                        INFO(name_of(dtype) << " kept as " << name_of(spec.dtype) << ", " << ops->name);
                        REQUIRE(from_blocks == from_twin);
                    }
                }
            }
        }
    }
}

}  // namespace
}  // namespace argosy::test
