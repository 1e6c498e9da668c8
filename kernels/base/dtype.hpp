// The number formats in which a plain tensor may be stored, their sizes and their names.
#pragma once

#include <cstddef>
#include <string_view>

namespace argosy {

enum class DType { f32, bf16, f16, f64, i64, i32, i16, i8, u8, boolean, f8_e4m3 };

// Bytes of one element.
std::size_t size_of(DType dtype);

// The name users see and type: "f32", "bf16".
std::string_view name_of(DType dtype);

}  // namespace argosy
