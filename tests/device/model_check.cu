// The model on the GPU: one thread, one output.
#include "tests/device/model_check.hpp"

#include "tests/device/device_array.cuh"

namespace argosy::device {

namespace {

template <class Code>
__global__ void fill_codes(Code* codes, std::int64_t count, Pattern pattern, Operand operand) {
    const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
    for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += step)
        codes[i] = make_code(static_cast<const Code*>(nullptr), pattern, operand, static_cast<std::uint64_t>(i));
}

__global__ void fill_accumulators(float* values, std::int64_t count, Pattern pattern, int code_bytes) {
    const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
    for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += step)
        values[i] = make_accumulator(code_bytes, pattern, static_cast<std::uint64_t>(i));
}

// Adds one number per warp.
__device__ void add_count(unsigned long long* counter, bool differs) {
    const unsigned ballot = __ballot_sync(0xffffffffU, differs ? 1 : 0);
    if (threadIdx.x % 32 == 0 && ballot != 0) atomicAdd(counter, static_cast<unsigned long long>(__popc(ballot)));
}

// blockIdx.y is the model; the grid's first dimension covers the outputs in whole warps.
template <class Code>
__global__ void compare_with_models(Problems<Code> p, const MmaModel* models, unsigned long long* counters) {
    const MmaModel model = models[blockIdx.y];
    const std::size_t output = static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    const std::size_t row = output / p.columns, column = output % p.columns;
    const Code* a = p.a + row * p.stride;
    const Code* b = p.b + (row / kRows * p.columns + column) * p.stride;
    const float value = mma_chain(model, a, b, p.k, p.c == nullptr ? 0.0F : p.c[output]);
    add_count(&counters[blockIdx.y], __float_as_uint(value) != __float_as_uint(p.d[output]));
}

__global__ void compare_values(const float* x, const float* y, unsigned long long* counter) {
    const std::size_t i = static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    add_count(counter, __float_as_uint(x[i]) != __float_as_uint(y[i]));
}

std::vector<std::int64_t> read_counters(const DeviceArray<unsigned long long>& counters) {
    std::vector<std::int64_t> counts;
    for (const unsigned long long count : counters.to_host()) counts.push_back(static_cast<std::int64_t>(count));
    return counts;
}

}  // namespace

template <class Code>
void fill(const Problems<Code>& p, Pattern pattern) {
    const std::int64_t row = static_cast<std::int64_t>(p.problems) * p.stride;
    fill_codes<<<1024, 256>>>(const_cast<Code*>(p.a), row * kRows, pattern, Operand::a);
    fill_codes<<<1024, 256>>>(const_cast<Code*>(p.b), row * p.columns, pattern, Operand::b);
    const std::int64_t outputs = static_cast<std::int64_t>(p.problems) * kRows * p.columns;
    if (p.c != nullptr)
        fill_accumulators<<<1024, 256>>>(const_cast<float*>(p.c), outputs, pattern, static_cast<int>(sizeof(Code)));
    checked_launch("make data");
}
template void fill(const Problems<std::uint16_t>&, Pattern);
template void fill(const Problems<std::uint8_t>&, Pattern);

template <class Code>
std::vector<std::int64_t> count_differing(const Problems<Code>& p, const std::vector<MmaModel>& models) {
    const DeviceArray<MmaModel> on_device(models);
    const DeviceArray<unsigned long long> counters(std::vector<unsigned long long>(models.size(), 0));
    const std::size_t outputs = static_cast<std::size_t>(p.problems) * kRows * p.columns;
    const dim3 grid(static_cast<unsigned>(outputs / 256), static_cast<unsigned>(models.size()));
    compare_with_models<<<grid, 256>>>(p, on_device.data(), counters.data());
    checked_launch("compare products with the model");
    return read_counters(counters);
}
template std::vector<std::int64_t> count_differing(const Problems<std::uint16_t>&, const std::vector<MmaModel>&);
template std::vector<std::int64_t> count_differing(const Problems<std::uint8_t>&, const std::vector<MmaModel>&);

std::int64_t count_differing(const float* x, const float* y, std::int64_t count) {
    const DeviceArray<unsigned long long> counter(std::vector<unsigned long long>(1, 0));
    compare_values<<<static_cast<unsigned>(count / 256), 256>>>(x, y, counter.data());
    checked_launch("compare products");
    return read_counters(counter)[0];
}

std::vector<MmaModel> candidate_models(int code_bytes) {
    const bool bf16 = code_bytes == 2;
    std::vector<MmaModel> models;
    for (const int products : bf16 ? std::vector<int>{4, 8, 16} : std::vector<int>{8, 16, 32})
        for (const int fraction_bits : bf16 ? std::vector<int>{23, 24, 25, 26} : std::vector<int>{12, 13, 14, 25})
            for (const int result_bits : bf16 ? std::vector<int>{23} : std::vector<int>{13, 23})
                for (const int exponent_min :
                     bf16 ? std::vector<int>{-1000, -134, -133, -132, -126} : std::vector<int>{-133, -125, -12})
                    for (const MmaRounding alignment :
                         {MmaRounding::toward_zero, MmaRounding::down, MmaRounding::nearest_even})
                        for (const MmaRounding result : {MmaRounding::toward_zero, MmaRounding::nearest_even})
                            for (const bool aligned : {true, false})
                                for (const bool zeros_align : {true, false})
                                    models.push_back({products, fraction_bits, result_bits, exponent_min, alignment,
                                                      result, aligned, zeros_align});
    return models;
}

}  // namespace argosy::device
