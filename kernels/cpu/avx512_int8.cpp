// The AVX-512 VNNI products with int8 activations, and attention over codes of int8.
#include "kernels/cpu/dot16_avx512.hpp"
#include "kernels/cpu/generic/attention.hpp"
#include "kernels/cpu/generic/int8_ops.hpp"
#include "kernels/cpu/isa_parts.hpp"
#include "kernels/cpu/mxfp4_avx512.hpp"

namespace argosy::cpu_avx512 {

static void int8_attention(const AttentionArgs& args, const Stream& stream) {
    if (args.kv.spec.dtype != DType::int8) return attention(args, stream);
    attention_op<Vec16, Dot16>(args, stream);
}

void add_int8_products(Ops& ops) {
    ops.qkv = int8_qkv_op<Vec16, Mxfp4Dot16>;
    ops.attention = int8_attention;
    ops.leaf_projection = int8_leaf_projection_op<Vec16, Mxfp4Dot16>;
    ops.gate_up = int8_gate_up_op<Vec16, Mxfp4Dot16>;
    ops.logits = int8_logits_op<Vec16, Mxfp4Dot16>;
}

}  // namespace argosy::cpu_avx512
