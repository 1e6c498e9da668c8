// Query, key and value: product, bias, norms, rotary embedding, and the store into the KV pool.
#include <cstring>

#include "kernels/base/lanes.hpp"
#include "kernels/quant/int8.hpp"
#include "kernels/reference/kv_block.hpp"
#include "kernels/reference/matrix.hpp"
#include "kernels/reference/norm.hpp"
#include "kernels/reference/reference_ops.hpp"

namespace argosy::reference {
namespace {

// Rotates the pairs (i, i + half) of one head in place. cos, sin: [half], of this row's position.
void rotate(float* x, int half, const float* cos, const float* sin) {
    for (int i = 0; i < half; ++i) {
        const float a = x[i];
        const float b = x[i + half];
        x[i] = fma_f32(a, cos[i], -(b * sin[i]));
        x[i + half] = fma_f32(b, cos[i], a * sin[i]);
    }
}

void store_vector(std::byte* to, DType dtype, const float* from, int n) {
    if (dtype == DType::int8) {
        const float scale = int8_quantise(from, n, reinterpret_cast<std::int8_t*>(to));
        std::memcpy(to + n, &scale, sizeof scale);
        return;
    }
    for (int i = 0; i < n; ++i) store(to, dtype, i, from[i]);
}

// A row's product with what follows before any norm.
void project(const QkvArgs& args, std::int64_t row, float* out) {
    const std::int64_t k = args.weight.spec.k;
    for (std::int64_t i = 0; i < args.weight.spec.n; ++i) {
        out[i] = chain(args.weight, i, args.x + row * k, 0, k);
        if (args.bias != nullptr) out[i] += args.bias[i];
        if (args.clip > 0) out[i] = vmin(vmax(out[i], -args.clip), args.clip);
    }
}

// Sums of squares of a row's q (x) or k: those of this rank's leaves.
void sum_leaves(const WideNorm& norm, const float* x, float* squares) {
    const float* leaves = x + norm.first;
    for (int i = 0; i < norm.cut.count; ++i) {
        if (!norm.cut.present(i)) continue;
        squares[norm.cut.first + i] =
            sum_of_squares(leaves + norm.cut.begin[i], norm.cut.begin[i + 1] - norm.cut.begin[i]);
    }
}

void norm_wide(const WideNorm& norm, const float* squares, std::int64_t columns, float eps, float* x) {
    Part leaf[kLeafCount];
    for (int i = 0; i < kLeafCount; ++i) leaf[i] = {(norm.present >> i & 1U) != 0, squares[i]};
    scale_by_rms(x, norm.weight, columns, join_tree(leaf, kLeafCount).value, norm.columns, eps, x);
}

}  // namespace

void qkv(const QkvArgs& args, const Stream&) {
    const std::int64_t n = args.weight.spec.n;
    const int dim = args.head_dim;
    const int half = args.rotary_dim / 2;
    const std::int64_t q_width = std::int64_t{args.q_heads} * dim;
    const std::int64_t kv_width = std::int64_t{args.kv_heads} * dim;
    for (std::int64_t row = 0; row < args.rows; ++row) {
        float* out = args.qkv + row * n;
        float* squares = args.squares + row * 2 * kLeafCount;
        if (!args.summed) project(args, row, out);
        if (args.wide != nullptr && !args.summed) {
            sum_leaves(args.wide[0], out, squares);
            sum_leaves(args.wide[1], out + q_width, squares + kLeafCount);
            continue;
        }
        if (args.wide != nullptr) {
            norm_wide(args.wide[0], squares, q_width, args.norm_eps, out);
            norm_wide(args.wide[1], squares + kLeafCount, kv_width, args.norm_eps, out + q_width);
        }
        const float* cos = args.rope_cos + std::int64_t{args.position[row]} * half;
        const float* sin = args.rope_sin + std::int64_t{args.position[row]} * half;
        for (int head = 0; head < args.q_heads + args.kv_heads; ++head) {
            const float* norm = head < args.q_heads ? args.q_norm : args.k_norm;
            float* x = out + std::int64_t{head} * dim;
            if (norm != nullptr) rms_norm_row(x, norm, dim, args.norm_eps, x);
            rotate(x, half, cos, sin);
        }
        for (std::int64_t i = 0; i < q_width; ++i) args.q[row * q_width + i] = out[i];
        for (int head = 0; head < args.kv_heads; ++head) {
            const float* key = out + q_width + std::int64_t{head} * dim;
            const DType dtype = args.kv.spec.dtype;
            store_vector(kv_vector(args.kv, args.kv_slot[row], 0, head), dtype, key, dim);
            store_vector(kv_vector(args.kv, args.kv_slot[row], 1, head), dtype, key + kv_width, dim);
        }
    }
}

}  // namespace argosy::reference
