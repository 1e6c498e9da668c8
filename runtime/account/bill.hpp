// The bill: all ranks' ledgers turned into money (or rank-seconds) by integer arithmetic that closes to the last unit,
// and the four checks of it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/account/cost_profile.hpp"
#include "runtime/account/ledger.hpp"

namespace argosy {

// What one request used: tokens by class, over all ranks that worked on it.
struct RequestTokens {
    std::array<std::int64_t, kTokenClassCount> tokens = {};
};

// Every amount of a bill is in one unit.
enum class BillUnit : std::uint8_t {
    rank_ns,     // no cost profile: nanoseconds of a rank's life
    nano_money,  // 1e-9 of the profile's currency
};

// One of the four checks; `left` and `right` are the two sides that must be equal.
struct BillCheck {
    std::string name;
    bool valid = false;
    std::string reason;  // empty when valid
    std::int64_t left = 0;
    std::int64_t right = 0;

    bool operator==(const BillCheck&) const = default;
};
inline constexpr int kBillCheckCount = 4;

using AccountAmounts = std::array<std::array<std::int64_t, kAccountCount>, kPhaseCount>;  // [phase][account]

// What a class of tokens carries. Its price is amount / tokens, kept as the two integers so that price x tokens is
// exact.
struct ClassAmount {
    std::int64_t tokens = 0;
    std::int64_t direct = 0;  // of the work and transfer of the steps that produced them
    std::int64_t loaded = 0;  // with its part of everything else: start-up, waiting, idle, files

    bool operator==(const ClassAmount&) const = default;
};

struct Bill {
    BillUnit unit = BillUnit::rank_ns;
    std::int64_t total = 0;
    std::int64_t core_ns = 0;  // sum over ranks of life x cores
    std::int64_t rank_ns = 0;  // sum over ranks of life

    std::vector<std::int64_t> ranks;            // [rank], adds up to total
    std::vector<AccountAmounts> rank_accounts;  // [rank][phase][account], each adds up to ranks[rank]
    AccountAmounts accounts = {};               // over all ranks, adds up to total

    std::array<ClassAmount, kTokenClassCount> classes = {};  // loaded adds up to total - uncarried
    std::int64_t direct = 0;                                 // sum of classes' direct
    std::int64_t overhead = 0;                               // total - direct
    std::int64_t uncarried = 0;          // total, if the job processed no token that could carry it; else 0
    std::vector<std::int64_t> requests;  // [request], direct; adds up to direct. Empty if not itemised.

    std::array<BillCheck, kBillCheckCount> checks;
    bool valid() const;
    std::string reason() const;  // of the first check that failed; empty when valid

    bool operator==(const Bill&) const = default;
};

// True for the cells of the ledger that are the work and the transfer of steps, charged directly to the tokens the
// steps produced.
bool is_direct(Phase phase, Account account);

// Computes and checks the bill. Pure; ledgers that cannot be right (negative times, accounts that do not add up to the
// life, a profile for GPUs that no rank has) give a bill whose checks say so, never an exception.
//   rank, core, gpu prices: sum of life x units x price, rounded once to a nanodollar, split over ranks by life x
//   units. node prices: each node is paid from the first start to the last end of its ranks, and that is split over its
//   ranks by life. a rank's amount is split over its accounts by nanoseconds; a phase's direct amount over the tokens
//   of that phase, each token alike, except cached input, which had no row in any step and carries nothing directly;
//   overhead over classes by direct amount.
Bill make_bill(std::span<const RankLedger> ranks, const std::optional<CostProfile>& profile = {},
               const std::optional<std::span<const RequestTokens>>& requests = {});

// The four checks of a bill against the ledgers it was made from:
//   1 accounts: per rank, sum of accounts = life, in ns and in amounts     2 ranks: sum of ranks = bill = price x time
//   3 requests: sum of requests + sum of overhead = bill                   4 tokens: sum of price x tokens = bill
std::array<BillCheck, kBillCheckCount> check_bill(const Bill& bill, std::span<const RankLedger> ranks,
                                                  const std::optional<CostProfile>& profile,
                                                  const std::optional<std::span<const RequestTokens>>& requests);

// What each request costs: every class's direct and loaded amount split over its tokens, to the last unit.
//   sum of direct = bill.direct, sum of loaded = bill.total - bill.uncarried, if the requests hold all tokens of the
//   bill.
struct RequestCost {
    std::int64_t direct = 0;
    std::int64_t loaded = 0;
    bool operator==(const RequestCost&) const = default;
};
std::vector<RequestCost> price_requests(const Bill& bill, std::span<const RequestTokens> requests);

// Prices in 1e-9 of the currency (or rank-ns) per million tokens; nothing where there are no tokens.
struct BillPrices {
    std::array<std::optional<std::int64_t>, kTokenClassCount> direct;
    std::array<std::optional<std::int64_t>, kTokenClassCount> loaded;
    std::optional<std::int64_t> input_direct;  // uncached and cached input together
    std::optional<std::int64_t> input_loaded;
    std::optional<std::int64_t> delivered;  // the whole bill over delivered output
    std::optional<std::int64_t> all;        // the whole bill over input and delivered output; waste is no product
};
BillPrices prices_of(const Bill& bill);

}  // namespace argosy
