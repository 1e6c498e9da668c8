// Panels of mxfp4 weights for products of int8 (kernels/quant/mxfp4_int8.hpp): 4.5 bits a weight in memory. A task
// decodes its panels to what int8_blocks.hpp describes and multiplies those, so that nothing else knows of them.
//
//   panel:  block after block: [16] f32 scales, [4 groups][16 outputs] numbers of tables, then of each group
//           [4 quarters][4 lanes][16 bytes] codes
//
// Lane j of quarter q belongs to output 4 j + q; byte i of it holds the codes of the group's columns i (lower half) and
// i + 16. So one shuffle of 64 bytes by four tables gives 16 columns of four outputs, and interleaving the four
// quarters puts 4 columns of each output where the dot product wants them.
//
// Needs leaves that begin with groups of mxfp4, that is at multiples of 32 columns.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/panels.hpp"
#include "kernels/quant/mxfp4_int8.hpp"

namespace argosy {

inline constexpr int kMxfp4HeadBytes = 128;   // of a panel's block: scales and numbers of tables
inline constexpr int kMxfp4GroupBytes = 256;  // of a panel's group

inline constexpr int kDecodedPanels = 32;  // that a thread keeps decoded at most

ARGOSY_INLINE MatrixSpec decoded_spec(MatrixSpec spec) {
    if (spec.dtype == DType::mxfp4_int8) spec.dtype = DType::int8;
    return spec;
}
// Of one thread's decoded panels.
ARGOSY_INLINE std::int64_t decoded_bytes(const MatrixSpec& spec) {
    return kDecodedPanels * panel_bytes(decoded_spec(spec));
}

// Packs records of mxfp4, as cpu_pack does; Error(internal) for a source of another format.
void cpu_pack_mxfp4(const PackArgs& args);

}  // namespace argosy
