// How the reference lays a KV block out: [2 (k, v), kv_heads, kKvBlockTokens] vectors of head_dim elements of the KV
// dtype, codes of int8 with their scale behind them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/ops.hpp"

namespace argosy::reference {

// Start of the vector of one token: what = 0 for k, 1 for v; slot = block * kKvBlockTokens + offset within the block.
inline std::byte* kv_vector(const KvLayer& layer, std::int64_t slot, int what, int head) {
    const KvSpec& spec = layer.spec;
    const std::int64_t block = slot / kKvBlockTokens;
    const std::int64_t token = slot % kKvBlockTokens;
    if (spec.latent_dim > 0) what = 0;  // one vector is both
    const std::int64_t vector = (std::int64_t{what} * spec.kv_heads + head) * kKvBlockTokens + token;
    return layer.base + block * layer.block_stride_bytes + vector * kv_vector_bytes(spec.dtype, spec.head_dim);
}

}  // namespace argosy::reference
