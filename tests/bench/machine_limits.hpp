// What the machine at hand can do at most, from the loops of kernels/probe, and the clock of the benchmarks.
#pragma once

#include <time.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "kernels/base/account_clock.hpp"
#include "kernels/probe/arithmetic_loops.hpp"

namespace argosy::bench {

// 10^9 operations per second of `threads` threads at once with the vectors of "cpu-avx512" or "cpu-avx2"; for another
// name with baseline multiplications and additions.
double arithmetic_gops(ArithmeticKind kind, std::string_view backend, int threads);

// GB/s of `threads` threads at once, each reading its part of `bytes` bytes in order.
double read_gbytes(const void* data, std::size_t bytes, int threads);

// Nanoseconds that this thread has run: on a shared machine the time others take does not count.
inline std::int64_t thread_ns() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

// Nanoseconds of a call: the median of several samples, each of calls for 20 ms. With one thread its own time is taken,
// else the wall's.
template <class Work>
double median_ns(int threads, const Work& work) {
    constexpr std::int64_t kLeast_ns = 20'000'000;
    constexpr int kSamples = 7;
    const auto clock = [&] { return threads == 1 ? thread_ns() : monotonic_ns(); };
    work();
    std::vector<double> samples;
    for (int sample = 0; sample < kSamples; ++sample) {
        const std::int64_t start = clock();
        std::int64_t calls = 0;
        std::int64_t taken = 0;
        while (taken < kLeast_ns) {
            work();
            ++calls;
            taken = clock() - start;
        }
        samples.push_back(static_cast<double>(taken) / static_cast<double>(calls));
    }
    std::nth_element(samples.begin(), samples.begin() + kSamples / 2, samples.end());
    return samples[kSamples / 2];
}

}  // namespace argosy::bench
