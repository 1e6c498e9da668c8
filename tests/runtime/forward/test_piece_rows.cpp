// Rows on their way: scales find their rows, parts hold whole blocks, and converting depends on no cut.
#include <catch2/catch.hpp>

#include <cmath>
#include <cstring>
#include <fstream>

#include "kernels/quant/bf16.hpp"
#include "kernels/quant/block_format.hpp"
#include "kernels/quant/fp8.hpp"
#include "runtime/forward/piece_rows.hpp"
#include "tests/support/shared_data.hpp"

using namespace argosy;

namespace {

using Bytes = std::vector<std::byte>;
constexpr std::int64_t kRows = 300, kColumns = 200;

float value_at(std::int64_t row, std::int64_t k) {
    return static_cast<float>((row * 37 + k * 101) % 211 - 105) * (k == 7 ? 0.5F : 0.01F);
}

StoredTensor plain_tensor() { return {"t.weight", 0, DType::f32, {kRows, kColumns}, 0, 4 * kRows * kColumns}; }

Bytes plain_piece(const LoadPiece& piece) {
    std::vector<float> values;
    for (std::int64_t row = piece.row_begin; row < piece.row_end; ++row) {
        for (std::int64_t k = 0; k < kColumns; ++k) values.push_back(value_at(row, k));
    }
    Bytes bytes(values.size() * 4);
    std::memcpy(bytes.data(), values.data(), bytes.size());
    return bytes;
}

}  // namespace

TEST_CASE("scales of fp8 are read with their rows, widened from bf16, and go with their columns") {
    const test::TempDir folder;
    Bytes file(17);  // something else stands before
    for (std::int64_t i = 0; i < kRows * kColumns; ++i) file.push_back(static_cast<std::byte>(i % 120));
    const auto scales_at = static_cast<std::int64_t>(file.size());
    const auto scale_at = [](std::int64_t row, std::int64_t k) {
        return static_cast<float>(row / 128 * 2 + k / 128 + 1);
    };
    for (std::int64_t row = 0; row < 3; ++row) {
        for (std::int64_t block = 0; block < 2; ++block) {
            const std::uint16_t code = encode_bf16(scale_at(128 * row, 128 * block));
            file.push_back(static_cast<std::byte>(code & 255));
            file.push_back(static_cast<std::byte>(code >> 8));
        }
    }
    std::ofstream(folder.path() / "f", std::ios::binary)
        .write(reinterpret_cast<const char*>(file.data()), static_cast<std::streamsize>(file.size()));
    StoredTensor tensor{"t.weight", 0, DType::fp8, {kRows, kColumns}, 17, kRows * kColumns};
    tensor.scales = StoredScales{0, DType::bf16, 3, 2, scales_at};

    CheckpointFile open(folder.path() / "f");
    const LoadPiece piece{0, 128, 300};
    Bytes bytes;
    read_piece(piece, tensor, open, open, bytes);
    CHECK(static_cast<std::int64_t>(bytes.size()) == 172 * 200 + 2 * 2 * 2);
    CHECK(open.bytes_read() == static_cast<std::int64_t>(bytes.size()));
    const TensorSlice part{250, 260, 130, 150};
    CHECK(part_bytes(tensor, part) == 10 * (4 + 72));  // columns 128 to 199 and one scale
    Bytes sent(static_cast<std::size_t>(part_bytes(tensor, part)));
    CHECK(put_part(piece, tensor, part, bytes.data(), sent.data()) == sent.data() + sent.size());
    for (std::int64_t row = 250; row < 260; ++row) {
        float out[20];
        decode_row(DType::fp8, sent.data() + (row - 250) * 76, 72, 2, 20, out);
        for (std::int64_t k = 130; k < 150; ++k) {
            const auto code = static_cast<std::uint8_t>((row * kColumns + k) % 120);
            REQUIRE(out[k - 130] == decode_e4m3(code) * scale_at(row, k));
        }
    }
}

TEST_CASE("a converted matrix is the same however it is cut into pieces, and near what it was") {
    float largest = 0;
    const LoadPiece whole{0, 0, kRows};
    CHECK((largest = largest_of_piece(whole, plain_tensor(), plain_piece(whole))) == 52.5F);
    for (const DType dtype : kWeightFormats) {
        StoredTensor as = in_format(plain_tensor(), dtype);
        as.matrix_scale = matrix_scale(dtype, largest);
        Bytes at_once;
        convert_piece(whole, plain_tensor(), as, plain_piece(whole), at_once);
        for (const LoadPiece& piece : {LoadPiece{0, 0, 128}, LoadPiece{0, 128, 256}, LoadPiece{0, 256, 300}}) {
            Bytes alone;
            convert_piece(piece, plain_tensor(), as, plain_piece(piece), alone);
            for (const TensorSlice& columns : {TensorSlice{0, 0, 0, kColumns}, TensorSlice{0, 0, 33, 34}}) {
                const TensorSlice part{piece.row_begin, piece.row_end, columns.column_begin, columns.column_end};
                Bytes a(static_cast<std::size_t>(part_bytes(as, part))), b(a.size());
                put_part(piece, as, part, alone.data(), a.data());
                put_part(whole, as, part, at_once.data(), b.data());
                INFO(name_of(dtype) << " rows " << piece.row_begin << " columns " << part.column_begin);
                REQUIRE(a == b);
            }
            const std::int64_t stride = row_bytes(dtype, kColumns);
            const TensorSlice rows{piece.row_begin, piece.row_end, 0, kColumns};
            Bytes sent(static_cast<std::size_t>(part_bytes(as, rows)));
            put_part(piece, as, rows, alone.data(), sent.data());
            for (std::int64_t row = piece.row_begin; row < piece.row_end; ++row) {
                std::vector<float> out(kColumns);
                decode_row(dtype, sent.data() + (row - piece.row_begin) * stride, kColumns, 0, kColumns, out.data());
                // Columns 128 on share no block with the outlier of column 7.
                for (std::int64_t k = 128; k < kColumns; ++k)
                    REQUIRE(std::fabs(out[static_cast<std::size_t>(k)] - value_at(row, k)) <= 0.25F);
            }
        }
    }
}

TEST_CASE("pieces of a matrix begin with whole groups of rows") {
    StoredTensor wide{"t.weight", 0, DType::bf16, {1000, 50000}, 0, 100'000'000};
    for (const LoadPiece& piece : plan_load(std::span(&wide, 1), 3, 128).pieces) CHECK(piece.row_begin % 128 == 0);
    const StoredTensor fp8 = in_format(wide, DType::fp8);
    for (const LoadPiece& piece : plan_load(std::span(&fp8, 1), 3).pieces) CHECK(piece.row_begin % 128 == 0);
    CHECK(plan_load(std::span(&wide, 1), 3).pieces[1].row_begin == kPieceBytesMax / 100000);
}

TEST_CASE("rows of a matrix that stands transposed are turned when they are read") {
    const test::TempDir folder;
    constexpr std::int64_t kN = 37, kK = 21;
    std::vector<std::uint16_t> file{9, 9, 9};  // something else stands before
    for (std::int64_t k = 0; k < kK; ++k) {
        for (std::int64_t n = 0; n < kN; ++n) file.push_back(static_cast<std::uint16_t>(100 * n + k));
    }
    std::ofstream(folder.path() / "f", std::ios::binary)
        .write(reinterpret_cast<const char*>(file.data()), static_cast<std::streamsize>(2 * file.size()));
    StoredTensor tensor{"t", 0, DType::bf16, {kN, kK}, 6, 2 * kN * kK};
    tensor.transposed = true;
    CheckpointFile open(folder.path() / "f");
    for (const LoadPiece& piece : {LoadPiece{0, 0, kN}, LoadPiece{0, 5, 6}, LoadPiece{0, 20, 37}}) {
        Bytes bytes;
        read_piece(piece, tensor, open, open, bytes);
        REQUIRE(static_cast<std::int64_t>(bytes.size()) == (piece.row_end - piece.row_begin) * kK * 2);
        for (std::int64_t n = piece.row_begin; n < piece.row_end; ++n) {
            for (std::int64_t k = 0; k < kK; ++k) {
                std::uint16_t code = 0;
                std::memcpy(&code, bytes.data() + ((n - piece.row_begin) * kK + k) * 2, 2);
                REQUIRE(code == 100 * n + k);
            }
        }
    }
}

TEST_CASE("every other row of a piece, from either on") {
    const LoadPiece piece{0, 5, 12};
    const StoredTensor tensor{"t", 0, DType::bf16, {40, 3}, 0, 240};
    Bytes from(static_cast<std::size_t>(7 * 3 * 2));
    for (std::size_t i = 0; i < from.size(); ++i) from[i] = static_cast<std::byte>(i / 6 + 5);  // the row
    for (const std::int64_t first : {2, 3}) {
        const TensorSlice part = overlap(piece, {first, 38, 0, 3, 2});
        CHECK(part.row_begin == (first == 2 ? 6 : 5));
        CHECK(part.row_end == 12);
        CHECK(part.rows() == (first == 2 ? 3 : 4));
        Bytes sent(static_cast<std::size_t>(part_bytes(tensor, part)));
        REQUIRE(put_part(piece, tensor, part, from.data(), sent.data()) == sent.data() + sent.size());
        for (std::size_t i = 0; i < sent.size(); ++i)
            CHECK(static_cast<std::int64_t>(sent[i]) == part.row_begin + 2 * static_cast<std::int64_t>(i / 6));
    }
    CHECK(overlap(piece, {6, 38, 0, 3, 2}).rows() == 3);
    CHECK(overlap({0, 5, 6}, {6, 38, 0, 3, 2}).empty());
}
