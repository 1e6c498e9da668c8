// Four warps multiply a tile of 64 rows with mma.sync, 16 rows each and 8 columns at a time, straight from memory.
#pragma once

#include "tests/device/device_array.cuh"
#include "tests/device/products.hpp"

namespace argosy::device {

// One instruction: 32 bytes of K as four registers of A and two of B, or 16 bytes as two and one.
__device__ inline void mma(const std::uint16_t*, float (&d)[4], const std::uint32_t (&a)[4],
                           const std::uint32_t (&b)[2]) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
__device__ inline void mma(const std::uint8_t*, float (&d)[4], const std::uint32_t (&a)[4],
                           const std::uint32_t (&b)[2]) {
    asm volatile(
        "mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e4m3.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
__device__ inline void mma(const std::uint16_t*, float (&d)[4], const std::uint32_t (&a)[2],
                           const std::uint32_t (&b)[1]) {
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(b[0]));
}

// Halves is 2 for 32 bytes of K and 1 for 16.
template <class Code, int kHalves>
__global__ void __launch_bounds__(128) mma_kernel(Problems<Code> p) {
    const int lane = static_cast<int>(threadIdx.x) % 32, group = lane / 4, pair = lane % 4;
    const int row = static_cast<int>(threadIdx.x) / 32 * 16 + group;
    const int column = static_cast<int>(blockIdx.y) * 8;
    const std::size_t problem = blockIdx.x, row_bytes = static_cast<std::size_t>(p.stride) * sizeof(Code);
    const auto* a_row = reinterpret_cast<const unsigned char*>(p.a) + (problem * kRows + row) * row_bytes + pair * 4;
    const auto* b_row =
        reinterpret_cast<const unsigned char*>(p.b) + (problem * p.columns + column + group) * row_bytes + pair * 4;
    const std::size_t at = (problem * kRows + row) * p.columns + column + pair * 2;
    const std::size_t where[4] = {at, at + 1, at + 8 * p.columns, at + 8 * p.columns + 1};
    float d[4];
    for (int i = 0; i < 4; ++i) d[i] = p.c == nullptr ? 0.0F : p.c[where[i]];
    for (int done = 0; done < p.k * static_cast<int>(sizeof(Code)); done += 16 * kHalves) {
        std::uint32_t a[2 * kHalves], b[kHalves];
        for (int half = 0; half < kHalves; ++half) {
            for (int i = 0; i < 2; ++i)
                a[half * 2 + i] = *reinterpret_cast<const std::uint32_t*>(a_row + i * 8 * row_bytes + done + half * 16);
            b[half] = *reinterpret_cast<const std::uint32_t*>(b_row + done + half * 16);
        }
        mma(static_cast<const Code*>(nullptr), d, a, b);
    }
    for (int i = 0; i < 4; ++i) p.d[where[i]] = d[i];
}

template <class Code, int kHalves>
void multiply_mma(const Problems<Code>& p) {
    const dim3 grid(static_cast<unsigned>(p.problems), static_cast<unsigned>(p.columns / 8));
    mma_kernel<Code, kHalves><<<grid, 128>>>(p);
    checked_launch("multiply with mma.sync");
}

}  // namespace argosy::device
