// The load plan: every byte is read once, by one rank, whatever the number of ranks; the cut into pieces does not
// depend on it.
#include <catch2/catch.hpp>
#include <random>

#include "runtime/forward/load_plan.hpp"
#include "runtime/forward/piece_rows.hpp"

using namespace argosy;

namespace {

std::vector<StoredTensor> random_tensors(std::mt19937& random) {
    std::vector<StoredTensor> tensors;
    std::int64_t offset[3] = {0, 0, 0};
    const int count = 1 + static_cast<int>(random() % 40);
    for (int i = 0; i < count; ++i) {
        StoredTensor tensor;
        tensor.name = "t" + std::to_string(i);
        tensor.file = static_cast<int>(random() % 3);
        tensor.dtype = random() % 2 == 0 ? DType::bf16 : DType::f32;
        tensor.shape = {1 + static_cast<std::int64_t>(random() % 3000)};
        if (random() % 4 != 0) tensor.shape.push_back(1 + static_cast<std::int64_t>(random() % 2000));
        tensor.bytes = rows_of(tensor) * columns_of(tensor) * static_cast<std::int64_t>(size_of(tensor.dtype));
        tensor.offset = offset[tensor.file];
        offset[tensor.file] += tensor.bytes;
        tensors.push_back(tensor);
    }
    return tensors;
}

}  // namespace

TEST_CASE("pieces cover every row once, in file order, and readers cover every piece once") {
    std::mt19937 random(7);
    for (int trial = 0; trial < 50; ++trial) {
        const auto tensors = random_tensors(random);
        const LoadPlan alone = plan_load(tensors, 1);
        std::vector<std::int64_t> rows(tensors.size(), 0);
        std::pair<int, std::int64_t> last{-1, -1};
        std::int64_t total = 0;
        for (const LoadPiece& piece : alone.pieces) {
            const StoredTensor& tensor = tensors[static_cast<std::size_t>(piece.tensor)];
            CHECK(piece.row_begin == rows[static_cast<std::size_t>(piece.tensor)]);
            rows[static_cast<std::size_t>(piece.tensor)] = piece.row_end;
            const std::int64_t row_bytes = tensor.bytes / rows_of(tensor);
            CHECK((piece.row_end - piece.row_begin == 1 ||
                   (piece.row_end - piece.row_begin) * row_bytes <= kPieceBytesMax));
            const std::pair<int, std::int64_t> place{tensor.file, tensor.offset + piece.row_begin * row_bytes};
            CHECK(last < place);
            last = place;
            total += (piece.row_end - piece.row_begin) * row_bytes;
        }
        for (std::size_t t = 0; t < tensors.size(); ++t) CHECK(rows[t] == rows_of(tensors[t]));

        for (const int ranks : {1, 2, 3, 8, 61}) {
            const LoadPlan plan = plan_load(tensors, ranks);
            CHECK(plan.pieces == alone.pieces);
            REQUIRE(static_cast<int>(plan.reader_begin.size()) == ranks + 1);
            CHECK(plan.reader_begin.front() == 0);
            CHECK(plan.reader_begin.back() == static_cast<std::int64_t>(plan.pieces.size()));
            std::int64_t rounds = 0;
            for (int r = 0; r < ranks; ++r) {
                const std::int64_t begin = plan.reader_begin[static_cast<std::size_t>(r)];
                const std::int64_t end = plan.reader_begin[static_cast<std::size_t>(r) + 1];
                REQUIRE(begin <= end);
                rounds = std::max(rounds, end - begin);
                std::int64_t bytes = 0;
                for (std::int64_t p = begin; p < end; ++p) {
                    const LoadPiece& piece = plan.pieces[static_cast<std::size_t>(p)];
                    const StoredTensor& tensor = tensors[static_cast<std::size_t>(piece.tensor)];
                    bytes += (piece.row_end - piece.row_begin) * (tensor.bytes / rows_of(tensor));
                }
                CHECK(bytes <= total / ranks + 2 * kPieceBytesMax);  // even, but for whole pieces
            }
            CHECK(plan.rounds == rounds);
        }
    }
}

TEST_CASE("a rank is sent its slice of a piece for the arenas it fills, and nothing else") {
    const LoadPiece piece{.tensor = 0, .row_begin = 10, .row_end = 20};
    TensorHome attention{.tensor = 0,
                         .slice = {15, 40, 2, 7},
                         .arena = Arena::attention,
                         .kind = HomeKind::matrix,
                         .offset = 0,
                         .spec = {},
                         .row_begin = 0};
    TensorHome common = attention;
    common.arena = Arena::common;
    common.slice = {0, 100, 0, 9};
    const std::vector<TensorHome> homes{attention, common};
    CHECK(overlap(piece, attention.slice) == TensorSlice{15, 20, 2, 7});
    const StoredTensor tensor{"t", 0, DType::bf16, {100, 9}, 0, 1800};
    CHECK(bytes_wanted(piece, tensor, homes, 0b010) == 5 * 5 * 2);
    CHECK(bytes_wanted(piece, tensor, homes, 0b001) == 10 * 9 * 2);
    CHECK(bytes_wanted(piece, tensor, homes, 0b011) == 5 * 5 * 2 + 10 * 9 * 2);
    CHECK(bytes_wanted(piece, tensor, homes, 0b100) == 0);
    // Of blocks whole ones are sent: columns 0 to 8 of 9, in nvfp4 one block of 5 bytes, its scale and the matrix's.
    CHECK(bytes_wanted(piece, in_format(tensor, DType::nvfp4), homes, 0b010) == 5 * (4 + 1 + 5));
    attention.slice = {20, 40, 2, 7};
    CHECK(bytes_wanted(piece, tensor, std::span(&attention, 1), 0b111) == 0);
}
