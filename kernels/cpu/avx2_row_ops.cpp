// The AVX2 row ops: embedding, norm, leaf join, combine, latents.
#include "kernels/cpu/generic/latent.hpp"
#include "kernels/cpu/generic/row_ops.hpp"
#include "kernels/cpu/isa_parts.hpp"
#include "kernels/cpu/vec16_avx2.hpp"

namespace argosy::cpu_avx2 {

void add_row_ops(Ops& ops) {
    ops.embed = embed_op<Vec16>;
    ops.rms_norm = rms_norm_op<Vec16>;
    ops.leaf_join = leaf_join_op<Vec16>;
    ops.combine = combine_op<Vec16>;
    ops.latent = latent_op<Vec16>;
}

}  // namespace argosy::cpu_avx2
