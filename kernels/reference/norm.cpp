// RMS norm over rows.
#include "kernels/reference/norm.hpp"

#include "kernels/reference/reference_ops.hpp"

namespace argosy::reference {

void rms_norm(const RmsNormArgs& args, const Stream&) {
    for (std::int64_t row = 0; row < args.rows; ++row) {
        rms_norm_row(args.x + row * args.hidden, args.weight, args.hidden, args.eps, args.out + row * args.hidden);
    }
}

}  // namespace argosy::reference
