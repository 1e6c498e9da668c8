// The router: logits, softmax over all experts, the largest probabilities.
#include <algorithm>
#include <numeric>
#include <vector>

#include "kernels/base/elementary.hpp"
#include "kernels/reference/matrix.hpp"
#include "kernels/reference/reference_ops.hpp"
#include "kernels/reference/row_sum.hpp"

namespace argosy::reference {

void route(const RouteArgs& args, const Stream&) {
    const std::int64_t k = args.weight.spec.k;
    std::vector<float> p(static_cast<std::size_t>(args.experts));
    std::vector<std::int32_t> order(p.size());
    for (std::int64_t row = 0; row < args.rows; ++row) {
        float* logits = args.logits + row * args.experts;
        float max = -__builtin_inff();
        for (int e = 0; e < args.experts; ++e) {
            logits[e] = chain(args.weight, e, args.x + row * k, 0, k);
            max = vmax(logits[e], max);
        }
        RowSum sum;
        for (int e = 0; e < args.experts; ++e) {
            p[e] = exp_lanes(logits[e] - max);
            sum.add(e, p[e]);
        }
        const float whole = sum.join();
        for (float& value : p) {
            value /= whole;
            if (value != value) value = 0;  // a NaN loses against every probability
        }
        std::iota(order.begin(), order.end(), 0);
        std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return p[a] > p[b]; });

        std::int32_t* ids = args.ids + row * args.top_k;
        float* weights = args.weights + row * args.top_k;
        float chosen = 0;
        for (int j = 0; j < args.top_k; ++j) {
            ids[j] = order[j];
            weights[j] = p[order[j]];
            chosen = j == 0 ? weights[j] : chosen + weights[j];
        }
        for (int j = 0; j < args.top_k && args.renormalise; ++j) weights[j] /= chosen;
    }
}

}  // namespace argosy::reference
