// Random but consistent jobs for property tests: ranks whose accounts partition their lives, profiles, requests whose
// tokens match.
#pragma once

#include <optional>
#include <random>
#include <vector>

#include "runtime/account/bill.hpp"

namespace argosy::test {

struct RandomJob {
    std::vector<RankLedger> ranks;
    std::optional<CostProfile> profile;
    std::optional<std::vector<RequestTokens>> requests;

    std::optional<std::span<const RequestTokens>> request_span() const {
        if (!requests) return {};
        return std::span<const RequestTokens>(*requests);
    }
    Bill bill() const { return make_bill(ranks, profile, request_span()); }
};

// Uniform in [low, high].
std::int64_t draw(std::mt19937_64& random, std::int64_t low, std::int64_t high);

// Up to 9 ranks on up to 3 nodes, up to 12 requests; some accounts, classes and phases empty; lives from nanoseconds to
// days.
RandomJob random_job(std::mt19937_64& random);

// A rank on node "n0" with one core, whose life is the sum of its accounts; it blames its waiting on expert 117 of its
// neighbour (0 and 1, 2 and 3).
RankLedger rank_with(std::int32_t rank, const std::vector<std::tuple<Phase, Account, std::int64_t>>& accounts_ns);

}  // namespace argosy::test
