// The AVX-512 attention.
#include "kernels/cpu/generic/attention.hpp"
#include "kernels/cpu/isa_parts.hpp"
#include "kernels/cpu/vec16_avx512.hpp"

namespace argosy::cpu_avx512 {

void add_attention(Ops& ops) { ops.attention = attention_op<Vec16>; }

}  // namespace argosy::cpu_avx512
