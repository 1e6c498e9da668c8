// The sizes that attention's buffers on the stack are made for.
#pragma once

namespace argosy {

inline constexpr int kTaskQueries = 48;  // queries of one task
inline constexpr int kTileQueries = 16;  // queries of any lane type's tile
inline constexpr int kHeadDimMax = 576;  // dimensions of a head, or of a latent; kv_block_bytes refuses more

// Floats from one query's row to the next: known at compile time, so that one pointer reaches all rows of a tile, and a
// line more than a power of two, so that the rows do not share the sets of the first-level cache.
inline constexpr int kQueryStride = kHeadDimMax + 16;

}  // namespace argosy
