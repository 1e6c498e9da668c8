// Eight independent sums of loads, in three widths.
#include "kernels/probe/memory_loops.hpp"

#include <immintrin.h>

#include <cstring>

namespace argosy {

namespace {

constexpr std::size_t kLoads = 8;  // in flight

[[gnu::target("avx512f"), gnu::noinline]] std::uint64_t read_avx512(const std::byte* data, std::size_t bytes) {
    __m512i sum[kLoads] = {};
    for (std::size_t at = 0; at < bytes; at += kLoads * sizeof(__m512i)) {
#pragma GCC unroll 8
        for (std::size_t j = 0; j < kLoads; ++j)
            sum[j] = _mm512_xor_si512(sum[j], _mm512_load_si512(data + at + j * sizeof(__m512i)));
    }
    for (std::size_t j = 1; j < kLoads; ++j) sum[0] = _mm512_xor_si512(sum[0], sum[j]);
    alignas(64) std::uint64_t words[8];
    _mm512_store_si512(words, sum[0]);
    return words[0];
}

[[gnu::target("avx2"), gnu::noinline]] std::uint64_t read_avx2(const std::byte* data, std::size_t bytes) {
    __m256i sum[kLoads] = {};
    for (std::size_t at = 0; at < bytes; at += kLoads * sizeof(__m256i)) {
#pragma GCC unroll 8
        for (std::size_t j = 0; j < kLoads; ++j) {
            const auto* p = reinterpret_cast<const __m256i*>(data + at + j * sizeof(__m256i));
            sum[j] = _mm256_xor_si256(sum[j], _mm256_load_si256(p));
        }
    }
    for (std::size_t j = 1; j < kLoads; ++j) sum[0] = _mm256_xor_si256(sum[0], sum[j]);
    return static_cast<std::uint64_t>(_mm_cvtsi128_si64(_mm256_castsi256_si128(sum[0])));
}

[[gnu::noinline]] std::uint64_t read_baseline(const std::byte* data, std::size_t bytes) {
    __m128i sum[kLoads] = {};
    for (std::size_t at = 0; at < bytes; at += kLoads * sizeof(__m128i)) {
#pragma GCC unroll 8
        for (std::size_t j = 0; j < kLoads; ++j) {
            const auto* p = reinterpret_cast<const __m128i*>(data + at + j * sizeof(__m128i));
            sum[j] = _mm_xor_si128(sum[j], _mm_load_si128(p));
        }
    }
    for (std::size_t j = 1; j < kLoads; ++j) sum[0] = _mm_xor_si128(sum[0], sum[j]);
    return static_cast<std::uint64_t>(_mm_cvtsi128_si64(sum[0]));
}

}  // namespace

std::uint64_t read_memory(const std::byte* data, std::size_t bytes) {
    if (__builtin_cpu_supports("avx512f")) return read_avx512(data, bytes);
    return __builtin_cpu_supports("avx2") ? read_avx2(data, bytes) : read_baseline(data, bytes);
}

void copy_memory(std::byte* to, const std::byte* from, std::size_t bytes) { std::memcpy(to, from, bytes); }

}  // namespace argosy
