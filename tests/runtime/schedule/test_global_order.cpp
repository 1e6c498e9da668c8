// The global order of a job: a worked example, its properties on random prompts, and that a million requests sort
// quickly.
#include <algorithm>
#include <catch2/catch.hpp>
#include <numeric>
#include <random>
#include <set>

#include "kernels/ops.hpp"
#include "runtime/schedule/global_order.hpp"

using namespace argosy;

namespace {

Request make(std::int64_t line, std::vector<std::int32_t> prompt, int max_tokens) {
    Request request;
    request.line = line;
    request.prompt = std::move(prompt);
    request.max_tokens = max_tokens;
    return request;
}

// A block of equal tokens followed by a tail.
std::vector<std::int32_t> prompt_of(std::int32_t first, std::vector<std::int32_t> tail) {
    std::vector<std::int32_t> prompt(kKvBlockTokens, first);
    prompt.insert(prompt.end(), tail.begin(), tail.end());
    return prompt;
}

// Random prompts over few tokens, so that prefixes are shared often.
std::vector<Request> random_job(std::mt19937& random, int count) {
    std::vector<Request> job;
    for (int i = 0; i < count; ++i) {
        std::vector<std::int32_t> prompt(1 + random() % 40);
        const auto shared = static_cast<std::size_t>(random() % 40);
        for (std::size_t t = 0; t < prompt.size(); ++t)
            prompt[t] = t < shared ? static_cast<std::int32_t>(t % 3) : random() % 3;
        job.push_back(make(i + 1, prompt, static_cast<int>(random() % 20)));
    }
    return job;
}

std::vector<int> order_of(const std::vector<Request>& job) {
    std::vector<OrderKey> keys;
    for (const Request& request : job) keys.push_back(order_key(request));
    return global_order(keys);
}

// Leading blocks at which the order tells prompts apart, of two prompts: how many of them are equal.
int shared_depths(const Request& a, const Request& b) {
    int depths = 0;
    for (const int blocks : kOrderBlocks) {
        const auto end = static_cast<std::size_t>(blocks) * kKvBlockTokens;
        if (a.prompt.size() < end || b.prompt.size() < end) break;
        if (!std::equal(a.prompt.begin(), a.prompt.begin() + static_cast<std::ptrdiff_t>(end), b.prompt.begin())) break;
        ++depths;
    }
    return depths;
}

}  // namespace

TEST_CASE("global order: clusters by falling longest total, the prefix tree inside, ties by line") {
    const std::vector<Request> job{
        make(1, prompt_of(5, {1, 2}), 10),  // cluster 5
        make(2, {9}, 200),                  // alone, the longest
        make(3, prompt_of(7, {}), 12),      // cluster 7, as long as cluster 5 but later
        make(4, prompt_of(5, {1}), 3),      // cluster 5
        make(5, prompt_of(5, {1, 2}), 1),   // cluster 5
        make(6, {9}, 5),                    // short prompts share nothing, not even with line 2
    };
    CHECK(order_of(job) == std::vector<int>{1, 0, 3, 4, 2, 5});
}

TEST_CASE("global order: a permutation in which sharers are adjacent, whatever the order of the input") {
    std::mt19937 random(7);
    for (int round = 0; round < 50; ++round) {
        std::vector<Request> job = random_job(random, 1 + static_cast<int>(random() % 200));
        const auto order = order_of(job);
        REQUIRE(std::set<int>(order.begin(), order.end()).size() == job.size());
        std::set<std::vector<std::int32_t>> closed;
        std::vector<std::int32_t> open;
        std::int64_t previous_longest = std::numeric_limits<std::int64_t>::max();
        std::vector<std::int64_t> lines;
        for (std::size_t i = 0; i < order.size(); ++i) {
            const Request& request = job[static_cast<std::size_t>(order[i])];
            lines.push_back(request.line);
            if (request.prompt.size() < kKvBlockTokens) continue;
            const std::vector<std::int32_t> block(request.prompt.begin(), request.prompt.begin() + kKvBlockTokens);
            if (block == open) {
                const Request& before = job[static_cast<std::size_t>(order[i - 1])];
                if (i + 1 < order.size()) {  // nobody who shares more with the one before stands further back
                    const Request& after = job[static_cast<std::size_t>(order[i + 1])];
                    CHECK(shared_depths(before, request) >= shared_depths(before, after));
                }
                if (order_key(before).prefix == order_key(request).prefix) CHECK(before.line < request.line);
                continue;
            }
            REQUIRE(closed.insert(block).second);  // this cluster was not open before
            open = block;
            std::int64_t longest = 0;
            for (const Request& other : job) {
                if (other.prompt.size() < kKvBlockTokens ||
                    !std::equal(block.begin(), block.end(), other.prompt.begin()))
                    continue;
                longest = std::max(longest, longest_total(other));
            }
            CHECK(longest <= previous_longest);
            previous_longest = longest;
        }
        std::shuffle(job.begin(), job.end(), random);
        std::vector<std::int64_t> shuffled;
        for (const int i : order_of(job)) shuffled.push_back(job[static_cast<std::size_t>(i)].line);
        CHECK(shuffled == lines);
    }
}

TEST_CASE("global order: a million requests") {
    std::mt19937 random(11);
    std::vector<std::int32_t> text(1 << 20);
    for (auto& token : text) token = static_cast<std::int32_t>(random() % 50000);
    std::vector<OrderKey> keys(1000000);
    for (std::size_t i = 0; i < keys.size(); ++i) {
        // Every tenth request begins with one of eight long system prompts.
        const std::size_t begin = i % 10 == 0 ? (random() % 8) * 1000 : random() % (text.size() - 600);
        Request request;
        const auto prompt = std::span(text).subspan(begin, 20 + random() % 500);
        request.prompt.assign(prompt.begin(), prompt.end());
        request.line = static_cast<std::int64_t>(i) + 1;
        keys[i] = order_key(request);
    }
    const auto order = global_order(keys);
    CHECK(std::accumulate(order.begin(), order.end(), std::int64_t{0}) == 499999500000);
}
