// A packed weight matrix of the reference: row-major [n, k] of its dtype, and rule R3's chain over it.
#pragma once

#include <cstdint>

#include "kernels/base/fma.hpp"
#include "kernels/ops.hpp"
#include "kernels/quant/bf16.hpp"
#include "kernels/quant/f16.hpp"
#include "kernels/quant/int8.hpp"

namespace argosy::reference {

// Element `index` of an array of dtype f32, bf16 or f16, decoded exactly.
inline float load(const void* data, DType dtype, std::int64_t index) {
    switch (dtype) {
        case DType::bf16:
        case DType::bf16_pairs:
        case DType::bf16_tiles:
            return decode_bf16(static_cast<const std::uint16_t*>(data)[index]);
        case DType::f16:
            return decode_f16(static_cast<const std::uint16_t*>(data)[index]);
        default:
            return static_cast<const float*>(data)[index];
    }
}

// Stores as f32, or as bf16 rounded to nearest even.
inline void store(void* data, DType dtype, std::int64_t index, float value) {
    if (dtype == DType::bf16) {
        static_cast<std::uint16_t*>(data)[index] = encode_bf16(value);
    } else if (dtype == DType::bf16_pairs || dtype == DType::bf16_tiles) {
        static_cast<std::uint16_t*>(data)[index] = encode_bf16_pairs(value);
    } else {
        static_cast<float*>(data)[index] = value;
    }
}

// Products of such matrices take codes of int8; the reference keeps mxfp4 as these.
inline bool takes_codes(DType dtype) { return dtype == DType::int8 || dtype == DType::mxfp4_int8; }

// An int8 matrix: [n, k] scales, of which the one at a block's first column counts, then [n, k] codes.
struct Int8Matrix {
    float* scale = nullptr;
    std::int8_t* code = nullptr;
};
inline Int8Matrix int8_matrix(const MatrixSpec& spec, void* data) {
    auto* scale = static_cast<float*>(data);
    return {scale, reinterpret_cast<std::int8_t*>(scale + spec.n * spec.k)};
}

// Rule R9: columns [k_begin, k_end) are a leaf, or all of K; blocks begin with it.
inline float int8_chain(const WeightMatrix& w, std::int64_t row, const float* x, std::int64_t k_begin,
                        std::int64_t k_end, float sum) {
    const Int8Matrix matrix = int8_matrix(w.spec, const_cast<void*>(w.data));
    for (std::int64_t k = k_begin; k < k_end; k += kInt8Block) {
        const int count = static_cast<int>(k_end - k < kInt8Block ? k_end - k : kInt8Block);
        std::int8_t code[kInt8Block];
        const float x_scale = int8_quantise(x + k, count, code);
        std::int32_t products = 0;
        for (int i = 0; i < count; ++i) products += code[i] * matrix.code[row * w.spec.k + k + i];
        sum = fma_f32(static_cast<float>(products), x_scale * matrix.scale[row * w.spec.k + k], sum);
    }
    return sum;
}

// a * b + c of bf16 factors, rounded once; below the smallest normal f32 after that rounding: a zero of its sign. A
// bf16 product is exact in double; 2^-126 - 2^-151 lies halfway between 2^-126, which is even, and the f32 below it.
inline float flushed_fma(float a, float b, float c) {
    const float result = fma_f32(a, b, c);
    const double product = static_cast<double>(a) * static_cast<double>(b);
    const double sum = product + static_cast<double>(c);
    const double lost = (product - (sum - (sum - product))) + (static_cast<double>(c) - (sum - product));
    const double size = sum < 0 ? -sum : sum;
    const double beyond = sum < 0 ? -lost : lost;  // what the magnitude has beside `size`
    constexpr double kEdge = 0x1p-126 - 0x1p-151;
    const bool flushed = size < kEdge || (size == kEdge && beyond < 0);
    return flushed ? result * 0.0F : result;
}

// Rule R11: pairs of adjacent columns, the later one first; an odd last column stands beside zeros.
inline float pair_chain(const WeightMatrix& w, std::int64_t row, const float* x, std::int64_t k_begin,
                        std::int64_t k_end, float sum) {
    for (std::int64_t k = k_begin; k < k_end; k += 2) {
        for (std::int64_t j = k + 1; j >= k; --j) {
            const bool beside = j == k_end;
            const float value = beside ? 0 : decode_bf16(encode_bf16_pairs(x[j]));
            sum = flushed_fma(value, beside ? 0 : load(w.data, w.spec.dtype, row * w.spec.k + j), sum);
        }
    }
    return sum;
}

// A sum of values that are no denormals; below the smallest normal f32, where it is exact: a zero of its sign.
inline float flushed_add(float a, float b) {
    const float sum = a + b;
    return sum < 0x1p-126F && sum > -0x1p-126F ? sum * 0.0F : sum;
}

// Rule R12: of every kTileColumns columns one chain over the even ones and one over the odd ones, both from 0; an odd
// last column stands beside zeros.
inline float tile_chain(const WeightMatrix& w, std::int64_t row, const float* x, std::int64_t k_begin,
                        std::int64_t k_end, float sum) {
    for (std::int64_t block = k_begin; block < k_end; block += kTileColumns) {
        const std::int64_t end = block + kTileColumns < k_end ? block + kTileColumns : k_end;
        float half[2] = {0, 0};
        for (std::int64_t k = block; k < end + (end - block) % 2; ++k) {
            const bool beside = k == end;
            const float value = beside ? 0 : decode_bf16(encode_bf16_pairs(x[k]));
            float& chain = half[(k - block) % 2];
            chain = flushed_fma(value, beside ? 0 : load(w.data, w.spec.dtype, row * w.spec.k + k), chain);
        }
        sum = flushed_add(sum, flushed_add(half[0], half[1]));
    }
    return sum;
}

// Sum over k in [k_begin, k_end) of x[k] * w[row][k], one chain in order from `sum`.
inline float chain(const WeightMatrix& w, std::int64_t row, const float* x, std::int64_t k_begin, std::int64_t k_end,
                   float sum = 0) {
    if (takes_codes(w.spec.dtype)) return int8_chain(w, row, x, k_begin, k_end, sum);
    if (w.spec.dtype == DType::bf16_pairs) return pair_chain(w, row, x, k_begin, k_end, sum);
    if (w.spec.dtype == DType::bf16_tiles) return tile_chain(w, row, x, k_begin, k_end, sum);
    for (std::int64_t k = k_begin; k < k_end; ++k)
        sum = fma_f32(x[k], load(w.data, w.spec.dtype, row * w.spec.k + k), sum);
    return sum;
}

// A value that may be absent, and the join of two: an absent side passes the other through (rule R2).
struct Part {
    bool present = false;
    float value = 0;
};
inline Part join(Part lower, Part upper) {
    if (!lower.present) return upper;
    if (!upper.present) return lower;
    return {true, lower.value + upper.value};
}

// The tree over count (1, 2, 4 or 8) parts: ((01)(23))((45)(67)). Overwrites part.
inline Part join_tree(Part* part, int count) {
    for (int width = count; width > 1; width /= 2) {
        for (int i = 0; i < width / 2; ++i) part[i] = join(part[2 * i], part[2 * i + 1]);
    }
    return part[0];
}

}  // namespace argosy::reference
