// What stands inside one KV block of one layer, for the CPU backend: K transposed so that 16 keys are 16 lanes of a
// score, V so that 16 dimensions are 16 lanes of an output.
//
//   K: [kv_heads][head_dim][16 tokens]
//   V: [kv_heads][16 tokens][head_dim rounded up to 16], the rounding filled with zeros
//
// Example: 2 heads of dimension 24, bf16: K is 2 * 24 * 16 * 2 = 1536 bytes, V 2 * 16 * 32 * 2 = 2048 bytes.
//
// Latents stand token by token, since they are keys and values at once:
//
//   [kv_heads][16 tokens][head_dim rounded up to 16], the rounding filled with zeros
//
// As codes of int8 (rule R13) four dimensions of a key, or four tokens of a dimension, stand together, as products of
// four codes take them, and the tokens' scales follow each head's codes:
//
//   K: [kv_heads]{[head_dim / 4 rounded up][16 tokens][4 dimensions] of code + 128, [16 tokens] f32}
//   V: [kv_heads]{[4][head_dim rounded up to 16][4 tokens] of code, [16 tokens] f32}
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/base/inline.hpp"
#include "kernels/ops.hpp"

namespace argosy {

inline constexpr std::int64_t kKvScalesBytes = kKvBlockTokens * sizeof(float);  // of a head's keys or values, as codes

ARGOSY_INLINE std::int64_t kv_element_bytes(const KvSpec& spec) {
    return spec.dtype == DType::int8 ? 1 : spec.dtype == DType::bf16 ? 2 : 4;
}
ARGOSY_INLINE std::int64_t kv_value_stride(const KvSpec& spec) { return (spec.head_dim + 15) / 16 * 16; }
// Of a weighted sum of values.
ARGOSY_INLINE std::int64_t kv_output_stride(const KvSpec& spec) { return (kv_value_dim(spec) + 15) / 16 * 16; }
ARGOSY_INLINE std::int64_t kv_key_stride(const KvSpec& spec) {
    if (spec.latent_dim > 0) return kv_value_stride(spec);
    return spec.dtype == DType::int8 ? (spec.head_dim + 3) / 4 * 4 : spec.head_dim;
}

// Bytes of a head's keys or values without scales, and with them.
ARGOSY_INLINE std::int64_t kv_elements_bytes(const KvSpec& spec, std::int64_t stride) {
    return stride * kKvBlockTokens * kv_element_bytes(spec);
}
ARGOSY_INLINE std::int64_t kv_head_bytes(const KvSpec& spec, std::int64_t stride) {
    return kv_elements_bytes(spec, stride) + (spec.dtype == DType::int8 ? kKvScalesBytes : 0);
}

// Byte offset of a head's keys and of its values within a block.
ARGOSY_INLINE std::int64_t kv_key_offset(const KvSpec& spec, int head) {
    return head * kv_head_bytes(spec, kv_key_stride(spec));
}
ARGOSY_INLINE std::int64_t kv_value_offset(const KvSpec& spec, int head) {
    if (spec.latent_dim > 0) return kv_key_offset(spec, head);
    return kv_key_offset(spec, spec.kv_heads) + head * kv_head_bytes(spec, kv_value_stride(spec));
}
ARGOSY_INLINE std::int64_t kv_bytes(const KvSpec& spec) { return kv_value_offset(spec, spec.kv_heads); }

}  // namespace argosy
