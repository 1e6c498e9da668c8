// Thousands of random jobs through the scheduler and the simulator: every answer right, every promise of every plan
// kept.
#include <catch2/catch.hpp>
#include <random>

#include "kernels/ops.hpp"
#include "schedule_simulator.hpp"

using namespace argosy;
using argosy::test::Simulator;

namespace {

int pick(std::mt19937& random, int low, int high) {
    return low + static_cast<int>(random() % static_cast<unsigned>(high - low + 1));
}

std::vector<Request> random_requests(std::mt19937& random, int count) {
    std::vector<Request> requests;
    for (int i = 0; i < count; ++i) {
        Request request;
        request.line = i + 1;
        request.identity = request_identity("", request.line);
        const int shared = pick(random, 0, 4) == 0 ? 0 : pick(random, 0, 70);
        request.prompt.resize(static_cast<std::size_t>(pick(random, 1, 80)));
        for (std::size_t t = 0; t < request.prompt.size(); ++t) {
            request.prompt[t] = static_cast<int>(t) < shared ? static_cast<std::int32_t>(t) : pick(random, 0, 2);
        }
        request.max_tokens = pick(random, 0, 9) == 0 ? 0 : pick(random, 1, 60);
        request.n = pick(random, 0, 4) == 0 ? pick(random, 2, 5) : 1;
        request.ignore_eos = pick(random, 0, 1) == 0;
        request.echo = pick(random, 0, 5) == 0;
        request.logprobs = pick(random, 0, 2) == 0 ? 1 : -1;
        requests.push_back(request);
    }
    return requests;
}

int blocks_for_longest(const std::vector<Request>& requests, SchedulerConfig config) {
    config.pool_blocks = 1;
    for (const Request& request : requests) {
        while (refusal(request, config)) ++config.pool_blocks;
    }
    return config.pool_blocks;
}

// One group that sees all, mostly; else groups with windows too, or such alone.
std::vector<int> random_windows(std::mt19937& random) {
    if (pick(random, 0, 1) == 0) return {0};
    std::vector<int> windows;
    if (pick(random, 0, 3) > 0) windows.assign(static_cast<std::size_t>(pick(random, 1, 2)), 0);
    const int count = pick(random, 1, 2);
    for (int i = 0; i < count; ++i) windows.push_back(pick(random, 1, 50));
    return windows;
}

void add(SchedulerCounters& sum, const SchedulerCounters& c) {
    sum.mixed_steps += c.mixed_steps;
    sum.chunked_prefills += c.chunked_prefills;
    sum.preemptions += c.preemptions;
    sum.recomputed_rows += c.recomputed_rows;
    sum.prefix_hit_tokens += c.prefix_hit_tokens;
    sum.sample_shared_tokens += c.sample_shared_tokens;
    sum.resumed_hit_tokens += c.resumed_hit_tokens;
    sum.deferred += c.deferred;
    sum.evictions += c.evictions;
    sum.window_blocks_freed += c.window_blocks_freed;
}

}  // namespace

TEST_CASE("simulated jobs: every request gets exactly its tokens, whatever the pool, the rows and the cache") {
    std::mt19937 random(1);
    SchedulerCounters sum;
    for (int job = 0; job < 1500; ++job) {
        CAPTURE(job);
        const auto requests = random_requests(random, pick(random, 1, 16));
        SchedulerConfig config;
        config.windows = random_windows(random);
        const int smallest = blocks_for_longest(requests, config);
        config.pool_blocks = job % 3 == 0 ? smallest : smallest + pick(random, 0, 30);
        config.prefix_cache = pick(random, 0, 2) != 0;
        config.max_running = pick(random, 0, 3) == 0 ? pick(random, 1, 4) : 0;
        const int kinds[] = {1, 2, 3, 8, 33, 64, 512};
        const int max_rows = kinds[pick(random, 0, 6)];
        const bool changing = pick(random, 0, 4) == 0;
        Simulator simulator(config);
        Simulator twin(config);  // another rank of the group
        std::size_t added = 0;
        for (int step = 0;; ++step) {
            REQUIRE(step < 40000);
            if (added < requests.size() && (simulator.scheduler().done() || pick(random, 0, 3) == 0)) {
                const auto count = std::min(requests.size() - added, static_cast<std::size_t>(pick(random, 1, 8)));
                const auto first = requests.begin() + static_cast<std::ptrdiff_t>(added);
                const std::vector<Request> run(first, first + static_cast<std::ptrdiff_t>(count));
                REQUIRE(simulator.scheduler().add(run).empty());
                REQUIRE(twin.scheduler().add(run).empty());
                added += count;
            }
            if (added == requests.size() && simulator.scheduler().done()) break;
            StepLimits limits{.max_rows = max_rows};
            if (changing) limits = {.max_rows = pick(random, 1, max_rows), .max_prefill_rows = pick(random, -1, 20)};
            const StepPlan plan = simulator.step(limits);
            if (limits.max_prefill_rows != 0) REQUIRE_FALSE((plan.empty() && plan.preempted.empty()));
            const StepPlan other = twin.step(limits);
            REQUIRE(plan == other);
            REQUIRE(plan_hash(plan) == plan_hash(other));
        }
        simulator.check_end();
        add(sum, simulator.scheduler().counters());
        if (!config.prefix_cache) REQUIRE(simulator.scheduler().counters().prefix_hit_tokens == 0);
    }
    INFO(describe(sum));
    CHECK(sum.mixed_steps > 1000);
    CHECK(sum.chunked_prefills > 1000);
    CHECK(sum.preemptions > 100);
    CHECK(sum.recomputed_rows > 1000);
    CHECK(sum.prefix_hit_tokens > 10000);
    CHECK(sum.sample_shared_tokens > 10000);
    CHECK(sum.resumed_hit_tokens > 1000);
    CHECK(sum.deferred > 1000);
    CHECK(sum.evictions > 1000);
    CHECK(sum.window_blocks_freed > 1000);
}

TEST_CASE("simulated jobs: preemption is rare when lengths are as expected, and the pool is well filled") {
    std::mt19937 random(5);
    std::vector<Request> requests;
    for (int i = 0; i < 400; ++i) {
        Request request;
        request.line = i + 1;
        request.identity = request_identity("", request.line);
        request.prompt.resize(static_cast<std::size_t>(pick(random, 20, 120)));
        for (auto& token : request.prompt) token = pick(random, 0, 1000);
        request.max_tokens = 64;
        requests.push_back(request);
    }
    Simulator simulator({.pool_blocks = 200});
    simulator.scheduler().add(requests);
    std::int64_t held = 0;
    while (!simulator.scheduler().done()) {
        simulator.step({.max_rows = 128});
        held += simulator.scheduler().pool().held();
    }
    simulator.check_end();
    const SchedulerCounters counters = simulator.scheduler().counters();
    INFO(describe(counters) << ", blocks held on average " << held / counters.steps);
    CHECK(counters.preemptions <= 3);
    CHECK(held / counters.steps >= 120);
}
