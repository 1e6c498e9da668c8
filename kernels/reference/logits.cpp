// The vocabulary projection.
#include "kernels/reference/matrix.hpp"
#include "kernels/reference/reference_ops.hpp"

namespace argosy::reference {

void logits(const LogitsArgs& args, const Stream&) {
    const MatrixSpec& spec = args.weight.spec;
    for (std::int64_t row = 0; row < args.rows; ++row) {
        for (std::int64_t i = 0; i < spec.n; ++i) {
            args.out[row * args.out_stride + i] = chain(args.weight, i, args.x + row * spec.k, 0, spec.k);
        }
    }
}

}  // namespace argosy::reference
