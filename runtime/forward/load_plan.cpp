// Cutting the checkpoint into pieces and dealing them to readers.
#include "runtime/forward/load_plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "kernels/quant/block_format.hpp"

namespace argosy {

std::int64_t rows_of(const StoredTensor& tensor) { return tensor.shape.empty() ? 1 : tensor.shape[0]; }

std::int64_t columns_of(const StoredTensor& tensor) {
    std::int64_t columns = 1;
    for (std::size_t i = 1; i < tensor.shape.size(); ++i) columns *= tensor.shape[i];
    return columns;
}

namespace {

// Of a piece's rows, their part of the scales included.
std::int64_t piece_bytes(const StoredTensor& tensor, std::int64_t rows) {
    return rows * std::max<std::int64_t>(1, row_bytes(tensor.dtype, columns_of(tensor)));
}

std::int64_t rows_per_piece(const StoredTensor& tensor, int row_unit) {
    const std::int64_t unit = std::lcm(columns_of(tensor) > 1 ? row_unit : 1, block_format(tensor.dtype).rows);
    return std::max<std::int64_t>(1, kPieceBytesMax / piece_bytes(tensor, unit)) * unit;
}

}  // namespace

LoadPlan plan_load(std::span<const StoredTensor> stored, int ranks, int row_unit) {
    std::vector<int> order(stored.size());
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(), [&](int a, int b) {
        const StoredTensor& x = stored[static_cast<std::size_t>(a)];
        const StoredTensor& y = stored[static_cast<std::size_t>(b)];
        return std::pair(x.file, x.offset) < std::pair(y.file, y.offset);
    });

    LoadPlan plan;
    std::vector<std::int64_t> end_bytes;  // of each piece, counted over all pieces
    std::int64_t bytes = 0;
    for (const int index : order) {
        const StoredTensor& tensor = stored[static_cast<std::size_t>(index)];
        const std::int64_t rows = rows_per_piece(tensor, row_unit);
        for (std::int64_t row = 0; row < rows_of(tensor); row += rows) {
            const std::int64_t row_end = std::min(row + rows, rows_of(tensor));
            plan.pieces.push_back({index, row, row_end});
            bytes += piece_bytes(tensor, row_end - row);
            end_bytes.push_back(bytes);
        }
    }
    // Rank r's stretch ends with the first piece that reaches its share of the bytes.
    plan.reader_begin.push_back(0);
    for (int rank = 1; rank <= ranks; ++rank) {
        const std::int64_t share = bytes / ranks * rank + bytes % ranks * rank / ranks;
        const auto end = rank == ranks ? end_bytes.end() : std::lower_bound(end_bytes.begin(), end_bytes.end(), share);
        std::int64_t begin = end - end_bytes.begin() + (rank == ranks || end == end_bytes.end() ? 0 : 1);
        begin = std::clamp(begin, plan.reader_begin.back(), static_cast<std::int64_t>(plan.pieces.size()));
        plan.reader_begin.push_back(begin);
        plan.rounds = std::max(plan.rounds, begin - plan.reader_begin[static_cast<std::size_t>(rank) - 1]);
    }
    return plan;
}

TensorSlice overlap(const LoadPiece& piece, const TensorSlice& slice) {
    TensorSlice part = slice;
    const std::int64_t before = std::max<std::int64_t>(0, piece.row_begin - slice.row_begin);
    part.row_begin += (before + slice.row_step - 1) / slice.row_step * slice.row_step;
    part.row_end = std::min(piece.row_end, slice.row_end);
    return part;
}

std::string describe(const LoadPlan& plan) {
    std::string text = fmt::format("{} pieces in {} rounds; readers:", plan.pieces.size(), plan.rounds);
    for (std::size_t r = 0; r + 1 < plan.reader_begin.size(); ++r)
        text += fmt::format(" [{},{})", plan.reader_begin[r], plan.reader_begin[r + 1]);
    return text;
}

}  // namespace argosy
