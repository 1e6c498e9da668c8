// A task's panels of mxfp4 (mxfp4_panels.hpp) as panels of int8 codes. D decodes a group: [8][16 outputs][4] codes +
// 128.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/cpu/mxfp4_panels.hpp"

namespace argosy {

template <class D>
static void decode_panel(const MatrixSpec& spec, const std::byte* from, std::byte* to) {
    for (int i = 0; i < leaf_parts(spec); ++i) {
        const std::int64_t end = leaf_part_begin(spec, i + 1);
        for (std::int64_t k = leaf_part_begin(spec, i); k < end; k += kInt8Block) {
            const int groups = static_cast<int>((end - k < kInt8Block ? end - k : kInt8Block) / kMxfp4Block);
            const std::byte* tables = from + 64;
            std::memcpy(to, from, 64);
            from += kMxfp4HeadBytes;
            to += 64;
            for (int g = 0; g < groups; ++g) {
                D::decode_mxfp4(reinterpret_cast<const std::uint8_t*>(tables) + g * kPanelOutputs, from, to);
                from += kMxfp4GroupBytes;
                to += kMxfp4Block * kPanelOutputs;
            }
        }
    }
}

}  // namespace argosy
