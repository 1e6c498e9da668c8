// The loops that measure a machine's limits, one per instruction set, compiled for it by attribute.
#include "tests/bench/machine_limits.hpp"

#include <immintrin.h>

namespace argosy::bench {

namespace {

constexpr int kChains = 12;  // more than latency times ports
constexpr int kSteps = 200'000;

[[gnu::target("avx512f"), gnu::noinline]] float fma_avx512() {
    __m512 acc[kChains];
#pragma GCC unroll 12
    for (auto& a : acc) a = _mm512_set1_ps(1.0F);
    const __m512 x = _mm512_set1_ps(0.999F);
    for (int i = 0; i < kSteps; ++i) {
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

[[gnu::target("avx2,fma"), gnu::noinline]] float fma_avx2() {
    __m256 acc[kChains];
#pragma GCC unroll 12
    for (auto& a : acc) a = _mm256_set1_ps(1.0F);
    const __m256 x = _mm256_set1_ps(0.999F);
    for (int i = 0; i < kSteps; ++i) {
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

[[gnu::noinline]] float multiply_add_baseline() {
    __m128 acc[kChains];
#pragma GCC unroll 12
    for (auto& a : acc) a = _mm_set1_ps(1.0F);
    const __m128 x = _mm_set1_ps(0.999F);
    for (int i = 0; i < kSteps; ++i) {
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

}  // namespace

double fma_gflops(std::string_view backend) {
    volatile float sink = 0;
    float (*loop)() = backend == "cpu-avx512" ? fma_avx512 : backend == "cpu-avx2" ? fma_avx2 : multiply_add_baseline;
    const int lanes = backend == "cpu-avx512" ? 16 : backend == "cpu-avx2" ? 8 : 4;
    const double ns = median_ns(1, [&] { sink = loop(); });
    return 2.0 * lanes * kChains * kSteps / ns;
}

double read_gbytes(const void* data, std::size_t bytes) {
    volatile int sink = 0;
    const double ns = median_ns(1, [&] {
        const auto* p = static_cast<const __m128i*>(data);
        __m128i sum[8] = {};
        for (std::size_t i = 0; i < bytes / 16; i += 8) {
            for (int j = 0; j < 8; ++j) sum[j] = _mm_xor_si128(sum[j], _mm_loadu_si128(p + i + j));
        }
        for (int j = 1; j < 8; ++j) sum[0] = _mm_xor_si128(sum[0], sum[j]);
        sink = _mm_cvtsi128_si32(sum[0]);
    });
    return static_cast<double>(bytes) / ns;
}

}  // namespace argosy::bench
