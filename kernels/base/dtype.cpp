// Sizes and names of the number formats.
#include "kernels/base/dtype.hpp"

namespace argosy {

std::size_t size_of(DType dtype) {
    switch (dtype) {
        case DType::f64:
        case DType::i64:
            return 8;
        case DType::f32:
        case DType::i32:
            return 4;
        case DType::bf16:
        case DType::bf16_pairs:
        case DType::bf16_tiles:
        case DType::f16:
        case DType::i16:
            return 2;
        case DType::i8:
        case DType::u8:
        case DType::boolean:
        case DType::f8_e4m3:
            return 1;
        case DType::fp8:
        case DType::int8:
        case DType::mxfp4:
        case DType::nvfp4:
        case DType::mxfp4_int8:
            return 0;
    }
    return 0;
}

std::string_view name_of(DType dtype) {
    switch (dtype) {
        case DType::f64:
            return "f64";
        case DType::i64:
            return "i64";
        case DType::f32:
            return "f32";
        case DType::i32:
            return "i32";
        case DType::bf16:
            return "bf16";
        case DType::bf16_pairs:
            return "bf16 pairs";
        case DType::bf16_tiles:
            return "bf16 tiles";
        case DType::f16:
            return "f16";
        case DType::i16:
            return "i16";
        case DType::i8:
            return "i8";
        case DType::u8:
            return "u8";
        case DType::boolean:
            return "bool";
        case DType::f8_e4m3:
            return "f8_e4m3";
        case DType::fp8:
            return "fp8";
        case DType::int8:
            return "int8";
        case DType::mxfp4:
            return "mxfp4";
        case DType::nvfp4:
            return "nvfp4";
        case DType::mxfp4_int8:
            return "mxfp4 for int8";
    }
    return "?";
}

}  // namespace argosy
