// The gated activation of dense blocks and experts: silu(x * gate) * (x * up), by group.
#include "kernels/base/elementary.hpp"
#include "kernels/reference/matrix.hpp"
#include "kernels/reference/reference_ops.hpp"

namespace argosy::reference {

void gate_up(const GateUpArgs& args, const Stream&) {
    for (int group = 0; group < args.groups; ++group) {
        const WeightMatrix& gate = args.gate[group];
        const WeightMatrix& up = args.up[group];
        const std::int64_t k = gate.spec.k;
        for (std::int64_t row = args.group_begin[group]; row < args.group_begin[group + 1]; ++row) {
            const float* x = args.x + (args.row_index != nullptr ? args.row_index[row] : row) * k;
            for (std::int64_t i = 0; i < gate.spec.n; ++i) {
                args.h[row * gate.spec.n + i] = silu_lanes(chain(gate, i, x, 0, k)) * chain(up, i, x, 0, k);
            }
        }
    }
}

}  // namespace argosy::reference
