// Rates by device events: a warm-up, then the median of several launches.
#include "tests/device/mma_rates.hpp"

#include <algorithm>

#include "tests/device/mma_inputs.hpp"
#include "tests/device/wgmma_products.cuh"

namespace argosy::device {

namespace {

constexpr int kSamples = 7;
constexpr int kStepsPerTile = 4;  // instructions on one tile of 128 bytes of K
constexpr int kTiles = 2;         // that the loop goes to and fro between
constexpr int kGroups = 4096;     // commit groups of kStepsPerTile instructions in a launch

template <class Launch>
double median_ms(const Launch& launch) {
    cudaEvent_t start{}, end{};
    checked(cudaEventCreate(&start), "make an event");
    checked(cudaEventCreate(&end), "make an event");
    std::vector<float> ms(kSamples);
    launch();
    for (float& sample : ms) {
        checked(cudaEventRecord(start), "record an event");
        launch();
        checked(cudaEventRecord(end), "record an event");
        checked(cudaEventSynchronize(end), "run a kernel that is timed");
        checked(cudaEventElapsedTime(&sample, start, end), "tell a time");
    }
    checked(cudaEventDestroy(start), "free an event");
    checked(cudaEventDestroy(end), "free an event");
    std::nth_element(ms.begin(), ms.begin() + kSamples / 2, ms.end());
    return static_cast<double>(ms[kSamples / 2]);
}

__global__ void copy_kernel(uint4* to, const uint4* from, std::size_t count) {
    const std::size_t first = (static_cast<std::size_t>(blockIdx.x) * blockDim.x) * 4 + threadIdx.x;
    uint4 parts[4];
    for (int i = 0; i < 4; ++i)
        if (first + i * blockDim.x < count) parts[i] = from[first + i * blockDim.x];
    for (int i = 0; i < 4; ++i)
        if (first + i * blockDim.x < count) to[first + i * blockDim.x] = parts[i];
}

// The four instructions of one tile.
template <class Code, int N, bool kRegisters>
__device__ void multiply_tile(float (&d)[N / 2], const std::uint32_t (&a)[kStepsPerTile][4],
                              const unsigned char* a_tile, const unsigned char* b_tile, int rows) {
    for (int step = 0; step < kStepsPerTile; ++step) {
        const std::uint64_t b = descriptor(b_tile + step * 2 * N * 16, N);
        if constexpr (kRegisters)
            issue<N>(static_cast<const Code*>(nullptr), d, a[step], b, 1);
        else
            issue<N>(static_cast<const Code*>(nullptr), d, descriptor(a_tile + step * 2 * rows * 16, rows), b, 1);
    }
}

// Tiles in shared memory: for A kTiles of [128 bytes of K, rows of all warpgroups], for B kTiles of [128 bytes, N].
template <class Code, int N, bool kRegisters>
__global__ void __launch_bounds__(256, 1) rate_kernel(float* out, long long* cycles) {
    extern __shared__ __align__(128) unsigned char shared[];
    const int rows = static_cast<int>(blockDim.x) / 2, a_bytes = rows * 128, b_bytes = N * 128;
    auto* codes = reinterpret_cast<Code*>(shared);
    for (int i = static_cast<int>(threadIdx.x); i < kTiles * (a_bytes + b_bytes) / static_cast<int>(sizeof(Code));
         i += static_cast<int>(blockDim.x))
        codes[i] = make_code(static_cast<const Code*>(nullptr), Pattern::unit, Operand::a, static_cast<unsigned>(i));
    fence_tiles();
    __syncthreads();
    const unsigned char* a_tile = shared + threadIdx.x / 128 * (kRows * 16);
    const unsigned char* b_tile = shared + kTiles * a_bytes;
    std::uint32_t a[kStepsPerTile][4] = {};
    if constexpr (kRegisters)
        for (int step = 0; step < kStepsPerTile; ++step)
            for (int i = 0; i < 4; ++i)
                a[step][i] = reinterpret_cast<const std::uint32_t*>(shared)[(step * 4 + i) * blockDim.x + threadIdx.x];
    float d[N / 2];
    for (float& value : d) value = 0;
    const long long start = clock64();
#pragma unroll 1
    for (int group = 0; group < kGroups; ++group) {
        const int tile = group % kTiles;
        wgmma_fence();
        multiply_tile<Code, N, kRegisters>(d, a, a_tile + tile * a_bytes, b_tile + tile * b_bytes, rows);
        wgmma_commit();
        asm volatile("wgmma.wait_group.sync.aligned 1;" ::: "memory");
    }
    wgmma_wait();
    const long long end = clock64();
    float sum = 0;
    for (const float value : d) sum += value;
    out[static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x] = sum;
    if (threadIdx.x == 0) cycles[blockIdx.x] = end - start;
}

template <class Code, int N, bool kRegisters>
WgmmaRate measure_width(int warpgroups, int multiprocessors) {
    const int threads = warpgroups * 128;
    // So much shared memory that a multiprocessor holds one block.
    constexpr int kShared = 160 * 1024;
    checked(
        cudaFuncSetAttribute(rate_kernel<Code, N, kRegisters>, cudaFuncAttributeMaxDynamicSharedMemorySize, kShared),
        "give shared memory to a kernel");
    const DeviceArray<float> out(static_cast<std::size_t>(multiprocessors) * threads);
    const DeviceArray<long long> cycles(static_cast<std::size_t>(multiprocessors));
    const double ms = median_ms([&] {
        rate_kernel<Code, N, kRegisters>
            <<<static_cast<unsigned>(multiprocessors), static_cast<unsigned>(threads), kShared>>>(out.data(),
                                                                                                  cycles.data());
        checked(cudaGetLastError(), "multiply for a rate");
    });
    std::vector<long long> counts = cycles.to_host();
    std::nth_element(counts.begin(), counts.begin() + multiprocessors / 2, counts.end());
    const double flops = 2.0 * kRows * N * (32.0 / sizeof(Code)) * kStepsPerTile * kGroups * warpgroups;
    return {sizeof(Code) == 2 ? "bf16" : "e4m3",
            N,
            kRegisters,
            warpgroups,
            flops * multiprocessors / ms * 1e-9,
            flops / static_cast<double>(counts[static_cast<std::size_t>(multiprocessors / 2)])};
}

// The widths of one format and one place of A.
template <class Code, bool kRegisters, int... kN>
void measure_widths(std::vector<WgmmaRate>& rates, int multiprocessors) {
    for (const int warpgroups : {1, 2})
        (rates.push_back(measure_width<Code, kN, kRegisters>(warpgroups, multiprocessors)), ...);
}

}  // namespace

CopyRates measure_copy() {
    constexpr std::size_t kBytes = 2ULL << 30, kParts = kBytes / 16;
    const DeviceArray<uint4> from(kParts), to(kParts);
    const double kernel_ms = median_ms([&] {
        copy_kernel<<<static_cast<unsigned>(kParts / 1024), 256>>>(to.data(), from.data(), kParts);
        checked(cudaGetLastError(), "copy");
    });
    const double memcpy_ms =
        median_ms([&] { checked(cudaMemcpyAsync(to.data(), from.data(), kBytes, cudaMemcpyDeviceToDevice), "copy"); });
    return {2.0 * kBytes / kernel_ms * 1e-6, 2.0 * kBytes / memcpy_ms * 1e-6};
}

std::vector<WgmmaRate> measure_wgmma() {
    int multiprocessors = 0;
    checked(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, 0), "tell its size");
    std::vector<WgmmaRate> rates;
    measure_widths<std::uint16_t, false, 8, 16, 32, 64, 128, 192, 256>(rates, multiprocessors);
    measure_widths<std::uint16_t, true, 8, 16, 32, 64>(rates, multiprocessors);
    measure_widths<std::uint8_t, false, 16, 64, 128, 256>(rates, multiprocessors);
    return rates;
}

}  // namespace argosy::device
