// The loops, one per instruction, each compiled for its instruction set by attribute. Every loop keeps more chains in
// flight than latency times ports, and an empty asm statement stops the compiler from merging steps.
#include "kernels/probe/arithmetic_loops.hpp"

#include <immintrin.h>

#include <array>

#include "kernels/base/amx_permission.hpp"
#include "kernels/base/amx_tile_shapes.hpp"

namespace argosy {

namespace {

constexpr int kChains = 12;

[[gnu::target("avx512f"), gnu::noinline]] float f32_avx512(std::int64_t steps) {
    __m512 acc[kChains];
#pragma GCC unroll 12
    for (auto& a : acc) a = _mm512_set1_ps(1.0F);
    const __m512 x = _mm512_set1_ps(0.999F);
    for (std::int64_t i = 0; i < steps; ++i) {
#pragma GCC unroll 12
        for (auto& a : acc) {
            a = _mm512_fmadd_ps(a, x, x);
            asm("" : "+v"(a));
        }
    }
    float sum = 0;
#pragma GCC unroll 12
    for (auto& a : acc) sum += _mm512_cvtss_f32(a);
    return sum;
}

[[gnu::target("avx2,fma"), gnu::noinline]] float f32_avx2(std::int64_t steps) {
    __m256 acc[kChains];
#pragma GCC unroll 12
    for (auto& a : acc) a = _mm256_set1_ps(1.0F);
    const __m256 x = _mm256_set1_ps(0.999F);
    for (std::int64_t i = 0; i < steps; ++i) {
#pragma GCC unroll 12
        for (auto& a : acc) {
            a = _mm256_fmadd_ps(a, x, x);
            asm("" : "+x"(a));
        }
    }
    float sum = 0;
#pragma GCC unroll 12
    for (auto& a : acc) sum += _mm256_cvtss_f32(a);
    return sum;
}

[[gnu::noinline]] float f32_portable(std::int64_t steps) {
    __m128 acc[kChains];
#pragma GCC unroll 12
    for (auto& a : acc) a = _mm_set1_ps(1.0F);
    const __m128 x = _mm_set1_ps(0.999F);
    for (std::int64_t i = 0; i < steps; ++i) {
#pragma GCC unroll 12
        for (auto& a : acc) {
            a = _mm_add_ps(_mm_mul_ps(a, x), x);
            asm("" : "+x"(a));
        }
    }
    float sum = 0;
#pragma GCC unroll 12
    for (auto& a : acc) sum += _mm_cvtss_f32(a);
    return sum;
}

[[gnu::target("avx512f,avx512bw,avx512vnni"), gnu::noinline]] float int8_avx512(std::int64_t steps) {
    __m512i acc[kChains];
#pragma GCC unroll 12
    for (auto& a : acc) a = _mm512_setzero_si512();
    const __m512i x = _mm512_set1_epi8(3);
    for (std::int64_t i = 0; i < steps; ++i) {
#pragma GCC unroll 12
        for (auto& a : acc) {
            a = _mm512_dpbusd_epi32(a, x, x);
            asm("" : "+v"(a));
        }
    }
    alignas(64) std::int32_t lanes[16] = {};
    __m512i sum = acc[0];
#pragma GCC unroll 12
    for (auto& a : acc) sum = _mm512_xor_si512(sum, a);
    _mm512_store_si512(lanes, sum);
    return static_cast<float>(lanes[0]);
}

// Tiles of 16 x 64 codes or 16 x 32 bf16, four sums of them in flight; ldtilecfg makes them zeros.
constexpr int kTileSums = 4;

[[gnu::target("amx-tile")]] void use_whole_tiles() {
    AmxTileShapes shapes;
    for (int tile = 0; tile < kTileSums + 2; ++tile) {
        shapes.row_bytes[tile] = 64;
        shapes.rows[tile] = 16;
    }
    asm volatile("ldtilecfg %0" : : "m"(shapes));
}

[[gnu::target("avx512f,amx-tile,amx-int8"), gnu::noinline]] float int8_amx(std::int64_t steps) {
    use_whole_tiles();
    for (std::int64_t i = 0; i < steps; ++i) {
        asm volatile(
            "tdpbsud %tmm5, %tmm4, %tmm0\n\ttdpbsud %tmm5, %tmm4, %tmm1\n\t"
            "tdpbsud %tmm5, %tmm4, %tmm2\n\ttdpbsud %tmm5, %tmm4, %tmm3");
    }
    asm volatile("tilerelease");
    return 0;
}

[[gnu::target("avx512f,amx-tile,amx-bf16"), gnu::noinline]] float bf16_amx(std::int64_t steps) {
    use_whole_tiles();
    for (std::int64_t i = 0; i < steps; ++i) {
        asm volatile(
            "tdpbf16ps %tmm5, %tmm4, %tmm0\n\ttdpbf16ps %tmm5, %tmm4, %tmm1\n\t"
            "tdpbf16ps %tmm5, %tmm4, %tmm2\n\ttdpbf16ps %tmm5, %tmm4, %tmm3");
    }
    asm volatile("tilerelease");
    return 0;
}

// Without VNNI three instructions do the work of one: products of pairs to 16 bits, pairs of those to 32, and a sum.
[[gnu::target("avx2"), gnu::noinline]] float int8_avx2(std::int64_t steps) {
    __m256i acc[kChains];
#pragma GCC unroll 12
    for (auto& a : acc) a = _mm256_setzero_si256();
    __m256i x = _mm256_set1_epi8(3);
    const __m256i ones = _mm256_set1_epi16(1);
    for (std::int64_t i = 0; i < steps; ++i) {
#pragma GCC unroll 12
        for (auto& a : acc) {
            asm("" : "+x"(x));
            a = _mm256_add_epi32(a, _mm256_madd_epi16(_mm256_maddubs_epi16(x, x), ones));
            asm("" : "+x"(a));
        }
    }
    int sum = 0;
#pragma GCC unroll 12
    for (auto& a : acc) sum += _mm_cvtsi128_si32(_mm256_castsi256_si128(a));
    return static_cast<float>(sum);
}

[[gnu::target("avx512f,avx512bw,avx512bf16"), gnu::noinline]] float bf16_avx512(std::int64_t steps) {
    __m512 acc[kChains];
#pragma GCC unroll 12
    for (auto& a : acc) a = _mm512_set1_ps(1.0F);
    const __m512bh x = _mm512_cvtne2ps_pbh(_mm512_set1_ps(0.5F), _mm512_set1_ps(0.5F));
    for (std::int64_t i = 0; i < steps; ++i) {
#pragma GCC unroll 12
        for (auto& a : acc) {
            a = _mm512_dpbf16_ps(a, x, x);
            asm("" : "+v"(a));
        }
    }
    float sum = 0;
#pragma GCC unroll 12
    for (auto& a : acc) sum += _mm512_cvtss_f32(a);
    return sum;
}

bool always() { return true; }
bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
bool has_avx512() { return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw"); }
bool has_vnni() { return has_avx512() && __builtin_cpu_supports("avx512vnni"); }
bool has_amx() { return has_vnni() && amx_missing(AmxProducts::int8).empty(); }
bool has_bf16() { return has_avx512() && __builtin_cpu_supports("avx512bf16"); }
bool has_amx_bf16() { return has_bf16() && amx_missing(AmxProducts::bf16).empty(); }

constexpr std::array kLoops{
    ArithmeticLoop{ArithmeticKind::f32, "avx512", "vfmadd, 512 bit", kChains * 2.0 * 16, has_avx512, f32_avx512},
    ArithmeticLoop{ArithmeticKind::f32, "avx2", "vfmadd, 256 bit", kChains * 2.0 * 8, has_avx2, f32_avx2},
    ArithmeticLoop{ArithmeticKind::f32, "portable", "mulps addps", kChains * 2.0 * 4, always, f32_portable},
    ArithmeticLoop{ArithmeticKind::int8, "amx", "tdpbsud, 16 x 16 x 64", kTileSums * 2.0 * 16 * 16 * 64, has_amx,
                   int8_amx},
    ArithmeticLoop{ArithmeticKind::int8, "avx512", "vpdpbusd, 512 bit", kChains * 2.0 * 64, has_vnni, int8_avx512},
    ArithmeticLoop{ArithmeticKind::int8, "avx2", "vpmaddubsw, 256 bit", kChains * 2.0 * 32, has_avx2, int8_avx2},
    ArithmeticLoop{ArithmeticKind::bf16, "amx", "tdpbf16ps, 16 x 16 x 32", kTileSums * 2.0 * 16 * 16 * 32, has_amx_bf16,
                   bf16_amx},
    ArithmeticLoop{ArithmeticKind::bf16, "avx512", "vdpbf16ps, 512 bit", kChains * 2.0 * 32, has_bf16, bf16_avx512},
};

}  // namespace

std::string_view name_of(ArithmeticKind kind) {
    constexpr std::string_view kNames[kArithmeticKindCount] = {"f32", "int8", "bf16"};
    return kNames[static_cast<std::size_t>(kind)];
}

std::span<const ArithmeticLoop> arithmetic_loops() { return kLoops; }

}  // namespace argosy
