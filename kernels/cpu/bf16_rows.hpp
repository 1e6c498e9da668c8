// Rows of activations rounded to bf16 for tiles of 32 columns, counted from the first column of a leaf.
//
// [tiles][rows][64 bytes]: any 16 adjacent rows of a tile of columns stand together, as a tile register takes them. The
// last tile of a leaf may be narrower, and an odd last column stands beside a zero.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/panels.hpp"
#include "kernels/quant/bf16.hpp"

namespace argosy {

inline constexpr std::int64_t kTileRowBytes = kTileColumns * 2;

ARGOSY_INLINE std::int64_t column_tiles(const MatrixSpec& spec) {
    std::int64_t tiles = 0;
    for (int i = 0; i < leaf_parts(spec); ++i)
        tiles += (leaf_part_begin(spec, i + 1) - leaf_part_begin(spec, i) + kTileColumns - 1) / kTileColumns;
    return tiles;
}

// Tiles of rows are 16 high, so up to 15 rows behind the last are read, though not used.
ARGOSY_INLINE std::int64_t bf16_rows_bytes(const MatrixSpec& spec, std::int64_t rows) {
    return (column_tiles(spec) * rows + 15) * kTileRowBytes;
}

struct Bf16Rows {
    const std::byte* data = nullptr;
    std::int64_t rows = 0;
};

}  // namespace argosy
