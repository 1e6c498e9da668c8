// The portable products of bf16 in the order of tiles: qkv, leaf projection, gate-up, logits.
#include "kernels/cpu/generic/pairs16.hpp"
#include "kernels/cpu/generic/product_ops.hpp"
#include "kernels/cpu/generic/qkv.hpp"
#include "kernels/cpu/isa_parts.hpp"
#include "kernels/cpu/vec16_portable.hpp"

namespace argosy::cpu_portable {

void add_bf16_tile_products(Ops& ops) {
    ops.qkv = qkv_op<Vec16, EmulatedTiles16<Vec16>>;
    ops.leaf_projection = leaf_projection_op<Vec16, EmulatedTiles16<Vec16>>;
    ops.gate_up = gate_up_op<Vec16, EmulatedTiles16<Vec16>>;
    ops.logits = logits_op<Vec16, EmulatedTiles16<Vec16>>;
}

}  // namespace argosy::cpu_portable
