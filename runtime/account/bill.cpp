// Making the bill: time priced once, then split over ranks, accounts, token classes and requests.
#include "runtime/account/bill.hpp"

#include <algorithm>
#include <map>

#include "runtime/account/bill_arithmetic.hpp"
#include "runtime/account/money.hpp"

namespace argosy {

namespace account_detail {

bool narrow(Wide wide, std::int64_t& value) {
    value = wide > INT64_MAX ? INT64_MAX : wide < INT64_MIN ? INT64_MIN : static_cast<std::int64_t>(wide);
    return value == wide;
}

Wide sum_of(const AccountAmounts& amounts) {
    Wide sum = 0;
    for (const auto& phase : amounts) {
        for (const std::int64_t amount : phase) sum += amount;
    }
    return sum;
}

Wide life_sum_ns(std::span<const RankLedger> ranks) {
    Wide sum = 0;
    for (const RankLedger& rank : ranks) sum += at_least_0(rank.life_ns());
    return sum;
}

Wide core_sum_ns(std::span<const RankLedger> ranks) {
    Wide sum = 0;
    for (const RankLedger& rank : ranks) sum += charge_weight(rank, PriceBasis::core);
    return money::divide_rounded(sum, 1000);
}

Wide charge_weight(const RankLedger& rank, PriceBasis basis) {
    const std::int64_t units_milli = basis == PriceBasis::core  ? at_least_0(rank.cores_milli)
                                     : basis == PriceBasis::gpu ? at_least_0(rank.gpus_milli)
                                                                : 1000;
    return Wide{at_least_0(rank.life_ns())} * units_milli;
}

std::vector<NodeTime> node_times(std::span<const RankLedger> ranks) {
    std::map<std::string, NodeTime> nodes;
    for (std::size_t i = 0; i < ranks.size(); ++i) nodes[node_of(ranks[i])].ranks.push_back(i);
    std::vector<NodeTime> times;
    for (auto& [name, node] : nodes) {
        std::int64_t first = INT64_MAX;
        std::int64_t last = INT64_MIN;
        for (const std::size_t i : node.ranks) {
            first = std::min(first, ranks[i].start_ns);
            last = std::max(last, ranks[i].end_ns);
        }
        narrow(std::max(Wide{last} - first, Wide{0}), node.ns);
        times.push_back(std::move(node));
    }
    return times;
}

PricedTime price_time(std::span<const RankLedger> ranks, const std::optional<CostProfile>& profile) {
    PricedTime priced;
    if (!narrow(life_sum_ns(ranks), priced.total))
        priced.problem = "The ranks' lives together do not fit 64 bits of nanoseconds.";
    if (!profile) return priced;
    Wide cores_milli = 0;
    Wide gpus_milli = 0;
    for (const RankLedger& rank : ranks)
        cores_milli += at_least_0(rank.cores_milli), gpus_milli += at_least_0(rank.gpus_milli);
    if (auto mismatch = profile_mismatch(*profile, cores_milli > 0, gpus_milli > 0)) {
        priced.problem = *mismatch;
        return priced;
    }
    Wide weight = 0;  // thousandths of a unit x ns
    if (profile->basis == PriceBasis::node) {
        for (const NodeTime& node : node_times(ranks)) weight += Wide{node.ns} * 1000;
    } else {
        for (const RankLedger& rank : ranks) weight += charge_weight(rank, profile->basis);
    }
    // weight x price / (1000 x ns per hour) in nanodollars, rounded once for the whole job.
    Wide product = 0;
    std::int64_t total = 0;
    if (__builtin_mul_overflow(weight, Wide{profile->price_nano_per_hour}, &product) ||
        !narrow(money::divide_rounded(product, Wide{1000} * money::kNsPerHour), total)) {
        priced.problem = "The ranks' time at this price does not fit 64 bits of 1e-9 of the currency.";
        return priced;
    }
    priced.unit = BillUnit::nano_money;
    priced.total = total;
    return priced;
}

}  // namespace account_detail

using account_detail::at_least_0;
using account_detail::Wide;

namespace {

std::vector<std::int64_t> split_over_ranks(const Bill& bill, std::span<const RankLedger> ranks,
                                           const std::optional<CostProfile>& profile) {
    const PriceBasis basis = bill.unit == BillUnit::rank_ns || !profile ? PriceBasis::rank : profile->basis;
    std::vector<Wide> weights(ranks.size());
    if (basis != PriceBasis::node) {
        for (std::size_t i = 0; i < ranks.size(); ++i) weights[i] = account_detail::charge_weight(ranks[i], basis);
        return money::split_amount(bill.total, weights);
    }
    const std::vector<account_detail::NodeTime> nodes = account_detail::node_times(ranks);
    std::vector<std::int64_t> node_ns;
    for (const auto& node : nodes) node_ns.push_back(node.ns);
    const std::vector<std::int64_t> node_amounts = money::split_amount(bill.total, node_ns);
    std::vector<std::int64_t> amounts(ranks.size(), 0);
    for (std::size_t n = 0; n < nodes.size(); ++n) {
        std::vector<std::int64_t> lives;
        for (const std::size_t i : nodes[n].ranks) lives.push_back(at_least_0(ranks[i].life_ns()));
        const std::vector<std::int64_t> parts = money::split_amount(node_amounts[n], lives);
        for (std::size_t k = 0; k < parts.size(); ++k) amounts[nodes[n].ranks[k]] = parts[k];
    }
    return amounts;
}

AccountAmounts split_over_accounts(std::int64_t amount, const AccountClock::Totals& totals_ns) {
    std::array<std::int64_t, kPhaseCount * kAccountCount> weights;
    for (int p = 0; p < kPhaseCount; ++p) {
        for (int a = 0; a < kAccountCount; ++a) weights[p * kAccountCount + a] = at_least_0(totals_ns[p][a]);
    }
    const std::vector<std::int64_t> parts = money::split_amount(amount, weights);
    AccountAmounts amounts;
    for (int p = 0; p < kPhaseCount; ++p) {
        for (int a = 0; a < kAccountCount; ++a) amounts[p][a] = parts[p * kAccountCount + a];
    }
    return amounts;
}

using ClassTokens = std::array<std::int64_t, kTokenClassCount>;

// Tokens of one phase by class; with `rows_only`, cached input counts 0, because it had no row in any step.
ClassTokens tokens_in(std::span<const RankLedger> ranks, int phase, bool rows_only) {
    ClassTokens tokens = {};
    for (const RankLedger& rank : ranks) {
        for (int c = 0; c < kTokenClassCount; ++c) {
            if (rows_only && static_cast<TokenClass>(c) == TokenClass::cached_input) continue;
            account_detail::narrow(Wide{tokens[c]} + at_least_0(rank.tokens[phase][c]), tokens[c]);
        }
    }
    return tokens;
}

bool all_zero(const ClassTokens& tokens) {
    return std::all_of(tokens.begin(), tokens.end(), [](std::int64_t n) { return n == 0; });
}

void split_over_classes(Bill& bill, std::span<const RankLedger> ranks) {
    ClassTokens rows = {};  // of all phases
    for (int p = 0; p < kPhaseCount; ++p) {
        const ClassTokens all = tokens_in(ranks, p, false);
        const ClassTokens carriers = tokens_in(ranks, p, true);
        std::int64_t direct = 0;
        for (int a = 0; a < kAccountCount; ++a) {
            if (is_direct(static_cast<Phase>(p), static_cast<Account>(a))) direct += bill.accounts[p][a];
        }
        const std::vector<std::int64_t> parts = money::split_amount(direct, carriers);
        for (int c = 0; c < kTokenClassCount; ++c) {
            bill.classes[c].tokens += all[c];
            bill.classes[c].direct += parts[c];
            bill.direct += parts[c];
            rows[c] += carriers[c];
        }
    }
    bill.overhead = bill.total - bill.direct;

    // Everything else rides on what is direct; where nothing is, on the tokens that had rows; where none had, on any
    // token.
    ClassTokens weights = {};
    for (int c = 0; c < kTokenClassCount; ++c) weights[c] = bill.classes[c].direct;
    if (all_zero(weights)) weights = rows;
    if (all_zero(weights)) {
        for (int c = 0; c < kTokenClassCount; ++c) weights[c] = bill.classes[c].tokens;
    }
    if (all_zero(weights)) bill.uncarried = bill.total;
    const std::vector<std::int64_t> parts = money::split_amount(bill.overhead, weights);
    for (int c = 0; c < kTokenClassCount; ++c) bill.classes[c].loaded = bill.classes[c].direct + parts[c];
}

}  // namespace

bool is_direct(Phase phase, Account account) {
    if (phase == Phase::none) return false;
    switch (account) {
        case Account::attention:
        case Account::dense_block:
        case Account::router:
        case Account::experts:
        case Account::logits:
        case Account::sample:
        case Account::leaf_sum:
        case Account::dispatch_combine:
            return true;
        default:
            return false;
    }
}

bool Bill::valid() const {
    return std::all_of(checks.begin(), checks.end(), [](const BillCheck& check) { return check.valid; });
}

std::string Bill::reason() const {
    for (const BillCheck& check : checks) {
        if (!check.valid) return check.reason;
    }
    return {};
}

Bill make_bill(std::span<const RankLedger> ranks, const std::optional<CostProfile>& profile,
               const std::optional<std::span<const RequestTokens>>& requests) {
    Bill bill;
    const account_detail::PricedTime priced = account_detail::price_time(ranks, profile);
    bill.unit = priced.unit;
    bill.total = priced.total;
    account_detail::narrow(account_detail::life_sum_ns(ranks), bill.rank_ns);
    account_detail::narrow(account_detail::core_sum_ns(ranks), bill.core_ns);

    bill.ranks = split_over_ranks(bill, ranks, profile);
    for (std::size_t i = 0; i < ranks.size(); ++i) {
        bill.rank_accounts.push_back(split_over_accounts(bill.ranks[i], ranks[i].totals_ns));
        for (int p = 0; p < kPhaseCount; ++p) {
            for (int a = 0; a < kAccountCount; ++a) bill.accounts[p][a] += bill.rank_accounts[i][p][a];
        }
    }
    split_over_classes(bill, ranks);
    if (requests) {
        for (const RequestCost& cost : price_requests(bill, *requests)) bill.requests.push_back(cost.direct);
    }
    bill.checks = check_bill(bill, ranks, profile, requests);
    return bill;
}

std::vector<RequestCost> price_requests(const Bill& bill, std::span<const RequestTokens> requests) {
    std::vector<RequestCost> costs(requests.size());
    std::vector<std::int64_t> weights(requests.size());
    for (int c = 0; c < kTokenClassCount; ++c) {
        for (std::size_t i = 0; i < requests.size(); ++i) weights[i] = at_least_0(requests[i].tokens[c]);
        const std::vector<std::int64_t> direct = money::split_amount(bill.classes[c].direct, weights);
        const std::vector<std::int64_t> loaded = money::split_amount(bill.classes[c].loaded, weights);
        for (std::size_t i = 0; i < requests.size(); ++i) {
            costs[i].direct += direct[i];
            costs[i].loaded += loaded[i];
        }
    }
    return costs;
}

BillPrices prices_of(const Bill& bill) {
    BillPrices prices;
    for (int c = 0; c < kTokenClassCount; ++c) {
        prices.direct[c] = money::price_per_million(bill.classes[c].direct, bill.classes[c].tokens);
        prices.loaded[c] = money::price_per_million(bill.classes[c].loaded, bill.classes[c].tokens);
    }
    const ClassAmount& uncached = bill.classes[static_cast<int>(TokenClass::uncached_input)];
    const ClassAmount& cached = bill.classes[static_cast<int>(TokenClass::cached_input)];
    const ClassAmount& delivered = bill.classes[static_cast<int>(TokenClass::delivered_output)];
    const std::int64_t input = uncached.tokens + cached.tokens;
    prices.input_direct = money::price_per_million(uncached.direct + cached.direct, input);
    prices.input_loaded = money::price_per_million(uncached.loaded + cached.loaded, input);
    prices.delivered = money::price_per_million(bill.total, delivered.tokens);
    prices.all = money::price_per_million(bill.total, input + delivered.tokens);
    return prices;
}

}  // namespace argosy
