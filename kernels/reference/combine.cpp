// The join of expert outputs in the tree over expert ids (rule R4), written as postfix.
#include "kernels/reference/reference_ops.hpp"

namespace argosy::reference {

void combine(const CombineArgs& args, const Stream&) {
    const std::int64_t columns = args.columns;
    for (std::int64_t row = 0; row < args.rows; ++row) {
        for (std::int64_t i = 0; i < columns; ++i) {
            float stack[kCombineDepthMax];
            int height = 0;
            for (std::int32_t leaf = args.leaf_begin[row]; leaf < args.leaf_begin[row + 1]; ++leaf) {
                const float value = args.source[args.leaf_source[leaf] * columns + i];
                stack[height++] = args.leaf_weight != nullptr ? args.leaf_weight[leaf] * value : value;
                for (int merge = 0; merge < args.leaf_merges[leaf]; ++merge) {
                    --height;
                    stack[height - 1] += stack[height];
                }
            }
            const std::int64_t at = row * columns + i;
            const float residual = args.residual != nullptr ? args.residual[at] : 0.0F;
            if (height == 0) {
                args.out[at] = residual;  // no expert of this row: nothing is added
            } else {
                args.out[at] = args.residual != nullptr ? residual + stack[0] : stack[0];
            }
        }
    }
}

}  // namespace argosy::reference
