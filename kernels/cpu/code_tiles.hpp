// Quantised rows of activations for tiles of 64 codes, counted from the first column of a leaf: what products of many
// rows read. (Few rows stand as records instead, int8_blocks.hpp.)
//
//   [blocks][stride] f32 scales, [blocks][stride] i32 corrections, then [tiles][stride][64] codes
//
// Any 16 adjacent rows of a tile of columns stand together, as a tile register takes them. `stride` is the number of
// rows, rounded up so that the same rows of many tiles spread over the sets of the first-level cache: 16 rows behind a
// multiple of 64, since 64 rows of a tile are one line for each set.
// Example: 100 rows of k = 1024 without leaves are 8 blocks, 16 tiles, and stand 144 rows apart.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/int8_blocks.hpp"

namespace argosy {

inline constexpr int kTileCodes = 64;

struct CodeTiles {
    const std::byte* code = nullptr;
    const float* scale = nullptr;
    const std::int32_t* correction = nullptr;
    std::int64_t stride = 0;
    std::int64_t tiles = 0;
    std::byte* decoded = nullptr;  // [threads] times decoded_bytes, where weights are mxfp4_int8
};

struct CodeTileShape {
    std::int64_t blocks = 0;
    std::int64_t tiles = 0;
    std::int64_t stride = 0;
    std::int64_t bytes = 0;  // a multiple of 64
};

ARGOSY_INLINE CodeTileShape code_tile_shape(const MatrixSpec& spec, std::int64_t rows) {
    CodeTileShape shape;
    for (int i = 0; i < leaf_parts(spec); ++i) {
        const std::int64_t columns = leaf_part_begin(spec, i + 1) - leaf_part_begin(spec, i);
        shape.blocks += (columns + kInt8Block - 1) / kInt8Block;
        shape.tiles += (columns + kTileCodes - 1) / kTileCodes;  // a whole block is two whole tiles
    }
    shape.stride = rows <= 16 ? 16 : (rows - 16 + 63) / 64 * 64 + 16;
    // Scales are read 16 at a time, up to 15 behind the last row.
    shape.bytes = (shape.blocks * 8 + shape.tiles * kTileCodes) * shape.stride + 64;
    return shape;
}

ARGOSY_INLINE CodeTiles code_tiles_at(std::byte* scratch, const CodeTileShape& shape) {
    CodeTiles to;
    to.scale = reinterpret_cast<const float*>(scratch);
    to.correction = reinterpret_cast<const std::int32_t*>(scratch + 4 * shape.blocks * shape.stride);
    to.code = scratch + 8 * shape.blocks * shape.stride;
    to.stride = shape.stride;
    to.tiles = shape.tiles;
    to.decoded = scratch + shape.bytes;
    return to;
}

}  // namespace argosy
