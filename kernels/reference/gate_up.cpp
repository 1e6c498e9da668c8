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
                const bool biased = args.gate_bias != nullptr;
                const float a = chain(gate, i, x, 0, k, biased ? args.gate_bias[group][i] : 0.0F);
                const float b = chain(up, i, x, 0, k, biased ? args.up_bias[group][i] : 0.0F);
                args.h[row * gate.spec.n + i] =
                    args.swiglu_limit > 0 ? clamped_swiglu_lanes(a, b, args.swiglu_limit) : silu_lanes(a) * b;
            }
        }
    }
}

}  // namespace argosy::reference
