// The name of the arithmetic that kernels/numerics.md defines: backend family, mode and version. Raised whenever any
// bit of a result moves.
#pragma once

namespace argosy {

constexpr char kNumericsId[] = "cpu-exact-1";

}  // namespace argosy
