// Latent attention between its products: the latent normed, turned and stored, queries turned and laid out head by
// head.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/cpu/generic/kv_store.hpp"
#include "kernels/cpu/generic/parallel_tasks.hpp"
#include "kernels/cpu/generic/rotate.hpp"
#include "kernels/cpu/generic/row_math.hpp"
#include "kernels/ops.hpp"

namespace argosy {

// Pairs (2i, 2i + 1) of x turned, to the halves (i, half + i) of `to`.
template <class V>
static void turn_pairs(const float* x, int half, const float* cosine, const float* sine, float* to) {
    for (int i = 0; i < half; ++i) {
        to[i] = x[2 * i];
        to[half + i] = x[2 * i + 1];
    }
    rotate_halves<V>(to, half, cosine, sine);
}

template <class V>
static void latent_row(const LatentArgs& args, std::int64_t row) {
    const std::int64_t half = args.rotary_dim / 2;
    const int width = args.latent_dim + args.rotary_dim;
    const float* cosine = args.rope_cos + args.position[row] * half;
    const float* sine = args.rope_sin + args.position[row] * half;
    const float* from = args.latent + row * width;
    alignas(64) float vector[kHeadDimMax];
    rms_norm_row<V>(from, args.norm, args.latent_dim, args.norm_eps, vector);
    turn_pairs<V>(from + args.latent_dim, static_cast<int>(half), cosine, sine, vector + args.latent_dim);
    std::byte* block = args.kv.base + args.kv_slot[row] / kKvBlockTokens * args.kv.block_stride_bytes;
    store_latent(args.kv.spec, block, static_cast<int>(args.kv_slot[row] % kKvBlockTokens), vector);
    const float* q = args.q + row * args.q_heads * (args.nope_dim + args.rotary_dim);
    for (std::int64_t head = 0; head < args.q_heads; ++head, q += args.nope_dim + args.rotary_dim) {
        const std::int64_t place = head * args.rows + row;
        std::memcpy(args.q_nope + place * args.nope_dim, q, static_cast<std::size_t>(args.nope_dim) * sizeof(float));
        turn_pairs<V>(q + args.nope_dim, static_cast<int>(half), cosine, sine,
                      args.q_latent + place * width + args.latent_dim);
    }
}

template <class V>
static void latent_op(const LatentArgs& args, const Stream& stream) {
    const int columns = args.q_heads * (args.nope_dim + args.rotary_dim) + args.latent_dim;
    parallel_rows(stream, args.rows, 16384 / (4 * columns + 1) + 1, [&](int begin, int end) {
        for (int row = begin; row < end; ++row) latent_row<V>(args, row);
    });
}

}  // namespace argosy
