// Limits as the best of several rounds of kernels/probe's loops: other work on the machine only lowers a round.
#include "tests/bench/machine_limits.hpp"

#include "kernels/probe/memory_loops.hpp"
#include "kernels/probe/timed_threads.hpp"

namespace argosy::bench {

namespace {
constexpr int kRounds = 9;
constexpr std::int64_t kSteps = 1'600'000;

template <class Work>
double best_round_ns(int threads, const Work& work) {
    std::vector<double> ns;
    for (int round = 0; round < kRounds; ++round) ns.push_back(static_cast<double>(timed_threads_ns(threads, work)));
    return spread_of(ns).low;
}
}  // namespace

double arithmetic_gops(ArithmeticKind kind, std::string_view backend, int threads) {
    const ArithmeticLoop* chosen = nullptr;
    for (const ArithmeticLoop& loop : arithmetic_loops()) {
        if (loop.kind != kind || !loop.runs_here()) continue;
        chosen = &loop;  // the last is the baseline
        if (backend.ends_with(loop.isa)) break;
    }
    if (chosen == nullptr) return arithmetic_gops(ArithmeticKind::f32, backend, threads);  // FMAs do its products
    const double ns = best_round_ns(threads, [&](int) {
        volatile float sink = chosen->run(kSteps);
        (void)sink;
    });
    return threads * chosen->operations_per_step * static_cast<double>(kSteps) / ns;
}

double read_gbytes(const void* data, std::size_t bytes, int threads) {
    const std::size_t share = bytes / static_cast<std::size_t>(threads) / 512 * 512;
    const double ns = best_round_ns(threads, [&](int t) {
        volatile std::uint64_t sink =
            read_memory(static_cast<const std::byte*>(data) + static_cast<std::size_t>(t) * share, share);
        (void)sink;
    });
    return threads * static_cast<double>(share) / ns;
}

}  // namespace argosy::bench
