// Query, key and value: product, bias, per-head norms, rotary embedding, and the store into the KV pool.
#include <cstring>

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

}  // namespace

void qkv(const QkvArgs& args, const Stream&) {
    const std::int64_t n = args.weight.spec.n;
    const std::int64_t k = args.weight.spec.k;
    const int dim = args.head_dim;
    const int half = args.rotary_dim / 2;
    for (std::int64_t row = 0; row < args.rows; ++row) {
        float* out = args.qkv + row * n;
        for (std::int64_t i = 0; i < n; ++i) {
            out[i] = chain(args.weight, i, args.x + row * k, 0, k);
            if (args.bias != nullptr) out[i] += args.bias[i];
        }
        const float* cos = args.rope_cos + std::int64_t{args.position[row]} * half;
        const float* sin = args.rope_sin + std::int64_t{args.position[row]} * half;
        for (int head = 0; head < args.q_heads + args.kv_heads; ++head) {
            const float* norm = head < args.q_heads ? args.q_norm : args.k_norm;
            float* x = out + std::int64_t{head} * dim;
            if (norm != nullptr) rms_norm_row(x, norm, dim, args.norm_eps, x);
            rotate(x, half, cos, sin);
        }
        const std::int64_t q_columns = std::int64_t{args.q_heads} * dim;
        const std::int64_t kv_columns = std::int64_t{args.kv_heads} * dim;
        for (std::int64_t i = 0; i < q_columns; ++i) args.q[row * q_columns + i] = out[i];
        for (int head = 0; head < args.kv_heads; ++head) {
            const float* key = out + q_columns + std::int64_t{head} * dim;
            const DType dtype = args.kv.spec.dtype;
            store_vector(kv_vector(args.kv, args.kv_slot[row], 0, head), dtype, key, dim);
            store_vector(kv_vector(args.kv, args.kv_slot[row], 1, head), dtype, key + kv_columns, dim);
        }
    }
}

}  // namespace argosy::reference
