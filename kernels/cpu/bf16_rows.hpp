// Rows of activations rounded to bf16 for tiles: leaf after leaf, two bytes a column, an odd last one beside a zero.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/panels.hpp"

namespace argosy {

struct Bf16RowShape {
    std::int64_t row_bytes = 0;  // a multiple of 64
};

ARGOSY_INLINE Bf16RowShape bf16_row_shape(const MatrixSpec& spec) {
    std::int64_t bytes = 0;
    for (int i = 0; i < leaf_parts(spec); ++i)
        bytes += (leaf_part_begin(spec, i + 1) - leaf_part_begin(spec, i) + 1) / 2 * 4;
    // A row is written 16 columns at a time, up to 28 bytes beyond its last pair.
    return {(bytes + 28 + 63) / 64 * 64};
}

struct Bf16Rows {
    const std::byte* data = nullptr;  // records of `shape`, one per row of x
    Bf16RowShape shape;
};

}  // namespace argosy
