// The sizes that attention's buffers on the stack are made for.
#pragma once

namespace argosy {

inline constexpr int kTaskQueries = 48;  // queries of one task
inline constexpr int kTileQueries = 16;  // queries of any lane type's tile
inline constexpr int kHeadDimMax = 512;  // dimensions of a head; kv_block_bytes refuses more

}  // namespace argosy
