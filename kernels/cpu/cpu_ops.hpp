// The fast CPU backend: one table of ops per instruction set. All of one mode give the bits of kernels/numerics.md, and
// so those of the reference.
#pragma once

#include "kernels/ops.hpp"

namespace argosy {

// Baseline x86-64 (SSE2); FMA is done in double with rounding to odd (kernels/base/fma.hpp).
const Ops& cpu_portable_ops();
// Needs AVX2, FMA and F16C; calling an op of the table elsewhere is an illegal instruction.
const Ops& cpu_avx2_ops();
// Needs AVX-512 F, BW, VL and DQ, and what AVX2 needs.
const Ops& cpu_avx512_ops();

// The same with products of bf16 pairs (rule R11). The last needs AVX512-BF16 beside the rest.
const Ops& cpu_portable_bf16_ops();
const Ops& cpu_avx2_bf16_ops();
const Ops& cpu_avx512_bf16_ops();

// The same with products of bf16 in the order of AMX's tiles (rule R12): emulated; and by AMX-BF16 itself, given to
// this process, which needs AVX512-BF16 too.
const Ops& cpu_portable_bf16_amx_ops();
const Ops& cpu_avx2_bf16_amx_ops();
const Ops& cpu_avx512_bf16_amx_ops();
const Ops& cpu_amx_bf16_amx_ops();

// The same with int8 products (rule R9). The last needs AVX512-VNNI beside the rest.
const Ops& cpu_portable_int8_ops();
const Ops& cpu_avx2_int8_ops();
const Ops& cpu_avx512_int8_ops();
// Needs AMX-TILE and AMX-INT8, given to this process (base/amx_permission.hpp), and what the one before needs.
const Ops& cpu_amx_int8_ops();

}  // namespace argosy
