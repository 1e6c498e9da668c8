// The AVX512-BF16 products of bf16 pairs: qkv, leaf projection, gate-up, logits.
#include "kernels/cpu/generic/product_ops.hpp"
#include "kernels/cpu/generic/qkv.hpp"
#include "kernels/cpu/isa_parts.hpp"
#include "kernels/cpu/pairs16_avx512.hpp"

namespace argosy::cpu_avx512 {

void add_bf16_products(Ops& ops) {
    ops.qkv = qkv_op<Vec16, Pairs16>;
    ops.leaf_projection = leaf_projection_op<Vec16, Pairs16>;
    ops.gate_up = gate_up_op<Vec16, Pairs16>;
    ops.logits = logits_op<Vec16, Pairs16>;
}

}  // namespace argosy::cpu_avx512
