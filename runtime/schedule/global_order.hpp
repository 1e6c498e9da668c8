// The one order in which a whole job is worked off: by prefix tree, then by length.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "runtime/schedule/request.hpp"

namespace argosy {

// Where prompts are told apart, in KV blocks from their beginning.
inline constexpr std::array<int, 8> kOrderBlocks{1, 2, 4, 8, 16, 32, 64, 128};

// What the order depends on, of one request: of fixed size, so that ten million of them fit where their prompts do not.
struct OrderKey {
    std::int64_t line = 0;
    std::int32_t total_tokens = 0;  // prompt + max_tokens
    std::int32_t samples = 1;       // carried along; the order does not depend on it
    std::array<std::uint32_t, kOrderBlocks.size()>
        prefix{};  // digest of the leading kOrderBlocks[i] blocks; 0: shorter
    bool operator==(const OrderKey&) const = default;
};

OrderKey order_key(const Request& request);

// A permutation of 0 .. keys.size()-1. Requests that share their first KV block (kKvBlockTokens tokens) form a cluster
// and stand together; a prompt shorter than a block is a cluster of its own. Clusters go by falling longest total (long
// work first, so that no long request is left alone at the end), ties by their smallest line; inside a cluster those
// with equal prefixes stand together, longer ones within shorter ones (a walk of the prefix tree, so that what is
// shared is used while it is still in the pool), ties by line. Two prompts with one digest but other tokens would only
// stand together: results never depend on the order.
//
// Example with blocks of 2 tokens: prompts A = 1 2 5 6, B = 9, C = 1 2 3 4, D = 1 2 5 6 7 all with max_tokens 1, in
// lines 1 to 4. Clusters: {A, C, D} with longest total 6, {B} with 2. Order: A, D, C, B or C, A, D, B: A and D share
// two blocks and stand together.
std::vector<int> global_order(std::span<const OrderKey> keys);

}  // namespace argosy
