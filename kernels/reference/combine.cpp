// The join of expert outputs in the tree over expert ids (rule R4), written as postfix.
#include <optional>

#include "kernels/reference/reference_ops.hpp"

namespace argosy::reference {

namespace {

// One element of a source row: of `source`, or the tree over ranks' subtrees (rule R2) of its lower and upper half.
std::optional<float> subtree(const CombineArgs& args, std::int64_t row, std::int64_t column, int begin, int end) {
    if (end - begin > 1) {
        const int middle = (begin + end) / 2;
        const std::optional<float> left = subtree(args, row, column, begin, middle);
        const std::optional<float> right = subtree(args, row, column, middle, end);
        return left && right ? *left + *right : left ? left : right;
    }
    if (args.partial[begin] == nullptr) return std::nullopt;
    const std::int64_t at = args.partial_row[begin] != nullptr ? args.partial_row[begin][row] : row;
    return args.partial[begin][at * args.columns + column];
}

float source_value(const CombineArgs& args, std::int64_t row, std::int64_t column) {
    if (args.parts == 0) return args.source[row * args.columns + column];
    return *subtree(args, row, column, 0, args.parts);
}

}  // namespace

void combine(const CombineArgs& args, const Stream&) {
    const std::int64_t columns = args.columns;
    for (std::int64_t row = 0; row < args.rows; ++row) {
        for (std::int64_t i = 0; i < columns; ++i) {
            float stack[kCombineDepthMax];
            int height = 0;
            for (std::int32_t leaf = args.leaf_begin[row]; leaf < args.leaf_begin[row + 1]; ++leaf) {
                const float value = source_value(args, args.leaf_source[leaf], i);
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
