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

struct Cluster {
    std::size_t begin = 0;  // its items stand at [begin, end) of the members list
    std::size_t end = 0;
    std::int64_t longest = 0;
    std::int64_t first_line = std::numeric_limits<std::int64_t>::max();
};

// Items with the digest of their first block, those that share it adjacent. Comparing digests instead of tokens keeps
// the first and largest sort inside one flat array.
std::vector<std::pair<Digest128, int>> by_first_block(std::span<const OrderItem> items) {
    std::vector<std::pair<Digest128, int>> members(items.size());
    for (std::size_t i = 0; i < items.size(); ++i) {
        const auto prompt = items[i].prompt;
        const bool full = prompt.size() >= kKvBlockTokens;
        // A short prompt shares nothing: its own index, under another root, makes it alone in its cluster.
        const std::int32_t self[2] = {static_cast<std::int32_t>(i), 0};
        members[i] = {full ? chain_digest({.low = 1, .high = 0}, prompt.first(kKvBlockTokens))
                           : chain_digest({.low = 2, .high = 0}, self),
                      static_cast<int>(i)};
    }
    std::sort(members.begin(), members.end());
    return members;
}

std::vector<Cluster> clusters_of(std::span<const OrderItem> items, std::span<const std::pair<Digest128, int>> members) {
    std::vector<Cluster> clusters;
    for (std::size_t i = 0; i < members.size(); ++i) {
        if (i == 0 || members[i].first != members[i - 1].first) clusters.push_back({.begin = i, .end = i});
        Cluster& cluster = clusters.back();
        const OrderItem& item = items[static_cast<std::size_t>(members[i].second)];
        cluster.end = i + 1;
        cluster.longest = std::max(cluster.longest, item.total_tokens);
        cluster.first_line = std::min(cluster.first_line, item.line);
    }
    return clusters;
}

}  // namespace

OrderItem order_item(const Request& request) {
    return {.prompt = request.prompt, .total_tokens = longest_total(request), .line = request.line};
}

std::vector<int> global_order(std::span<const OrderItem> items) {
    const auto members = by_first_block(items);
    std::vector<Cluster> clusters = clusters_of(items, members);
    std::sort(clusters.begin(), clusters.end(), [](const Cluster& a, const Cluster& b) {
        return std::tuple(-a.longest, a.first_line, a.begin) < std::tuple(-b.longest, b.first_line, b.begin);
    });
    std::vector<int> order;
    order.reserve(items.size());
    for (const Cluster& cluster : clusters) {
        const std::size_t first = order.size();
        for (std::size_t i = cluster.begin; i < cluster.end; ++i) order.push_back(members[i].second);
        std::sort(order.begin() + static_cast<std::ptrdiff_t>(first), order.end(), [&](int left, int right) {
            const OrderItem& a = items[static_cast<std::size_t>(left)];
            const OrderItem& b = items[static_cast<std::size_t>(right)];
            const auto tokens = std::lexicographical_compare_three_way(a.prompt.begin(), a.prompt.end(),
                                                                       b.prompt.begin(), b.prompt.end());
            if (tokens != 0) return tokens < 0;
            return std::tuple(a.line, left) < std::tuple(b.line, right);
        });
    }
    return order;
}

std::vector<int> global_order(std::span<const Request> requests) {
    std::vector<OrderItem> items;
    items.reserve(requests.size());
    for (const Request& request : requests) items.push_back(order_item(request));
    return global_order(std::span<const OrderItem>(items));
}

}  // namespace argosy
