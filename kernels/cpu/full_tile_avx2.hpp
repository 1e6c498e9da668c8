// The innermost steps of a product's highest tiles for AVX2, six or five rows times one panel, in assembly. Six rows
// are twelve sums in registers, beside two of weights and one of x; what GCC 12 makes of the same in intrinsics moves
// some of the sums through memory, at two thirds of the speed. The sums and their order are those of chain_step.
//
// A step of k with six rows: 12 FMAs, which take 6 cycles where two start in each, beside 6 broadcasts and 2 loads.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/generic/panel_chain.hpp"
#include "kernels/cpu/vec16_avx2.hpp"

namespace argosy {

// Both weights of a step stand in ymm14 and ymm15; ymm13 is row r's x.
#define ARGOSY_ROW(r)                       \
    "vbroadcastss 64*" #r                   \
    "(%[x]), %%ymm13\n"                     \
    "vfmadd231ps %%ymm14, %%ymm13, %[lo" #r \
    "]\n"                                   \
    "vfmadd231ps %%ymm15, %%ymm13, %[hi" #r "]\n"
#define ARGOSY_STEP_5 ARGOSY_ROW(0) ARGOSY_ROW(1) ARGOSY_ROW(2) ARGOSY_ROW(3) ARGOSY_ROW(4) "add $4, %[x]\n"
#define ARGOSY_STEP_6 ARGOSY_ROW(5) ARGOSY_STEP_5
#define ARGOSY_SUM(r) [lo##r] "+x"(acc[r][0].lo), [hi##r] "+x"(acc[r][0].hi)
#define ARGOSY_SUMS_5 ARGOSY_SUM(0), ARGOSY_SUM(1), ARGOSY_SUM(2), ARGOSY_SUM(3), ARGOSY_SUM(4)
#define ARGOSY_SUMS_6 ARGOSY_SUMS_5, ARGOSY_SUM(5)
#define ARGOSY_CLOBBERED "eax", "cc", "memory", "ymm13", "ymm14", "ymm15"

// Weights as stored in f32; and in bf16, of which a step takes the lower codes of 16 pairs, the next one the upper.
#define ARGOSY_BLOCK_STEPS(rows)                                                                      \
    template <>                                                                                       \
    struct BlockSteps<cpu_avx2::Vec16, PanelF32, rows, 1> {                                           \
        static constexpr bool kOwn = true;                                                            \
        static inline void run(cpu_avx2::Vec16 (&acc)[rows][1], const float* x, const std::byte* w) { \
            asm volatile(                                                                             \
                "mov $16, %%eax\n"                                                                    \
                "1:\n"                                                                                \
                "vmovups (%[w]), %%ymm14\n"                                                           \
                "vmovups 32(%[w]), %%ymm15\n" ARGOSY_STEP_##rows                                      \
                "add $64, %[w]\n"                                                                     \
                "dec %%eax\n"                                                                         \
                "jnz 1b\n"                                                                            \
                : ARGOSY_SUMS_##rows, [x] "+r"(x), [w] "+r"(w)::ARGOSY_CLOBBERED);                    \
        }                                                                                             \
    };                                                                                                \
    template <>                                                                                       \
    struct BlockSteps<cpu_avx2::Vec16, PanelBf16, rows, 1> {                                          \
        static constexpr bool kOwn = true;                                                            \
        static inline void run(cpu_avx2::Vec16 (&acc)[rows][1], const float* x, const std::byte* w) { \
            asm volatile(                                                                             \
                "mov $8, %%eax\n"                                                                     \
                "1:\n"                                                                                \
                "vmovups (%[w]), %%ymm14\n"                                                           \
                "vmovups 32(%[w]), %%ymm15\n"                                                         \
                "vpslld $16, %%ymm14, %%ymm14\n"                                                      \
                "vpslld $16, %%ymm15, %%ymm15\n" ARGOSY_STEP_##rows                                   \
                "vmovaps %[upper], %%ymm15\n"                                                         \
                "vandps (%[w]), %%ymm15, %%ymm14\n"                                                   \
                "vandps 32(%[w]), %%ymm15, %%ymm15\n" ARGOSY_STEP_##rows                              \
                "add $64, %[w]\n"                                                                     \
                "dec %%eax\n"                                                                         \
                "jnz 1b\n"                                                                            \
                : ARGOSY_SUMS_##rows, [x] "+r"(x), [w] "+r"(w)                                        \
                : [upper] "m"(kUpperCodes)                                                            \
                : ARGOSY_CLOBBERED);                                                                  \
        }                                                                                             \
    };

static_assert(kChainBlock == 16 && cpu_avx2::Vec16::kTileRows == 6);
alignas(32) static constexpr std::uint32_t kUpperCodes[8] = {0xffff0000, 0xffff0000, 0xffff0000, 0xffff0000,
                                                             0xffff0000, 0xffff0000, 0xffff0000, 0xffff0000};
ARGOSY_BLOCK_STEPS(5)
ARGOSY_BLOCK_STEPS(6)

#undef ARGOSY_BLOCK_STEPS
#undef ARGOSY_CLOBBERED
#undef ARGOSY_SUMS_6
#undef ARGOSY_SUMS_5
#undef ARGOSY_SUM
#undef ARGOSY_STEP_6
#undef ARGOSY_STEP_5
#undef ARGOSY_ROW

}  // namespace argosy
