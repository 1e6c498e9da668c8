// The AVX2 products: qkv, leaf projection, gate-up, router, logits.
#include "kernels/cpu/full_tile_avx2.hpp"
#include "kernels/cpu/generic/product_ops.hpp"
#include "kernels/cpu/generic/qkv.hpp"
#include "kernels/cpu/generic/route.hpp"
#include "kernels/cpu/isa_parts.hpp"
#include "kernels/cpu/vec16_avx2.hpp"

namespace argosy::cpu_avx2 {

void add_products(Ops& ops) {
    ops.qkv = qkv_op<Vec16>;
    ops.leaf_projection = leaf_projection_op<Vec16>;
    ops.gate_up = gate_up_op<Vec16>;
    ops.route = route_op<Vec16>;
    ops.logits = logits_op<Vec16>;
}

}  // namespace argosy::cpu_avx2
