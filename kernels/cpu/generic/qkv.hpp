// q, k and v of a step's rows: one product, then per head bias, q/k norm, rotary embedding, and k and v into their KV
// blocks; where heads are whole panels, task by task while the product's values are in the cache.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/cpu/generic/kv_store.hpp"
#include "kernels/cpu/generic/product.hpp"
#include "kernels/cpu/generic/row_math.hpp"
#include "kernels/ops.hpp"

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

// Head `head` of a row's q, then k, then v heads; x [head_dim] is what the product gave for it, and is overwritten.
template <class V>
static void finish_head(const QkvArgs& args, std::int64_t row, int head, float* x) {
    const int n = args.head_dim;
    if (args.bias != nullptr) add_bias<V>(args.bias + head * n, n, x);
    const int k_heads = args.q_heads;
    const int v_heads = args.q_heads + args.kv_heads;
    std::byte* block = args.kv.base + args.kv_slot[row] / kKvBlockTokens * args.kv.block_stride_bytes;
    const int token = static_cast<int>(args.kv_slot[row] % kKvBlockTokens);
    if (head >= v_heads) return store_value<V>(args.kv.spec, block, head - v_heads, token, x);
    const float* norm = head < k_heads ? args.q_norm : args.k_norm;
    if (norm != nullptr) rms_norm_row<V>(x, norm, n, args.norm_eps, x);
    const std::int64_t half = args.rotary_dim / 2;
    rotate_head<V>(args, x, args.rope_cos + args.position[row] * half, args.rope_sin + args.position[row] * half);
    if (head >= k_heads) return store_key<V>(args.kv.spec, block, head - k_heads, token, x);
    std::memcpy(args.q + (row * args.q_heads + head) * n, x, static_cast<std::size_t>(n) * sizeof(float));
}

// All that follows the product, for whole heads of some rows.
template <class V>
static void finish_heads(const QkvArgs& args, const TaskValues& part) {
    const auto first = static_cast<int>(part.output / args.head_dim);
    const int heads = part.outputs / args.head_dim;
    for (int r = 0; r < part.rows; ++r) {
        for (int i = 0; i < heads; ++i)
            finish_head<V>(args, part.row + r, first + i, part.values + r * part.stride + i * args.head_dim);
    }
}

// Whether a task can take whole heads.
ARGOSY_INLINE bool heads_are_panels(const QkvArgs& args) {
    return args.head_dim % kPanelOutputs == 0 && args.head_dim / kPanelOutputs <= kSlotsMax;
}

// Calls product(job, finish), then does what the finish did not.
template <class V, class Product>
static void run_qkv(const QkvArgs& args, const Stream& stream, const Product& product) {
    const std::int64_t n = args.weight.spec.n;
    const std::int32_t group_begin[2] = {0, args.rows};
    ProductJob job = plain_job(args.weight, group_begin, args.x, args.qkv, n);
    if (heads_are_panels(args)) {
        job.panel_unit = args.head_dim / kPanelOutputs;
        product(job, [&](const TaskValues& part) { finish_heads<V>(args, part); });
        return;
    }
    product(job, NoFinish{});
    parallel_rows(stream, args.rows, static_cast<int>(16384 / (4 * n + 1)) + 1, [&](int begin, int end) {
        finish_heads<V>(args, {begin, end - begin, 0, static_cast<int>(n), args.qkv + begin * n, n});
    });
}

template <class V, class Pairs = void>
static void qkv_op(const QkvArgs& args, const Stream& stream) {
    run_qkv<V>(args, stream, [&]<class Finish>(const ProductJob& job, const Finish& finish) {
        run_product<V, Pairs>(job, stream, finish);
    });
}

}  // namespace argosy
