// One token's key or value of one head into its KV block, rounded to the KV dtype.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/cpu/generic/attention_limits.hpp"
#include "kernels/cpu/generic/int8_rows.hpp"
#include "kernels/cpu/kv_block.hpp"
#include "kernels/quant/bf16.hpp"

namespace argosy {

// Codes of one head, as of one block however many dimensions it has, zeros behind them; returns their scale.
template <class V>
static float head_codes(const float* x, int head_dim, std::int8_t (&code)[kHeadDimMax]) {
    float scale;
    std::int32_t correction;
    quantise_block<V>(
        x, head_dim, [&](int at) { return code + at; }, &scale, &correction);
    return scale;
}

template <class V>
static void store_key_codes(const KvSpec& spec, std::byte* keys, int token, const float* k) {
    alignas(64) std::int8_t code[kHeadDimMax];
    const float scale = head_codes<V>(k, spec.head_dim, code);
    const std::int64_t stride = kv_key_stride(spec);
    for (std::int64_t d = 0; d < stride; d += 4) {
        std::uint32_t four;
        std::memcpy(&four, code + d, 4);
        four ^= 0x80808080U;  // code + 128
        std::memcpy(keys + d * kKvBlockTokens + token * 4, &four, 4);
    }
    std::memcpy(keys + kv_elements_bytes(spec, stride) + token * 4, &scale, 4);
}

template <class V>
static void store_value_codes(const KvSpec& spec, std::byte* values, int token, const float* v) {
    alignas(64) std::int8_t code[kHeadDimMax];
    const float scale = head_codes<V>(v, spec.head_dim, code);
    const std::int64_t stride = kv_value_stride(spec);
    std::byte* to = values + token / 4 * stride * 4 + token % 4;
    for (std::int64_t d = 0; d < stride; ++d) to[d * 4] = static_cast<std::byte>(code[d]);
    std::memcpy(values + kv_elements_bytes(spec, stride) + token * 4, &scale, 4);
}

// `token` is the place within the block, k [head_dim] the key.
template <class V>
static void store_key(const KvSpec& spec, std::byte* block, int head, int token, const float* k) {
    std::byte* keys = block + kv_key_offset(spec, head);
    if (spec.dtype == DType::int8) return store_key_codes<V>(spec, keys, token, k);
    if (spec.dtype == DType::bf16) {
        auto* to = reinterpret_cast<std::uint16_t*>(keys) + token;
        for (int d = 0; d < spec.head_dim; ++d) to[d * kKvBlockTokens] = encode_bf16(k[d]);
    } else {
        auto* to = reinterpret_cast<float*>(keys) + token;
        for (int d = 0; d < spec.head_dim; ++d) to[d * kKvBlockTokens] = k[d];
    }
}

template <class V>
static void store_value(const KvSpec& spec, std::byte* block, int head, int token, const float* v) {
    const std::int64_t stride = kv_value_stride(spec);
    std::byte* values = block + kv_value_offset(spec, head);
    if (spec.dtype == DType::int8) return store_value_codes<V>(spec, values, token, v);
    if (spec.dtype == DType::bf16) {
        auto* to = reinterpret_cast<std::uint16_t*>(values) + token * stride;
        for (int d = 0; d < spec.head_dim; ++d) to[d] = encode_bf16(v[d]);
        for (std::int64_t d = spec.head_dim; d < stride; ++d) to[d] = 0;
    } else {
        auto* to = reinterpret_cast<float*>(values) + token * stride;
        for (int d = 0; d < spec.head_dim; ++d) to[d] = v[d];
        for (std::int64_t d = spec.head_dim; d < stride; ++d) to[d] = 0;
    }
}

// A latent, [head_dim], of head 0.
static inline void store_latent(const KvSpec& spec, std::byte* block, int token, const float* x) {
    const std::int64_t stride = kv_value_stride(spec);
    std::byte* row = block + token * stride * kv_element_bytes(spec);
    for (std::int64_t d = 0; d < stride; ++d) {
        const float value = d < spec.head_dim ? x[d] : 0.0F;
        if (spec.dtype == DType::bf16) {
            reinterpret_cast<std::uint16_t*>(row)[d] = encode_bf16(value);
        } else {
            reinterpret_cast<float*>(row)[d] = value;
        }
    }
}

}  // namespace argosy
