// Latent attention between its products: norms, rotations, the store.
#include <vector>

#include "kernels/base/fma.hpp"
#include "kernels/reference/kv_block.hpp"
#include "kernels/reference/matrix.hpp"
#include "kernels/reference/norm.hpp"
#include "kernels/reference/reference_ops.hpp"

namespace argosy::reference {
namespace {

// Pairs (2i, 2i + 1) of x turned, to the halves (i, half + i) of `to`.
void turn_pairs(const float* x, int half, const float* cos, const float* sin, float* to) {
    for (int i = 0; i < half; ++i) {
        const float a = x[2 * i];
        const float b = x[2 * i + 1];
        to[i] = fma_f32(a, cos[i], -(b * sin[i]));
        to[half + i] = fma_f32(b, cos[i], a * sin[i]);
    }
}

}  // namespace

void latent(const LatentArgs& args, const Stream&) {
    const int half = args.rotary_dim / 2;
    const int width = args.latent_dim + args.rotary_dim;
    const int head_dim = args.nope_dim + args.rotary_dim;
    std::vector<float> vector(static_cast<std::size_t>(width));
    for (std::int64_t row = 0; row < args.rows; ++row) {
        const float* cos = args.rope_cos + std::int64_t{args.position[row]} * half;
        const float* sin = args.rope_sin + std::int64_t{args.position[row]} * half;
        const float* from = args.latent + row * width;
        rms_norm_row(from, args.norm, args.latent_dim, args.norm_eps, vector.data());
        turn_pairs(from + args.latent_dim, half, cos, sin, vector.data() + args.latent_dim);
        std::byte* to = kv_vector(args.kv, args.kv_slot[row], 0, 0);
        for (int d = 0; d < width; ++d) store(to, args.kv.spec.dtype, d, vector[static_cast<std::size_t>(d)]);
        for (std::int64_t head = 0; head < args.q_heads; ++head) {
            const float* q = args.q + (row * args.q_heads + head) * head_dim;
            const std::int64_t place = head * args.rows + row;
            for (int d = 0; d < args.nope_dim; ++d) args.q_nope[place * args.nope_dim + d] = q[d];
            turn_pairs(q + args.nope_dim, half, cos, sin, args.q_latent + place * width + args.latent_dim);
        }
    }
}

}  // namespace argosy::reference
