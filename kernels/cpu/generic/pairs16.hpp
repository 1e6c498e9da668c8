// Sixteen products of bf16 pairs on a lane type without an instruction for them: the bits of vdpbf16ps, and of AMX's
// tdpbf16ps (tile_columns.hpp), from FMAs.
//
// A result below the smallest normal f32 becomes a zero of its sign, judged after rounding to 24 bits. An FMA that
// keeps denormals rounds such a result on a coarser grid, so that 2^-126 - 0.6 * 2^-150, which is to become zero, comes
// out as 2^-126. Hence a second FMA on everything times 2^64, where the result is normal and its size can be told.
// Where that overflows, the result is far from being flushed, and the comparison says no.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/base/elementary.hpp"
#include "kernels/quant/bf16.hpp"

namespace argosy {

template <class V>
struct EmulatedPairs16 {
    static constexpr bool kTiles = false;
    struct Weights {
        V low, high;
    };
    struct Pair {
        V low, high;
    };
    static constexpr float kUp = 0x1p64F;
    static constexpr float kSmallestUp = 0x1p-62F;  // the smallest normal f32, times kUp

    [[gnu::always_inline]] static Weights load(const std::byte* p) {
        const auto* pairs = reinterpret_cast<const std::uint32_t*>(p);
        return {V::low_bf16(pairs), V::high_bf16(pairs)};
    }
    [[gnu::always_inline]] static Pair broadcast(const float* pair) {
        const auto bits = __builtin_bit_cast(std::uint32_t, *pair);
        return {V::set(__builtin_bit_cast(float, bits << 16)), V::set(__builtin_bit_cast(float, bits & 0xffff0000U))};
    }
    [[gnu::always_inline]] static V flushed_fma(V x, V w, V sum) {
        const V up = V::set(kUp);
        const V result = vfma(x, w, sum);
        const V above = vfma(vmul(x, up), w, vmul(sum, up));
        const V size = vmax(above, vsub(V::zero(), above));
        return vselect(vless(size, V::set(kSmallestUp)), vmul(result, V::zero()), result);  // keeps the sign
    }
    [[gnu::always_inline]] static V dot(V sum, const Weights& w, const Pair& x) {
        return flushed_fma(x.low, w.low, flushed_fma(x.high, w.high, sum));
    }
    // Of values that are no denormals, and so exact where it is flushed.
    [[gnu::always_inline]] static V flushed_add(V a, V b) {
        const V result = vadd(a, b);
        const V size = vmax(result, vsub(V::zero(), result));
        return vselect(vless(size, V::set(0x1p-126F)), vmul(result, V::zero()), result);
    }
    // 16 values as bf16, side by side.
    [[gnu::always_inline]] static void store(V values, float* to) {
        float lane[16];
        values.store(lane);
        std::uint32_t code[16];
        for (int i = 0; i < 16; ++i) code[i] = encode_bf16_pairs(lane[i]);
        for (int i = 0; i < 8; ++i) to[i] = __builtin_bit_cast(float, code[2 * i] | code[2 * i + 1] << 16);
    }
};

template <class V>
struct EmulatedTiles16 : EmulatedPairs16<V> {
    static constexpr bool kTiles = true;
};

}  // namespace argosy
