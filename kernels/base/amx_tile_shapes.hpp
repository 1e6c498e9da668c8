// What LDTILECFG reads: the shape of every tile register of AMX.
#pragma once

#include <cstdint>

namespace argosy {

// A register of no rows is not to be used.
struct alignas(64) AmxTileShapes {
    std::uint8_t palette = 1;
    std::uint8_t start_row = 0;
    std::uint8_t reserved[14] = {};
    std::uint16_t row_bytes[16] = {};
    std::uint8_t rows[16] = {};
};
static_assert(sizeof(AmxTileShapes) == 64);

}  // namespace argosy
