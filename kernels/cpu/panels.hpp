// How the CPU backend packs weights: panels of 16 outputs, so that one output is one SIMD lane and K runs along memory
// (rule R3).
//
// A panel holds, leaf after leaf, [k][16] f32, or for all kinds of bf16 [k/2][16][2]: one 32-bit lane holds an even k
// in its low half and the next k in its high half. `lane << 16` decodes the first and `lane & 0xffff0000` the second,
// so a product reads 64 bytes for two steps of K. An odd last k of a leaf stands alone with a zero upper half. Outputs
// beyond n are rows of whatever the memory held; they are never stored.
//
// Example: n = 20, k = 3, bf16, no leaves. Panel 0 holds outputs 0..15, panel 1 outputs 16..19 and 12 idle lanes; each
// panel is 2 * 64 bytes: pairs (k0, k1), then (k2, 0).
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/base/inline.hpp"
#include "kernels/ops.hpp"
#include "kernels/quant/int8.hpp"

namespace argosy {

inline constexpr int kPanelOutputs = 16;

// Bytes of `columns` adjacent columns of one leaf in one panel; a multiple of 64. For int8 (int8_blocks.hpp) they are
// whole blocks of the leaf, for mxfp4_int8 (mxfp4_panels.hpp) those too, and whole groups of mxfp4.
ARGOSY_INLINE std::int64_t panel_part_bytes(DType dtype, std::int64_t columns) {
    if (dtype == DType::mxfp4_int8) return (columns + kInt8Block - 1) / kInt8Block * 128 + columns * 8;
    if (dtype == DType::int8) return (columns + kInt8Block - 1) / kInt8Block * 64 + (columns + 3) / 4 * 64;
    return dtype == DType::f32 ? columns * 64 : (columns + 1) / 2 * 64;
}

ARGOSY_INLINE int leaf_parts(const MatrixSpec& spec) { return spec.cut.count == 0 ? 1 : spec.cut.count; }
ARGOSY_INLINE std::int64_t leaf_part_begin(const MatrixSpec& spec, int i) {
    return spec.cut.count == 0 ? (i == 0 ? 0 : spec.k) : spec.cut.begin[i];
}

ARGOSY_INLINE std::int64_t panel_bytes(const MatrixSpec& spec) {
    std::int64_t bytes = 0;
    for (int i = 0; i < leaf_parts(spec); ++i) {
        bytes += panel_part_bytes(spec.dtype, leaf_part_begin(spec, i + 1) - leaf_part_begin(spec, i));
    }
    return bytes;
}

ARGOSY_INLINE std::int64_t panel_count(const MatrixSpec& spec) { return (spec.n + kPanelOutputs - 1) / kPanelOutputs; }

std::size_t cpu_packed_bytes(const MatrixSpec& spec);
// Any rows of the matrix in any order; calls for different panels may run at the same time. An f32 source of a bf16
// matrix is rounded to nearest even.
void cpu_pack(const PackArgs& args);

}  // namespace argosy
