// Packing, turning and widening what the loader received.
#include "runtime/forward/settle_rows.hpp"

#include <algorithm>
#include <cstring>

#include "kernels/quant/block_format.hpp"
#include "runtime/forward/load_plan.hpp"
#include "runtime/forward/piece_rows.hpp"

namespace argosy {

namespace {

// Rows as they came, all of one part of a tensor.
struct ReceivedRows {
    DType dtype = DType::f32;
    const std::byte* at = nullptr;
    std::int64_t count = 0;
    std::int64_t stride_bytes = 0;
    ColumnSpan columns;  // of the matrix: whole blocks
};

// Packs rows of a home's slice by all threads, in strips that share no output panel.
void pack_rows(const TensorHome& home, std::int64_t first, const ReceivedRows& rows, std::byte* packed,
               const Ops& ops) {
    constexpr std::int64_t kStripRows = 64;
    const std::int64_t begin = home.row_begin + first;
#pragma omp parallel for schedule(static)
    for (std::int64_t strip = begin / kStripRows; strip <= (begin + rows.count - 1) / kStripRows; ++strip) {
        const std::int64_t row = std::max(begin, strip * kStripRows);
        const std::int64_t end = std::min(begin + rows.count, (strip + 1) * kStripRows);
        ops.pack({.spec = home.spec,
                  .row_begin = row,
                  .rows = end - row,
                  .source = rows.at + (row - begin) * rows.stride_bytes,
                  .source_dtype = rows.dtype,
                  .source_stride_bytes = rows.stride_bytes,
                  .packed = packed,
                  .source_columns = rows.columns.count(),
                  .source_first = home.slice.column_begin - rows.columns.begin});
    }
}

}  // namespace

void TurnedRows::take(const TensorHome& home, const TensorSlice& part, const StoredTensor& tensor,
                      const std::byte* from, std::byte* packed, const Ops& ops) {
    Waiting& waiting = waiting_[{home.tensor, home.slice.row_begin}];
    const std::int64_t n = home.spec.n, k = home.spec.k;
    waiting.values.resize(static_cast<std::size_t>(n * k));
    std::vector<float> row(static_cast<std::size_t>(n));
    for (std::int64_t r = part.row_begin; r < part.row_end; ++r, from += row_bytes(tensor.dtype, n), ++waiting.rows) {
        decode_row(tensor.dtype, from, n, 0, n, row.data());
        for (std::int64_t i = 0; i < n; ++i)
            waiting.values[static_cast<std::size_t>(i * k + r - home.slice.row_begin)] =
                row[static_cast<std::size_t>(i)];
    }
    if (waiting.rows < k) return;
    ops.pack({.spec = home.spec,
              .row_begin = 0,
              .rows = n,
              .source = waiting.values.data(),
              .source_dtype = DType::f32,
              .source_stride_bytes = k * static_cast<std::int64_t>(sizeof(float)),
              .packed = packed,
              .source_columns = k});
    waiting_.erase({home.tensor, home.slice.row_begin});
}

std::int64_t settle_part(const TensorHome& home, const TensorSlice& part, const StoredTensor& tensor,
                         const std::byte* from, std::byte* arena, const Ops& ops, TurnedRows& turned) {
    const std::int64_t bytes = part_bytes(tensor, part);
    const std::int64_t first = (part.row_begin - home.slice.row_begin) / part.row_step;  // row of the slice
    const std::int64_t count = part.rows();
    std::byte* at = arena + home.offset;
    switch (home.kind) {
        case HomeKind::raw:
            std::memcpy(at + first * (bytes / count), from, static_cast<std::size_t>(bytes));
            break;
        case HomeKind::vector:
            decode_row(tensor.dtype, from, count, 0, count, reinterpret_cast<float*>(at) + home.row_begin + first);
            break;
        case HomeKind::turned:
            turned.take(home, part, tensor, from, at, ops);
            break;
        case HomeKind::matrix:
            pack_rows(home, first,
                      {tensor.dtype, from, count, bytes / count,
                       whole_blocks(tensor.dtype, {part.column_begin, part.column_end}, columns_of(tensor))},
                      at, ops);
            break;
    }
    return bytes;
}

}  // namespace argosy
