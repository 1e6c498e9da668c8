// Row-parallel products and the join of the ranks' parts (rule R2).
#include "kernels/reference/matrix.hpp"
#include "kernels/reference/reference_ops.hpp"

namespace argosy::reference {

void leaf_projection(const LeafProjectionArgs& args, const Stream&) {
    for (int group = 0; group < args.groups; ++group) {
        const WeightMatrix& weight = args.weight[group];
        LeafCut cut = weight.spec.cut;
        if (cut.count == 0) cut = {.first = 0, .count = 1, .begin = {0, weight.spec.k}};
        const std::int64_t stride = args.out_stride > 0 ? args.out_stride : weight.spec.n;
        for (std::int64_t row = args.group_begin[group]; row < args.group_begin[group + 1]; ++row) {
            float* out = args.out_group > 0
                             ? args.out + group * args.out_group + (row - args.group_begin[group]) * stride
                             : args.out + row * stride;
            for (std::int64_t i = 0; i < weight.spec.n; ++i) {
                Part leaf[kLeafCount];
                float start = args.bias != nullptr ? args.bias[group][i] : 0.0F;  // of the first leaf
                for (int j = 0; j < cut.count; ++j) {
                    if (!cut.present(j)) continue;
                    const float* x = args.x + row * weight.spec.k;
                    leaf[j] = {true, chain(weight, i, x, cut.begin[j], cut.begin[j + 1], start)};
                    start = 0;
                }
                out[i] = join_tree(leaf, cut.count).value;
            }
        }
    }
}

void leaf_join(const LeafJoinArgs& args, const Stream&) {
    for (std::int64_t i = 0; i < std::int64_t{args.rows} * args.columns; ++i) {
        Part part[kLeafCount];
        for (int j = 0; j < args.parts; ++j) {
            if (args.partial[j] != nullptr) part[j] = {true, args.partial[j][i]};
        }
        const Part sum = join_tree(part, args.parts);
        const Part residual{args.residual != nullptr, args.residual != nullptr ? args.residual[i] : 0.0F};
        args.out[i] = join(residual, sum).value;
    }
}

}  // namespace argosy::reference
