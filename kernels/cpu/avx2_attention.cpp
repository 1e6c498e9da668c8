// The AVX2 attention.
#include "kernels/cpu/generic/attention.hpp"
#include "kernels/cpu/isa_parts.hpp"
#include "kernels/cpu/vec16_avx2.hpp"

namespace argosy::cpu_avx2 {

void attention(const AttentionArgs& args, const Stream& stream) { attention_op<Vec16>(args, stream); }

void add_attention(Ops& ops) { ops.attention = attention; }

}  // namespace argosy::cpu_avx2
