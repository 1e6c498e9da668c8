// What each instruction set contributes to its table of ops. A part is one source file, compiled with the flags of its
// set; nothing else crosses from such a file into the rest of the program, so no function of it can be linked in where
// its instructions are missing.
#pragma once

#include "kernels/ops.hpp"

namespace argosy {

namespace cpu_portable {
void attention(const AttentionArgs& args, const Stream& stream);  // K and V of f32 or bf16
void add_products(Ops& ops);
void add_bf16_products(Ops& ops);
void add_bf16_tile_products(Ops& ops);
void add_int8_products(Ops& ops);
void add_attention(Ops& ops);
void add_row_ops(Ops& ops);
void add_sampler(Ops& ops);
}  // namespace cpu_portable

namespace cpu_avx2 {
void attention(const AttentionArgs& args, const Stream& stream);  // K and V of f32 or bf16
void add_products(Ops& ops);
void add_bf16_products(Ops& ops);
void add_bf16_tile_products(Ops& ops);
void add_int8_products(Ops& ops);
void add_attention(Ops& ops);
void add_row_ops(Ops& ops);
void add_sampler(Ops& ops);
}  // namespace cpu_avx2

namespace cpu_avx512 {
void attention(const AttentionArgs& args, const Stream& stream);  // K and V of f32 or bf16
void add_products(Ops& ops);
void add_bf16_products(Ops& ops);
void add_bf16_tile_products(Ops& ops);
void add_int8_products(Ops& ops);
void add_attention(Ops& ops);
void add_row_ops(Ops& ops);
void add_sampler(Ops& ops);
}  // namespace cpu_avx512

// Tiles multiply codes and bf16; all else of its tables is AVX-512's.
namespace cpu_amx {
void add_bf16_tile_products(Ops& ops);
void add_int8_products(Ops& ops);
}  // namespace cpu_amx

}  // namespace argosy
