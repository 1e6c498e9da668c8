// Threads by OpenMP, so that they are those that the kernels use.
#include "kernels/probe/timed_threads.hpp"

#include <algorithm>

#include "kernels/base/account_clock.hpp"

namespace argosy {

std::int64_t timed_threads_ns(int threads, const std::function<void(int)>& work) {
    std::vector<std::int64_t> start(static_cast<std::size_t>(threads)), end(start);
#pragma omp parallel num_threads(threads)
    {
#pragma omp barrier
#pragma omp for schedule(static, 1) nowait
        for (int t = 0; t < threads; ++t) {
            start[static_cast<std::size_t>(t)] = monotonic_ns();
            work(t);
            end[static_cast<std::size_t>(t)] = monotonic_ns();
        }
    }
    return std::max<std::int64_t>(
        1, *std::max_element(end.begin(), end.end()) - *std::min_element(start.begin(), start.end()));
}

Figure spread_of(std::vector<double> values) {
    if (values.empty()) return {};
    std::sort(values.begin(), values.end());
    return {.median = values[(values.size() - 1) / 2], .low = values.front(), .high = values.back()};
}

}  // namespace argosy
