// Activations of a step as int8 codes, block by block along a row (rule R9): once per row, however many products and
// experts read it.
#pragma once

#include <cstdint>

#include "kernels/cpu/generic/parallel_tasks.hpp"
#include "kernels/cpu/int8_blocks.hpp"

namespace argosy {

// 16 values, or the first `left` and zeros.
template <class V>
[[gnu::always_inline]] static inline V load_up_to(const float* x, int left) {
    return left >= 16 ? V::load(x) : V::load_first(x, left);
}

// One block, of at most 512 values: 16 codes at a time to code_at(0), code_at(16), ..., zeros behind the last, and
// scale and correction.
template <class V, class CodeAt>
[[gnu::always_inline]] static inline void quantise_block(const float* x, int count, const CodeAt& code_at, float* scale,
                                                         std::int32_t* correction) {
    V largest = V::zero();
    for (int i = 0; i < count; i += 16) {
        const V value = load_up_to<V>(x + i, count - i);
        largest = vmax(vmax(value, vsub(V::zero(), value)), largest);
    }
    const Int8Scale by = int8_scale(max_lanes(largest));
    const V inverse = V::set(by.inverse);
    const V shift = V::set(kInt8Shift);
    V sum = V::zero();
    for (int i = 0; i < count; i += 16) {
        const V shifted = vadd(vmul(load_up_to<V>(x + i, count - i), inverse), shift);
        store_low_bytes(shifted, code_at(i));
        sum = vadd(sum, vsub(shifted, shift));
    }
    const float all = sum_lanes(sum);  // an integer, small enough to be exact in any order
    *scale = by.scale;
    *correction = all >= -65024.0F && all <= 65024.0F ? -128 * static_cast<std::int32_t>(all) : 0;  // NaN: 0
}

template <class V>
static void quantise_row(const float* x, const MatrixSpec& spec, const Int8RowShape& shape, std::byte* record) {
    auto* scale = reinterpret_cast<float*>(record);
    auto* correction = reinterpret_cast<std::int32_t*>(record) + shape.blocks;
    auto* code = reinterpret_cast<std::int8_t*>(record + shape.codes_offset);
    for (int i = 0; i < leaf_parts(spec); ++i) {
        const std::int64_t end = leaf_part_begin(spec, i + 1);
        for (std::int64_t k = leaf_part_begin(spec, i); k < end; k += kInt8Block) {
            const int count = static_cast<int>(end - k < kInt8Block ? end - k : kInt8Block);
            const auto code_at = [&](int i) { return code + i; };
            quantise_block<V>(x + k, count, code_at, scale++, correction++);
            code += int8_padded(count);
        }
    }
}

// Rows of x [rows, spec.k] into `scratch` of product_scratch_bytes.
template <class V>
static Int8Rows quantise_rows(const float* x, int rows, const MatrixSpec& spec, std::byte* scratch,
                              const Stream& stream) {
    const Int8RowShape shape = int8_row_shape(spec);
    parallel_rows(stream, rows, static_cast<int>(16384 / (spec.k + 1)) + 1, [&](int begin, int end) {
        for (int row = begin; row < end; ++row)
            quantise_row<V>(x + row * spec.k, spec, shape, scratch + row * shape.row_bytes);
    });
    return {scratch, shape, scratch + rows * shape.row_bytes};
}

}  // namespace argosy
