// q, k and v of a step's rows: one product, then per row bias, q/k norm, rotary embedding, and k and v into their KV
// blocks.
#pragma once

#include <cstdint>

#include "kernels/cpu/generic/product.hpp"
#include "kernels/cpu/generic/row_math.hpp"
#include "kernels/cpu/kv_block.hpp"
#include "kernels/ops.hpp"
#include "kernels/quant/bf16.hpp"

namespace argosy {

// 16 pairs (or `width`) of a rotation in place: a' = a cos - b sin, b' = b cos + a sin, as numerics.md rounds them.
template <class V>
[[gnu::always_inline]] static inline void rotate_pairs(float* first, float* second, const float* cosine,
                                                       const float* sine, int width) {
    const bool whole = width == 16;
    const V a = whole ? V::load(first) : V::load_first(first, width);
    const V b = whole ? V::load(second) : V::load_first(second, width);
    const V c = whole ? V::load(cosine) : V::load_first(cosine, width);
    const V s = whole ? V::load(sine) : V::load_first(sine, width);
    const V minus_s = vmul(s, V::set(-1.0F));  // only turns the sign, of a zero too
    const V rotated_a = vfma(a, c, vmul(b, minus_s));
    const V rotated_b = vfma(b, c, vmul(a, s));
    if (whole) {
        rotated_a.store(first);
        rotated_b.store(second);
    } else {
        rotated_a.store_first(first, width);
        rotated_b.store_first(second, width);
    }
}

template <class V>
static void rotate_head(const QkvArgs& args, float* head, const float* cosine, const float* sine) {
    const int half = args.rotary_dim / 2;
    for (int i = 0; i < half; i += 16) {
        rotate_pairs<V>(head + i, head + half + i, cosine + i, sine + i, half - i < 16 ? half - i : 16);
    }
}

template <class V>
static void add_bias(const float* bias, int n, float* x) {
    int i = 0;
    for (; i + 16 <= n; i += 16) vadd(V::load(x + i), V::load(bias + i)).store(x + i);
    for (; i < n; ++i) x[i] += bias[i];
}

// One token's key and value of one head; `token` is the place within the block.
ARGOSY_INLINE void store_kv(const KvSpec& spec, std::byte* block, int head, int token, const float* k, const float* v) {
    const std::int64_t stride = kv_value_stride(spec);
    std::byte* keys = block + kv_key_offset(spec, head);
    std::byte* values = block + kv_value_offset(spec, head);
    if (spec.dtype == DType::bf16) {
        auto* to_k = reinterpret_cast<std::uint16_t*>(keys) + token;
        auto* to_v = reinterpret_cast<std::uint16_t*>(values) + token * stride;
        for (int d = 0; d < spec.head_dim; ++d) to_k[d * kKvBlockTokens] = encode_bf16(k[d]);
        for (int d = 0; d < spec.head_dim; ++d) to_v[d] = encode_bf16(v[d]);
        for (std::int64_t d = spec.head_dim; d < stride; ++d) to_v[d] = 0;
    } else {
        auto* to_k = reinterpret_cast<float*>(keys) + token;
        auto* to_v = reinterpret_cast<float*>(values) + token * stride;
        for (int d = 0; d < spec.head_dim; ++d) to_k[d * kKvBlockTokens] = k[d];
        for (int d = 0; d < spec.head_dim; ++d) to_v[d] = v[d];
        for (std::int64_t d = spec.head_dim; d < stride; ++d) to_v[d] = 0;
    }
}

template <class V>
static void finish_qkv_row(const QkvArgs& args, int row) {
    const int n = (args.q_heads + 2 * args.kv_heads) * args.head_dim;
    float* qkv = args.qkv + static_cast<std::int64_t>(row) * n;
    if (args.bias != nullptr) add_bias<V>(args.bias, n, qkv);
    const std::int64_t half = args.rotary_dim / 2;
    const float* cosine = args.rope_cos + args.position[row] * half;
    const float* sine = args.rope_sin + args.position[row] * half;
    for (int head = 0; head < args.q_heads + args.kv_heads; ++head) {
        float* x = qkv + head * args.head_dim;
        const float* norm = head < args.q_heads ? args.q_norm : args.k_norm;
        if (norm != nullptr) rms_norm_row<V>(x, norm, args.head_dim, args.norm_eps, x);
        rotate_head<V>(args, x, cosine, sine);
    }
    const int q_columns = args.q_heads * args.head_dim;
    float* q = args.q + static_cast<std::int64_t>(row) * q_columns;
    for (int i = 0; i < q_columns; ++i) q[i] = qkv[i];
    const float* k = qkv + q_columns;
    const float* v = k + args.kv_heads * args.head_dim;
    std::byte* block = args.kv.base + args.kv_slot[row] / kKvBlockTokens * args.kv.block_stride_bytes;
    const int token = static_cast<int>(args.kv_slot[row] % kKvBlockTokens);
    for (int head = 0; head < args.kv_heads; ++head) {
        store_kv(args.kv.spec, block, head, token, k + head * args.head_dim, v + head * args.head_dim);
    }
}

// All that follows the product.
template <class V>
static void finish_qkv(const QkvArgs& args, const Stream& stream) {
    const std::int64_t n = args.weight.spec.n;
    parallel_rows(stream, args.rows, static_cast<int>(16384 / (4 * n + 1)) + 1, [&](int begin, int end) {
        for (int row = begin; row < end; ++row) finish_qkv_row<V>(args, row);
    });
}

template <class V, class Pairs = void>
static void qkv_op(const QkvArgs& args, const Stream& stream) {
    run_plain_product<V, Pairs>(args.weight, args.rows, args.x, args.qkv, args.weight.spec.n, stream);
    finish_qkv<V>(args, stream);
}

}  // namespace argosy
