// What stands inside one KV block of one layer, for the CPU backend: K transposed so that 16 keys are 16 lanes of a
// score, V so that 16 dimensions are 16 lanes of an output.
//
//   K: [kv_heads][head_dim][16 tokens]
//   V: [kv_heads][16 tokens][head_dim rounded up to 16], the rounding filled with zeros
//
// Example: 2 heads of dimension 24, bf16: K is 2 * 24 * 16 * 2 = 1536 bytes, V 2 * 16 * 32 * 2 = 2048 bytes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/base/inline.hpp"
#include "kernels/ops.hpp"

namespace argosy {

ARGOSY_INLINE std::int64_t kv_element_bytes(const KvSpec& spec) { return spec.dtype == DType::bf16 ? 2 : 4; }
ARGOSY_INLINE std::int64_t kv_value_stride(const KvSpec& spec) { return (spec.head_dim + 15) / 16 * 16; }

// Byte offset of a head's keys and of its values within a block.
ARGOSY_INLINE std::int64_t kv_key_offset(const KvSpec& spec, int head) {
    return static_cast<std::int64_t>(head) * spec.head_dim * kKvBlockTokens * kv_element_bytes(spec);
}
ARGOSY_INLINE std::int64_t kv_value_offset(const KvSpec& spec, int head) {
    return kv_key_offset(spec, spec.kv_heads) +
           static_cast<std::int64_t>(head) * kKvBlockTokens * kv_value_stride(spec) * kv_element_bytes(spec);
}
ARGOSY_INLINE std::int64_t kv_bytes(const KvSpec& spec) { return kv_value_offset(spec, spec.kv_heads); }

}  // namespace argosy
