// q, k and v of a step's rows: one product, then per head bias, q/k norm, rotary embedding, and k and v into their KV
// blocks; where heads are whole panels, task by task while the product's values are in the cache. With norms over all
// heads (WideNorm) in two runs, row by row.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/cpu/generic/kv_store.hpp"
#include "kernels/cpu/generic/product.hpp"
#include "kernels/cpu/generic/rotate.hpp"
#include "kernels/cpu/generic/row_math.hpp"
#include "kernels/ops.hpp"

namespace argosy {

template <class V>
static void add_bias(const float* bias, int n, float* x) {
    int i = 0;
    for (; i + 16 <= n; i += 16) vadd(V::load(x + i), V::load(bias + i)).store(x + i);
    for (; i < n; ++i) x[i] += bias[i];
}

template <class V>
static void limit(float most, int n, float* x) {
    const auto limited = [&](V value) { return vmin(vmax(value, V::set(-most)), V::set(most)); };
    int i = 0;
    for (; i + 16 <= n; i += 16) limited(V::load(x + i)).store(x + i);
    if (i < n) limited(V::load_first(x + i, n - i)).store_first(x + i, n - i);
}

// What follows the product of columns [column, column + n) before any norm.
template <class V>
static void add_and_limit(const QkvArgs& args, std::int64_t column, int n, float* x) {
    if (args.bias != nullptr) add_bias<V>(args.bias + column, n, x);
    if (args.clip > 0) limit<V>(args.clip, n, x);
}

// Head `head` of a row's q, then k, then v heads, from its norm on; x [head_dim] is overwritten. wide_scale: [2], by
// which wide norms multiply a row's q and k.
template <class V>
static void place_head(const QkvArgs& args, std::int64_t row, int head, const float* wide_scale, float* x) {
    const int n = args.head_dim;
    const int v_heads = args.q_heads + args.kv_heads;
    std::byte* block = args.kv.base + args.kv_slot[row] / kKvBlockTokens * args.kv.block_stride_bytes;
    const int token = static_cast<int>(args.kv_slot[row] % kKvBlockTokens);
    if (head >= v_heads) return store_value<V>(args.kv.spec, block, head - v_heads, token, x);
    const int is_key = head >= args.q_heads ? 1 : 0;
    const int own = head - is_key * args.q_heads;  // among the heads of its kind
    const float* norm = is_key != 0 ? args.k_norm : args.q_norm;
    if (args.wide != nullptr) {
        scale_row<V>(x, wide_scale[is_key], args.wide[is_key].weight + static_cast<std::int64_t>(own) * n, n, x);
    } else if (norm != nullptr) {
        rms_norm_row<V>(x, norm, n, args.norm_eps, x);
    }
    const std::int64_t half = args.rotary_dim / 2;
    rotate_halves<V>(x, static_cast<int>(half), args.rope_cos + args.position[row] * half,
                     args.rope_sin + args.position[row] * half);
    if (is_key != 0) return store_key<V>(args.kv.spec, block, own, token, x);
    std::memcpy(args.q + (row * args.q_heads + head) * n, x, static_cast<std::size_t>(n) * sizeof(float));
}

// All that follows the product, for whole heads of some rows.
template <class V>
static void finish_heads(const QkvArgs& args, const TaskValues& part) {
    const auto first = static_cast<int>(part.output / args.head_dim);
    const int heads = part.outputs / args.head_dim;
    for (int r = 0; r < part.rows; ++r) {
        for (int i = 0; i < heads; ++i) {
            float* x = part.values + r * part.stride + i * args.head_dim;
            add_and_limit<V>(args, static_cast<std::int64_t>(first + i) * args.head_dim, args.head_dim, x);
            place_head<V>(args, part.row + r, first + i, nullptr, x);
        }
    }
}

// The first run's end: sums of squares of the leaves that this rank has of a row's q (x) or k.
template <class V>
static void sum_leaves(const WideNorm& norm, const float* x, float* squares) {
    const float* leaves = x + norm.first;
    for (int i = 0; i < norm.cut.count; ++i) {
        const std::int64_t columns = norm.cut.begin[i + 1] - norm.cut.begin[i];
        if (columns > 0) squares[norm.cut.first + i] = sum_of_squares<V>(leaves + norm.cut.begin[i], columns);
    }
}

template <class V>
static void finish_first_run(const QkvArgs& args, std::int64_t row, float* x) {
    add_and_limit<V>(args, 0, static_cast<int>(args.weight.spec.n), x);
    float* squares = args.squares + row * 2 * kLeafCount;
    sum_leaves<V>(args.wide[0], x, squares);
    sum_leaves<V>(args.wide[1], x + static_cast<std::int64_t>(args.q_heads) * args.head_dim, squares + kLeafCount);
}

// Leaves' values joined as ((01)(23))((45)(67)), absent ones passed by (rule R2).
ARGOSY_INLINE float joined_leaves(const float* leaf, std::uint32_t present) {
    float value[kLeafCount];
    for (int i = 0; i < kLeafCount; ++i) value[i] = leaf[i];
    for (int width = kLeafCount; width > 1; width /= 2) {
        std::uint32_t joined = 0;
        for (int i = 0; i < width / 2; ++i) {
            const bool left = (present >> (2 * i) & 1U) != 0;
            const bool right = (present >> (2 * i + 1) & 1U) != 0;
            value[i] = left && right ? value[2 * i] + value[2 * i + 1] : left ? value[2 * i] : value[2 * i + 1];
            if (left || right) joined |= 1U << i;
        }
        present = joined;
    }
    return value[0];
}

// The second run, for one row.
template <class V>
static void finish_second_run(const QkvArgs& args, std::int64_t row, float* x) {
    float scale[2];
    for (int i = 0; i < 2; ++i) {
        const WideNorm& norm = args.wide[i];
        const float* leaf = args.squares + (row * 2 + i) * kLeafCount;
        scale[i] = inverse_rms(joined_leaves(leaf, norm.present), norm.columns, args.norm_eps);
    }
    for (int head = 0; head < args.q_heads + 2 * args.kv_heads; ++head)
        place_head<V>(args, row, head, scale, x + static_cast<std::int64_t>(head) * args.head_dim);
}

// Whether a task can take whole heads.
ARGOSY_INLINE bool heads_are_panels(const QkvArgs& args) {
    return args.head_dim % kPanelOutputs == 0 && args.head_dim / kPanelOutputs <= kSlotsMax;
}

// Calls finish(row, x) for every row, where x is the row's part of args.qkv.
template <class Finish>
static void for_qkv_rows(const QkvArgs& args, const Stream& stream, const Finish& finish) {
    const std::int64_t n = args.weight.spec.n;
    parallel_rows(stream, args.rows, static_cast<int>(16384 / (4 * n + 1)) + 1, [&](int begin, int end) {
        for (std::int64_t row = begin; row < end; ++row) finish(row, args.qkv + row * n);
    });
}

// Calls product(job, finish), then does what the finish did not.
template <class V, class Product>
static void run_qkv(const QkvArgs& args, const Stream& stream, const Product& product) {
    if (args.summed) {
        for_qkv_rows(args, stream, [&](std::int64_t row, float* x) { finish_second_run<V>(args, row, x); });
        return;
    }
    const std::int64_t n = args.weight.spec.n;
    const std::int32_t group_begin[2] = {0, args.rows};
    ProductJob job = plain_job(args.weight, group_begin, args.x, args.qkv, n);
    if (args.wide == nullptr && heads_are_panels(args)) {
        job.panel_unit = args.head_dim / kPanelOutputs;
        product(job, [&](const TaskValues& part) { finish_heads<V>(args, part); });
        return;
    }
    product(job, NoFinish{});
    for_qkv_rows(args, stream, [&](std::int64_t row, float* x) {
        if (args.wide != nullptr) {
            finish_first_run<V>(args, row, x);
        } else {
            finish_heads<V>(args, {row, 1, 0, static_cast<int>(n), x, n});
        }
    });
}

template <class V, class Pairs = void>
static void qkv_op(const QkvArgs& args, const Stream& stream) {
    run_qkv<V>(args, stream, [&]<class Finish>(const ProductJob& job, const Finish& finish) {
        run_product<V, Pairs>(job, stream, finish);
    });
}

}  // namespace argosy
