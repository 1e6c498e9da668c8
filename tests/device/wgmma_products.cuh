// One warpgroup multiplies a tile of 64 rows and N columns with wgmma, all of it from tiles in shared memory.
//
// A tile stands in shared memory without swizzle: 16 bytes of K of all rows one after the other, then the next 16
// bytes. Eight rows of 16 bytes are a core matrix; the descriptor names the distance of core matrices along K (16 bytes
// times the number of rows) and along rows (128 bytes).
#pragma once

#include <array>
#include <stdexcept>
#include <utility>

#include "tests/device/device_array.cuh"
#include "tests/device/products.hpp"
#include "wgmma_shapes.cuh"

namespace argosy::device {

struct WgmmaShape {
    int n;
    int steps;  // instructions between two loads of shared memory
    int group;  // instructions in one commit group
    bool a_registers;
    bool promotes;
};

__device__ inline std::uint64_t descriptor(const unsigned char* tile, int rows) {
    const auto address = static_cast<std::uint64_t>(__cvta_generic_to_shared(tile));
    const std::uint64_t along_k = static_cast<std::uint64_t>(rows) * 16, along_rows = 128;
    return ((address & 0x3ffffU) >> 4) | (along_k >> 4) << 16 | (along_rows >> 4) << 32;
}

// Rows first + shift and following, modulo the number of rows there are, `bytes` bytes of each.
__device__ inline void load_tile(unsigned char* tile, const unsigned char* rows_at, std::size_t row_bytes, int rows,
                                 int first, int modulo, int bytes) {
#pragma unroll 1
    for (int i = static_cast<int>(threadIdx.x); i < rows * bytes / 16; i += 128) {
        const int row = i % rows, chunk = i / rows;
        const unsigned char* from = rows_at + static_cast<std::size_t>((first + row) % modulo) * row_bytes + chunk * 16;
        *reinterpret_cast<uint4*>(tile + static_cast<std::size_t>(i) * 16) = *reinterpret_cast<const uint4*>(from);
    }
}

// The registers that hold A for one instruction: rows g and g + 8 of the warp's 16, bytes 4 t and 4 t + 16 of 32.
__device__ inline void load_a(std::uint32_t (&a)[4], const unsigned char* tile, int step) {
    const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
    const int row = warp * 16 + lane / 4;
    for (int i = 0; i < 4; ++i) {
        const unsigned char* at = tile + ((step * 2 + i / 2) * kRows + row + i % 2 * 8) * 16 + lane % 4 * 4;
        a[i] = *reinterpret_cast<const std::uint32_t*>(at);
    }
}

template <int N>
__device__ inline void issue(const std::uint16_t*, float (&d)[N / 2], std::uint64_t a, std::uint64_t b,
                             int accumulate) {
    Wgmma<N>::bf16(d, a, b, accumulate);
}
template <int N>
__device__ inline void issue(const std::uint8_t*, float (&d)[N / 2], std::uint64_t a, std::uint64_t b, int accumulate) {
    Wgmma<N>::e4m3(d, a, b, accumulate);
}
template <int N>
__device__ inline void issue(const std::uint16_t*, float (&d)[N / 2], const std::uint32_t (&a)[4], std::uint64_t b,
                             int accumulate) {
    Wgmma<N>::bf16(d, a, b, accumulate);
}
template <int N>
__device__ inline void issue(const std::uint8_t*, float (&d)[N / 2], const std::uint32_t (&a)[4], std::uint64_t b,
                             int accumulate) {
    Wgmma<N>::e4m3(d, a, b, accumulate);
}

__device__ inline void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ inline void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
__device__ inline void wgmma_wait() { asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory"); }
__device__ inline void fence_tiles() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

// The element of D that register i of this thread holds, as an offset into a problem's D.
struct Position {
    int row_shift, column_shift, first, columns;
    __device__ std::size_t operator()(int i) const {
        const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
        const int row = (warp * 16 + lane / 4 + i / 2 % 2 * 8 + row_shift) % kRows;
        const int column = (first + i / 4 * 8 + lane % 4 * 2 + i % 2 + column_shift) % columns;
        return static_cast<std::size_t>(row) * static_cast<std::size_t>(columns) + static_cast<std::size_t>(column);
    }
};

// The instructions of one load of shared memory, on the accumulators d; `sum` is where promotion adds up.
template <class Code, WgmmaShape kShape>
__device__ inline void multiply_tiles(float (&d)[kShape.n / 2], float* sum, const unsigned char* a_tile,
                                      const unsigned char* b_tile, bool empty) {
    std::uint32_t a[kShape.a_registers ? kShape.steps : 1][4];
    if constexpr (kShape.a_registers)
        for (int step = 0; step < kShape.steps; ++step) load_a(a[step], a_tile, step);
    wgmma_fence();
#pragma unroll
    for (int step = 0; step < kShape.steps; ++step) {
        const std::uint64_t b = descriptor(b_tile + step * 2 * kShape.n * 16, kShape.n);
        const int accumulate = (kShape.promotes ? step % kShape.group != 0 : !empty || step > 0) ? 1 : 0;
        if constexpr (kShape.a_registers)
            issue<kShape.n>(static_cast<const Code*>(nullptr), d, a[step], b, accumulate);
        else
            issue<kShape.n>(static_cast<const Code*>(nullptr), d, descriptor(a_tile + step * 2 * kRows * 16, kRows), b,
                            accumulate);
        if ((step + 1) % kShape.group == 0 || step + 1 == kShape.steps) wgmma_commit();
        if constexpr (kShape.promotes) {
            if ((step + 1) % kShape.group == 0) {
                wgmma_wait();
                for (int i = 0; i < kShape.n / 2; ++i) sum[i] = __fadd_rn(sum[i], d[i]);
                wgmma_fence();
            }
        }
    }
    wgmma_wait();
}

// The members of a WgmmaShape one by one: nvcc 13.0 cannot name a kernel that has a struct for a template argument.
template <class Code, int kN, int kSteps, int kGroup, bool kRegisters, bool kPromotes>
__global__ void __launch_bounds__(128) wgmma_kernel(Problems<Code> p, int row_shift, int column_shift) {
    constexpr WgmmaShape kShape = {kN, kSteps, kGroup, kRegisters, kPromotes};
    extern __shared__ __align__(128) unsigned char shared[];
    constexpr int kBytes = kShape.steps * 32;
    unsigned char* const a_tile = shared;
    unsigned char* const b_tile = shared + kRows * kBytes;
    const std::size_t problem = blockIdx.x, outputs = static_cast<std::size_t>(kRows) * p.columns;
    const int first = min(static_cast<int>(blockIdx.y) * kShape.n, p.columns - kShape.n);
    const Position position = {row_shift, column_shift, first, p.columns};
    float d[kShape.n / 2], sum[kShape.promotes ? kShape.n / 2 : 1];
    for (int i = 0; i < kShape.n / 2; ++i) {
        const float start = p.c == nullptr ? 0.0F : p.c[problem * outputs + position(i)];
        d[i] = start;
        if constexpr (kShape.promotes) sum[i] = start;
    }
    const std::size_t row_bytes = static_cast<std::size_t>(p.stride) * sizeof(Code);
    const auto* a = reinterpret_cast<const unsigned char*>(p.a) + problem * kRows * row_bytes;
    const auto* b = reinterpret_cast<const unsigned char*>(p.b) + problem * p.columns * row_bytes;
#pragma unroll 1
    for (int done = 0; done < p.k * static_cast<int>(sizeof(Code)); done += kBytes) {
        __syncthreads();
        load_tile(a_tile, a + done, row_bytes, kRows, row_shift, kRows, kBytes);
        load_tile(b_tile, b + done, row_bytes, kShape.n, first + column_shift, p.columns, kBytes);
        fence_tiles();
        __syncthreads();
        multiply_tiles<Code, kShape>(d, sum, a_tile, b_tile, p.c == nullptr && done == 0);
    }
    for (int i = 0; i < kShape.n / 2; ++i) p.d[problem * outputs + position(i)] = kShape.promotes ? sum[i] : d[i];
}

template <class Code, WgmmaShape kShape>
void launch_wgmma(const Problems<Code>& p, const Way& way) {
    constexpr int kShared = (kRows + kShape.n) * kShape.steps * 32;
    const auto kernel = wgmma_kernel<Code, kShape.n, kShape.steps, kShape.group, kShape.a_registers, kShape.promotes>;
    checked(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kShared),
            "give shared memory to a kernel");
    const dim3 grid(static_cast<unsigned>(p.problems), static_cast<unsigned>((p.columns + kShape.n - 1) / kShape.n));
    kernel<<<grid, 128, kShared>>>(p, way.row_shift, way.column_shift);
    checked_launch("multiply with wgmma");
}

// Launches the shape of `shapes` that is meant; false if none is.
template <class Code, const auto& kShapes, std::size_t... kIndex>
bool launch_one_of(const Problems<Code>& p, const Way& way, std::index_sequence<kIndex...>) {
    const int steps = p.k * static_cast<int>(sizeof(Code)) == 32 ? 1 : 4;
    const auto meant = [&](const WgmmaShape& shape) {
        return shape.n == way.n && shape.steps == steps && shape.group == (steps == 1 ? 1 : way.group) &&
               shape.a_registers == way.a_registers && shape.promotes == way.promotes;
    };
    return ((meant(kShapes[kIndex]) && (launch_wgmma<Code, kShapes[kIndex]>(p, way), true)) || ...);
}

// Every width with A from either place, and the ways of grouping at two widths.
inline constexpr auto kWgmmaShapes = [] {
    std::array<WgmmaShape, 32 * 2 + 2 + 2 * 2 + 3> shapes{};
    std::size_t next = 0;
    for (int n = 8; n <= 256; n += 8)
        for (const bool a_registers : {false, true}) shapes[next++] = {n, 4, 4, a_registers, false};
    for (const int n : {64, 256}) shapes[next++] = {n, 1, 1, false, false};
    for (const int n : {64, 256})
        for (const int group : {1, 2}) shapes[next++] = {n, 4, group, false, false};
    for (const int group : {1, 2, 4}) shapes[next++] = {64, 4, group, false, true};
    return shapes;
}();

template <class Code>
void multiply_wgmma(const Problems<Code>& p, const Way& way) {
    if (!launch_one_of<Code, kWgmmaShapes>(p, way, std::make_index_sequence<kWgmmaShapes.size()>{}))
        throw std::runtime_error("A product was asked for in a way that is not built: see products.hpp.");
}

}  // namespace argosy::device
