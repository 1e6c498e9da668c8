// The one order in which a whole job is worked off: by prefix tree, then by length.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/schedule/request.hpp"

namespace argosy {

// What the order depends on, of one request.
struct OrderItem {
    std::span<const std::int32_t> prompt;
    std::int64_t total_tokens = 0;  // prompt + max_tokens
    std::int64_t line = 0;
};

OrderItem order_item(const Request& request);

// A permutation of 0 .. items.size()-1. Requests that share their first KV block (kKvBlockTokens tokens) form a cluster
// and stand together; a prompt shorter than a block is a cluster of its own. Clusters go by falling longest total (long
// work first, so that no long request is left alone at the end), ties by their smallest line; inside a cluster prompts
// go lexicographically by token (a depth-first walk of the prefix tree, so that what is shared is used while it is
// still in the pool), ties by line.
//
// Example with blocks of 2 tokens: prompts A = 1 2 5, B = 9, C = 1 2 3, D = 1 2 3 4 all with max_tokens 1, in lines 1
// to 4. Clusters: {A, C, D} with longest total 5, {B} with 2. Order: C, D, A, B.
std::vector<int> global_order(std::span<const OrderItem> items);
std::vector<int> global_order(std::span<const Request> requests);

}  // namespace argosy
