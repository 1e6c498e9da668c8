// Sixteen f32 lanes in four 4-lane vectors of the compiler's own vector types (SSE2 on x86-64). Included by the
// portable_*.cpp files alone, so all of it has internal linkage.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/base/lanes.hpp"
#include "kernels/quant/f16.hpp"

namespace argosy::cpu_portable {
namespace {

typedef float F32x4 __attribute__((vector_size(16)));
typedef float F32x2 __attribute__((vector_size(8)));
typedef double F64x2 __attribute__((vector_size(16)));
typedef std::int32_t I32x4 __attribute__((vector_size(16)));
typedef std::uint32_t U32x4 __attribute__((vector_size(16)));
typedef std::int64_t I64x2 __attribute__((vector_size(16)));
typedef std::uint64_t U64x2 __attribute__((vector_size(16)));

struct Mask16 {
    I32x4 part[4];
};

struct Vec16 {
    F32x4 part[4];

    static constexpr int kQueryRows = 2;  // queries of an attention tile at most
    static constexpr int kTileRows = 2;   // rows of a product's register tile at most
    static constexpr int kTileUnits = 4;  // accumulators and a weight per panel, in fours

    [[gnu::always_inline]] static Vec16 zero() { return set(0.0F); }
    [[gnu::always_inline]] static Vec16 set(float value) {
        const F32x4 four = {value, value, value, value};
        return {{four, four, four, four}};
    }
    [[gnu::always_inline]] static Vec16 load(const float* p) {
        Vec16 out;
        std::memcpy(&out, p, sizeof out);
        return out;
    }
    [[gnu::always_inline]] static Vec16 load_first(const float* p, int n) {
        alignas(16) float lane[16] = {};
        for (int i = 0; i < n; ++i) lane[i] = p[i];
        return load(lane);
    }
    [[gnu::always_inline]] void store(float* p) const { std::memcpy(p, this, sizeof *this); }
    [[gnu::always_inline]] void store_first(float* p, int n) const {
        alignas(16) float lane[16];
        store(lane);
        for (int i = 0; i < n; ++i) p[i] = lane[i];
    }

    // 16 adjacent codes.
    [[gnu::always_inline]] static Vec16 load_bf16(const std::uint16_t* p) {
        U32x4 wide[4];
        for (int i = 0; i < 16; ++i) wide[i / 4][i % 4] = static_cast<std::uint32_t>(p[i]) << 16;
        Vec16 out;
        std::memcpy(&out, wide, sizeof out);
        return out;
    }
    [[gnu::always_inline]] static Vec16 load_f16(const std::uint16_t* p) {
        alignas(16) float lane[16];
        for (int i = 0; i < 16; ++i) lane[i] = decode_f16(p[i]);
        return load(lane);
    }
    // The lower and the upper codes of 16 pairs.
    [[gnu::always_inline]] static Vec16 low_bf16(const std::uint32_t* p) {
        Vec16 out;
        for (int i = 0; i < 4; ++i) out.part[i] = reinterpret_cast<F32x4>(load_pairs(p + 4 * i) << 16);
        return out;
    }
    [[gnu::always_inline]] static Vec16 high_bf16(const std::uint32_t* p) {
        Vec16 out;
        for (int i = 0; i < 4; ++i) out.part[i] = reinterpret_cast<F32x4>(load_pairs(p + 4 * i) & 0xffff0000U);
        return out;
    }

    [[gnu::always_inline]] static Mask16 first(int n) {
        const I32x4 count = {n, n, n, n};
        return {{I32x4{0, 1, 2, 3} < count, I32x4{4, 5, 6, 7} < count, I32x4{8, 9, 10, 11} < count,
                 I32x4{12, 13, 14, 15} < count}};
    }

  private:
    [[gnu::always_inline]] static U32x4 load_pairs(const std::uint32_t* p) {
        U32x4 out;
        std::memcpy(&out, p, sizeof out);
        return out;
    }
};

// fma_f32_by_double (kernels/base/fma.hpp) on two lanes.
ARGOSY_INLINE F32x2 fma_two(F32x2 a, F32x2 b, F32x2 c) {
    const F64x2 product = __builtin_convertvector(a, F64x2) * __builtin_convertvector(b, F64x2);
    const F64x2 addend = __builtin_convertvector(c, F64x2);
    const F64x2 sum = product + addend;
    const F64x2 back = sum - product;
    const F64x2 error = (product - (sum - back)) + (addend - back);
    const U64x2 bits = reinterpret_cast<U64x2>(sum);
    const U64x2 inexact = reinterpret_cast<U64x2>((error > 0.0) | (error < 0.0));
    // One step away from zero where error and sum have one sign, else one step towards it; an odd sum stays.
    const U64x2 opposed = (reinterpret_cast<U64x2>(error) ^ bits) >> 63;
    const U64x2 step = (1 - (opposed << 1)) & inexact & ((bits & 1) - 1);
    return __builtin_convertvector(reinterpret_cast<F64x2>(bits + step), F32x2);
}
ARGOSY_INLINE F32x4 fma_four(F32x4 a, F32x4 b, F32x4 c) {
    const F32x2 low = fma_two(__builtin_shufflevector(a, a, 0, 1), __builtin_shufflevector(b, b, 0, 1),
                              __builtin_shufflevector(c, c, 0, 1));
    const F32x2 high = fma_two(__builtin_shufflevector(a, a, 2, 3), __builtin_shufflevector(b, b, 2, 3),
                               __builtin_shufflevector(c, c, 2, 3));
    return __builtin_shufflevector(low, high, 0, 1, 2, 3);
}
ARGOSY_INLINE F32x4 select_four(I32x4 mask, F32x4 a, F32x4 b) {
    return reinterpret_cast<F32x4>((mask & reinterpret_cast<I32x4>(a)) | (~mask & reinterpret_cast<I32x4>(b)));
}

ARGOSY_INLINE Vec16 vadd(Vec16 a, Vec16 b) {
    return {{a.part[0] + b.part[0], a.part[1] + b.part[1], a.part[2] + b.part[2], a.part[3] + b.part[3]}};
}
ARGOSY_INLINE Vec16 vsub(Vec16 a, Vec16 b) {
    return {{a.part[0] - b.part[0], a.part[1] - b.part[1], a.part[2] - b.part[2], a.part[3] - b.part[3]}};
}
ARGOSY_INLINE Vec16 vmul(Vec16 a, Vec16 b) {
    return {{a.part[0] * b.part[0], a.part[1] * b.part[1], a.part[2] * b.part[2], a.part[3] * b.part[3]}};
}
ARGOSY_INLINE Vec16 vdiv(Vec16 a, Vec16 b) {
    return {{a.part[0] / b.part[0], a.part[1] / b.part[1], a.part[2] / b.part[2], a.part[3] / b.part[3]}};
}
ARGOSY_INLINE Vec16 vsqrt(Vec16 a) {
    alignas(16) float lane[16];
    a.store(lane);
    for (float& value : lane) value = __builtin_sqrtf(value);
    return Vec16::load(lane);
}
ARGOSY_INLINE Vec16 vfma(Vec16 a, Vec16 b, Vec16 c) {
    return {{fma_four(a.part[0], b.part[0], c.part[0]), fma_four(a.part[1], b.part[1], c.part[1]),
             fma_four(a.part[2], b.part[2], c.part[2]), fma_four(a.part[3], b.part[3], c.part[3])}};
}
ARGOSY_INLINE Mask16 vless(Vec16 a, Vec16 b) {
    return {{a.part[0] < b.part[0], a.part[1] < b.part[1], a.part[2] < b.part[2], a.part[3] < b.part[3]}};
}
ARGOSY_INLINE Mask16 vless_equal(Vec16 a, Vec16 b) {
    return {{a.part[0] <= b.part[0], a.part[1] <= b.part[1], a.part[2] <= b.part[2], a.part[3] <= b.part[3]}};
}
ARGOSY_INLINE Vec16 vselect(Mask16 mask, Vec16 a, Vec16 b) {
    return {{select_four(mask.part[0], a.part[0], b.part[0]), select_four(mask.part[1], a.part[1], b.part[1]),
             select_four(mask.part[2], a.part[2], b.part[2]), select_four(mask.part[3], a.part[3], b.part[3])}};
}
ARGOSY_INLINE Vec16 vmax(Vec16 a, Vec16 b) { return vselect(vless(b, a), a, b); }
ARGOSY_INLINE Vec16 vmin(Vec16 a, Vec16 b) { return vselect(vless(a, b), a, b); }
ARGOSY_INLINE std::uint32_t lane_bits(Mask16 mask) {
    std::uint32_t bits = 0;
    for (int i = 0; i < 16; ++i) bits |= static_cast<std::uint32_t>(mask.part[i / 4][i % 4] & 1) << i;
    return bits;
}

ARGOSY_INLINE Vec16 vscale_exponent(Vec16 a, Vec16 t) {
    for (int i = 0; i < 4; ++i) {
        a.part[i] =
            reinterpret_cast<F32x4>(reinterpret_cast<U32x4>(a.part[i]) + (reinterpret_cast<U32x4>(t.part[i]) << 23));
    }
    return a;
}
ARGOSY_INLINE Vec16 vexponent(Vec16 a, std::int32_t bias) {
    for (int i = 0; i < 4; ++i) {
        const U32x4 bits = reinterpret_cast<U32x4>(a.part[i]) - static_cast<std::uint32_t>(bias);
        a.part[i] = __builtin_convertvector(reinterpret_cast<I32x4>(bits) >> 23, F32x4);
    }
    return a;
}
ARGOSY_INLINE Vec16 vmantissa(Vec16 a, std::int32_t bias) {
    for (int i = 0; i < 4; ++i) {
        const U32x4 bits = reinterpret_cast<U32x4>(a.part[i]) - static_cast<std::uint32_t>(bias);
        a.part[i] = reinterpret_cast<F32x4>((bits & 0x7fffffU) + static_cast<std::uint32_t>(bias));
    }
    return a;
}

// Truncated values, each within 0 to 65535.
ARGOSY_INLINE void store_u16(Vec16 a, std::uint16_t* p) {
    alignas(16) float lane[16];
    a.store(lane);
    for (int i = 0; i < 16; ++i) p[i] = static_cast<std::uint16_t>(lane[i]);
}

// The lowest byte of each lane's bits.
ARGOSY_INLINE void store_low_bytes(Vec16 a, std::int8_t* p) {
    std::uint32_t lane[16];
    std::memcpy(lane, &a, sizeof lane);
    for (int i = 0; i < 16; ++i) p[i] = static_cast<std::int8_t>(lane[i] & 0xffU);
}

// Rule R6's tree over lanes: strides 8, 4, 2, 1.
ARGOSY_INLINE float sum_lanes(Vec16 a) {
    const F32x4 four = (a.part[0] + a.part[2]) + (a.part[1] + a.part[3]);
    return (four[0] + four[2]) + (four[1] + four[3]);
}
// Lane i is sum_lanes(a[i]).
ARGOSY_INLINE Vec16 sum_lanes_16(const Vec16 (&a)[16]) {
    float sums[16];
    for (int i = 0; i < 16; ++i) sums[i] = sum_lanes(a[i]);
    return Vec16::load(sums);
}
ARGOSY_INLINE float max_lanes(Vec16 a) {
    alignas(16) float lane[16];
    a.store(lane);
    float largest = lane[0];
    for (float value : lane) largest = argosy::vmax(largest, value);
    return largest;
}

}  // namespace
}  // namespace argosy::cpu_portable

namespace argosy {
template <>
struct Lanes<cpu_portable::Vec16> {
    [[gnu::always_inline]] static cpu_portable::Vec16 set(float value) { return cpu_portable::Vec16::set(value); }
};
}  // namespace argosy
