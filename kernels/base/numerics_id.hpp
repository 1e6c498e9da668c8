// The names of the arithmetics that kernels/numerics.md defines: backend family, mode and version. Raised whenever any
// bit of a result moves.
#pragma once

namespace argosy {

constexpr char kNumericsId[] = "cpu-exact-1";
constexpr char kBf16NumericsId[] = "cpu-bf16-1";
constexpr char kBf16AmxNumericsId[] = "cpu-bf16-amx-1";
constexpr char kInt8NumericsId[] = "cpu-int8-1";

}  // namespace argosy
