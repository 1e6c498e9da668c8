// Sorting a job's requests: clusters of requests with one first KV block, then the prefix tree inside each.
#include "runtime/schedule/global_order.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <tuple>

#include "kernels/ops.hpp"
#include "runtime/schedule/token_hash.hpp"

namespace argosy {

namespace {

// The items at [begin, end) of the sorted list.
struct Cluster {
    std::size_t begin = 0;
    std::size_t end = 0;
    std::int32_t longest = 0;
    std::int64_t first_line = std::numeric_limits<std::int64_t>::max();
};

// A short prompt shares nothing: it is alone in its cluster.
bool same_cluster(const OrderKey& a, const OrderKey& b) { return a.prefix[0] != 0 && a.prefix[0] == b.prefix[0]; }

std::vector<Cluster> clusters_of(std::span<const OrderKey> keys, std::span<const int> sorted) {
    std::vector<Cluster> clusters;
    for (std::size_t i = 0; i < sorted.size(); ++i) {
        const OrderKey& key = keys[static_cast<std::size_t>(sorted[i])];
        if (i == 0 || !same_cluster(keys[static_cast<std::size_t>(sorted[i - 1])], key))
            clusters.push_back({.begin = i});
        Cluster& cluster = clusters.back();
        cluster.end = i + 1;
        cluster.longest = std::max(cluster.longest, key.total_tokens);
        cluster.first_line = std::min(cluster.first_line, key.line);
    }
    return clusters;
}

}  // namespace

OrderKey order_key(const Request& request) {
    OrderKey key{.line = request.line,
                 .total_tokens = static_cast<std::int32_t>(
                     std::min<std::int64_t>(longest_total(request), std::numeric_limits<std::int32_t>::max())),
                 .samples = request.n};
    const std::span<const std::int32_t> prompt = request.prompt;
    Digest128 digest{.low = 1, .high = 0};
    std::size_t done = 0;
    for (std::size_t i = 0; i < kOrderBlocks.size(); ++i) {
        const auto end = static_cast<std::size_t>(kOrderBlocks[i]) * kKvBlockTokens;
        if (end > prompt.size()) break;
        digest = chain_digest(digest, prompt.subspan(done, end - done));
        done = end;
        key.prefix[i] = static_cast<std::uint32_t>(digest.low) | 1U;  // never 0
    }
    return key;
}

std::vector<int> global_order(std::span<const OrderKey> keys) {
    std::vector<int> sorted(keys.size());
    std::iota(sorted.begin(), sorted.end(), 0);
    std::sort(sorted.begin(), sorted.end(), [&](int left, int right) {
        const OrderKey& a = keys[static_cast<std::size_t>(left)];
        const OrderKey& b = keys[static_cast<std::size_t>(right)];
        return std::tie(a.prefix, a.line, left) < std::tie(b.prefix, b.line, right);
    });
    std::vector<Cluster> clusters = clusters_of(keys, sorted);
    std::sort(clusters.begin(), clusters.end(), [](const Cluster& a, const Cluster& b) {
        return std::tuple(-std::int64_t{a.longest}, a.first_line, a.begin) <
               std::tuple(-std::int64_t{b.longest}, b.first_line, b.begin);
    });
    std::vector<int> order;
    order.reserve(keys.size());
    for (const Cluster& cluster : clusters) {
        order.insert(order.end(), sorted.begin() + static_cast<std::ptrdiff_t>(cluster.begin),
                     sorted.begin() + static_cast<std::ptrdiff_t>(cluster.end));
    }
    return order;
}

}  // namespace argosy
