// The number formats in which tensors may be stored, their sizes and their names.
#pragma once

#include <cstddef>
#include <string_view>

namespace argosy {

// bf16_pairs is bf16 as products of pairs take it, with zeros for denormals (rule R11), bf16_tiles the same for
// products in the order of tiles (rule R12); mxfp4_int8 is mxfp4 as products of int8 take it, with the scales of their
// blocks (kernels/quant/mxfp4_int8.hpp). Files know none of these. The four before the last are block formats of
// matrices: codes that mean nothing without the scales beside them (kernels/quant/block_format.hpp).
enum class DType {
    f32,
    bf16,
    f16,
    f64,
    i64,
    i32,
    i16,
    i8,
    u8,
    boolean,
    f8_e4m3,
    bf16_pairs,
    bf16_tiles,
    fp8,
    int8,
    mxfp4,
    nvfp4,
    mxfp4_int8
};

// Bytes of one element of a plain format; 0 for a block format.
std::size_t size_of(DType dtype);

// The name users see and type: "f32", "bf16", "mxfp4".
std::string_view name_of(DType dtype);

}  // namespace argosy
