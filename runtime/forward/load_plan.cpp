// Cutting the checkpoint into pieces and dealing them to readers.
#include "runtime/forward/load_plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace argosy {

std::int64_t rows_of(const StoredTensor& tensor) { return tensor.shape.empty() ? 1 : tensor.shape[0]; }

std::int64_t columns_of(const StoredTensor& tensor) {
    std::int64_t columns = 1;
    for (std::size_t i = 1; i < tensor.shape.size(); ++i) columns *= tensor.shape[i];
    return columns;
}

LoadPlan plan_load(std::span<const StoredTensor> stored, int ranks) {
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
        const std::int64_t row_bytes =
            std::max<std::int64_t>(1, columns_of(tensor) * static_cast<std::int64_t>(size_of(tensor.dtype)));
        const std::int64_t rows_per_piece = std::max<std::int64_t>(1, kPieceBytesMax / row_bytes);
        for (std::int64_t row = 0; row < rows_of(tensor); row += rows_per_piece) {
            const std::int64_t row_end = std::min(row + rows_per_piece, rows_of(tensor));
            plan.pieces.push_back({index, row, row_end});
            bytes += (row_end - row) * row_bytes;
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
    return {std::max(piece.row_begin, slice.row_begin), std::min(piece.row_end, slice.row_end), slice.column_begin,
            slice.column_end};
}

std::int64_t bytes_wanted(const LoadPiece& piece, std::span<const TensorHome> homes_of_tensor,
                          std::int64_t element_bytes, unsigned wanted_arenas) {
    std::int64_t bytes = 0;
    for (const TensorHome& home : homes_of_tensor) {
        if ((wanted_arenas >> static_cast<unsigned>(home.arena) & 1u) == 0) continue;
        bytes += overlap(piece, home.slice).elements() * element_bytes;
    }
    return bytes;
}

std::string describe(const LoadPlan& plan) {
    std::string text = fmt::format("{} pieces in {} rounds; readers:", plan.pieces.size(), plan.rounds);
    for (std::size_t r = 0; r + 1 < plan.reader_begin.size(); ++r)
        text += fmt::format(" [{},{})", plan.reader_begin[r], plan.reader_begin[r + 1]);
    return text;
}

}  // namespace argosy
