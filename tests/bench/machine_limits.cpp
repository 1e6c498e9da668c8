// The loops that measure a machine's limits, one per instruction set, compiled for it by attribute.
#include "tests/bench/machine_limits.hpp"

#include <immintrin.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

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

namespace {

// Nanoseconds of a call of `work` by every thread of `threads`, all at the same time: the median over rounds of the
// threads' mean.
template <class Work>
double all_threads_ns(int threads, const Work& work) {
    std::vector<double> mean(static_cast<std::size_t>(threads));
#pragma omp parallel for num_threads(threads) schedule(static, 1)
    for (int t = 0; t < threads; ++t) {
        std::vector<double> samples;
        for (int sample = 0; sample < 9; ++sample) {
            const std::int64_t start = monotonic_ns();
            work(t);
            samples.push_back(static_cast<double>(monotonic_ns() - start));
        }
        std::nth_element(samples.begin(), samples.begin() + 4, samples.end());
        mean[static_cast<std::size_t>(t)] = samples[4];
    }
    return std::accumulate(mean.begin(), mean.end(), 0.0) / threads;
}

}  // namespace

double fma_gflops(std::string_view backend, int threads) {
    float (*loop)() = backend == "cpu-avx512" ? fma_avx512 : backend == "cpu-avx2" ? fma_avx2 : multiply_add_baseline;
    const int lanes = backend == "cpu-avx512" ? 16 : backend == "cpu-avx2" ? 8 : 4;
    const double ns = all_threads_ns(threads, [&](int) {
        volatile float sink = 0;
        for (int i = 0; i < 8; ++i) sink = loop();
        (void)sink;
    });
    return threads * 8 * 2.0 * lanes * kChains * kSteps / ns;
}

double read_gbytes(const void* data, std::size_t bytes, int threads) {
    const std::size_t share = bytes / static_cast<std::size_t>(threads) / 512 * 512;
    const double ns = all_threads_ns(threads, [&](int t) {
        const auto* p =
            reinterpret_cast<const __m128i*>(static_cast<const std::byte*>(data) + static_cast<std::size_t>(t) * share);
        __m128i sum[8] = {};
        for (std::size_t i = 0; i < share / 16; i += 8) {
            for (std::size_t j = 0; j < 8; ++j) sum[j] = _mm_xor_si128(sum[j], _mm_loadu_si128(p + i + j));
        }
        for (int j = 1; j < 8; ++j) sum[0] = _mm_xor_si128(sum[0], sum[j]);
        volatile int sink = _mm_cvtsi128_si32(sum[0]);
        (void)sink;
    });
    return threads * static_cast<double>(share) / ns;
}

}  // namespace argosy::bench
