// Running the same work on several threads at once, and how long they took together.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

namespace argosy {

// Calls work(thread) on `threads` threads that start together; from the first start to the last end, in ns.
std::int64_t timed_threads_ns(int threads, const std::function<void(int)>& work);

// What several rounds of a measurement say.
struct Figure {
    double median = 0;
    double low = 0;
    double high = 0;
    bool operator==(const Figure&) const = default;
};
// Of an even number of values the lower of the middle two; of none all zero.
Figure spread_of(std::vector<double> values);

}  // namespace argosy
