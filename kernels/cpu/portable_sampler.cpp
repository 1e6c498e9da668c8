// The portable sampler.
#include "kernels/cpu/generic/sample_passes.hpp"
#include "kernels/cpu/isa_parts.hpp"
#include "kernels/cpu/vec16_portable.hpp"

namespace argosy::cpu_portable {

void add_sampler(Ops& ops) { ops.sample = sample_op<Vec16>; }

}  // namespace argosy::cpu_portable
