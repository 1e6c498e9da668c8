// The sums of one block of int8 products for AVX2, up to four rows times one panel, in assembly: two sums per row, four
// vectors of weights and two of x are what its registers hold, and intrinsics of GCC 12 move some of them through
// memory, at two thirds of the speed.
//
// A step of 4 codes with four rows: 16 vpmaddwd and 16 additions, beside 8 broadcasts; the weights cost 8 more.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/base/inline.hpp"

namespace argosy::cpu_avx2 {
namespace {

constexpr int kBlockSteps = 32;  // of 4 codes, at most

// Codes of a row's block as pairs of 16 bits: of every four the first and third, then the second and fourth. Reads 16
// codes at a time, which rows have behind their last.
ARGOSY_INLINE void widen_codes(const std::int8_t* code, std::int64_t steps, std::int32_t (*to)[2]) {
    for (std::int64_t step = 0; step < steps; step += 4) {
        const __m128i x = _mm_loadu_si128(reinterpret_cast<const __m128i*>(code + 4 * step));
        const __m128i even = _mm_srai_epi16(_mm_slli_epi16(x, 8), 8);
        const __m128i odd = _mm_srai_epi16(x, 8);
        auto* out = reinterpret_cast<__m128i*>(to + step);
        _mm_store_si128(out, _mm_unpacklo_epi32(even, odd));
        _mm_store_si128(out + 1, _mm_unpackhi_epi32(even, odd));
    }
}

// Row r of a step: its rows of x stand kBlockSteps * 8 bytes apart; even and odd weights in ymm8 to ymm11.
#define ARGOSY_ROW(r)                      \
    "vpbroadcastd 256*" #r                 \
    "(%[x]), %%ymm12\n"                    \
    "vpbroadcastd 256*" #r                 \
    "+4(%[x]), %%ymm13\n"                  \
    "vpmaddwd %%ymm8, %%ymm12, %%ymm14\n"  \
    "vpmaddwd %%ymm9, %%ymm13, %%ymm15\n"  \
    "vpaddd %%ymm14, %[lo" #r "], %[lo" #r \
    "]\n"                                  \
    "vpmaddwd %%ymm10, %%ymm12, %%ymm14\n" \
    "vpaddd %%ymm15, %[lo" #r "], %[lo" #r \
    "]\n"                                  \
    "vpmaddwd %%ymm11, %%ymm13, %%ymm15\n" \
    "vpaddd %%ymm14, %[hi" #r "], %[hi" #r \
    "]\n"                                  \
    "vpaddd %%ymm15, %[hi" #r "], %[hi" #r "]\n"
#define ARGOSY_ROWS_1 ARGOSY_ROW(0)
#define ARGOSY_ROWS_2 ARGOSY_ROWS_1 ARGOSY_ROW(1)
#define ARGOSY_ROWS_3 ARGOSY_ROWS_2 ARGOSY_ROW(2)
#define ARGOSY_ROWS_4 ARGOSY_ROWS_3 ARGOSY_ROW(3)
#define ARGOSY_SUM(r) [lo##r] "+x"(sum[r].lo), [hi##r] "+x"(sum[r].hi)
#define ARGOSY_SUMS_1 ARGOSY_SUM(0)
#define ARGOSY_SUMS_2 ARGOSY_SUMS_1, ARGOSY_SUM(1)
#define ARGOSY_SUMS_3 ARGOSY_SUMS_2, ARGOSY_SUM(2)
#define ARGOSY_SUMS_4 ARGOSY_SUMS_3, ARGOSY_SUM(3)

template <class Sum, int kRows>
struct BlockSums;

#define ARGOSY_BLOCK_SUMS(rows)                                                                               \
    template <class Sum>                                                                                      \
    struct BlockSums<Sum, rows> {                                                                             \
        static inline void run(Sum (&sum)[rows], const std::int32_t (*x)[kBlockSteps][2], const std::byte* w, \
                               std::int64_t steps) {                                                          \
            asm volatile(                                                                                     \
                "1:\n"                                                                                        \
                "vmovdqa %[bytes], %%ymm14\n"                                                                 \
                "vmovdqu (%[w]), %%ymm9\n"                                                                    \
                "vmovdqu 32(%[w]), %%ymm11\n"                                                                 \
                "vpand %%ymm14, %%ymm9, %%ymm8\n"                                                             \
                "vpand %%ymm14, %%ymm11, %%ymm10\n"                                                           \
                "vpsrlw $8, %%ymm9, %%ymm9\n"                                                                 \
                "vpsrlw $8, %%ymm11, %%ymm11\n" ARGOSY_ROWS_##rows                                            \
                "add $64, %[w]\n"                                                                             \
                "add $8, %[x]\n"                                                                              \
                "dec %[steps]\n"                                                                              \
                "jnz 1b\n"                                                                                    \
                : ARGOSY_SUMS_##rows, [x] "+r"(x), [w] "+r"(w), [steps] "+r"(steps)                           \
                : [bytes] "m"(kLowBytes)                                                                      \
                : "cc", "memory", "ymm8", "ymm9", "ymm10", "ymm11", "ymm12", "ymm13", "ymm14", "ymm15");      \
        }                                                                                                     \
    };

alignas(32) constexpr std::uint32_t kLowBytes[8] = {0x00ff00ff, 0x00ff00ff, 0x00ff00ff, 0x00ff00ff,
                                                    0x00ff00ff, 0x00ff00ff, 0x00ff00ff, 0x00ff00ff};
ARGOSY_BLOCK_SUMS(1)
ARGOSY_BLOCK_SUMS(2)
ARGOSY_BLOCK_SUMS(3)
ARGOSY_BLOCK_SUMS(4)

#undef ARGOSY_BLOCK_SUMS
#undef ARGOSY_SUMS_4
#undef ARGOSY_SUMS_3
#undef ARGOSY_SUMS_2
#undef ARGOSY_SUMS_1
#undef ARGOSY_SUM
#undef ARGOSY_ROWS_4
#undef ARGOSY_ROWS_3
#undef ARGOSY_ROWS_2
#undef ARGOSY_ROWS_1
#undef ARGOSY_ROW

}  // namespace
}  // namespace argosy::cpu_avx2
