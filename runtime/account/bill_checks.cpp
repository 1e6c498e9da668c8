// The four checks of a bill: each side is added up anew from the ledgers and the bill, and a difference is named.
#include <fmt/format.h>

#include "runtime/account/bill.hpp"
#include "runtime/account/bill_arithmetic.hpp"

namespace argosy {

using account_detail::narrow;
using account_detail::Wide;

namespace {

// Collects the first thing that is wrong.
struct Finding {
    BillCheck check;

    explicit Finding(std::string name) { check = {std::move(name), true, "", 0, 0}; }

    template <class... Args>
    void require(bool holds, fmt::format_string<Args...> format, Args&&... args) {
        if (holds || !check.valid) return;
        check.valid = false;
        check.reason = fmt::format(format, std::forward<Args>(args)...);
    }

    // The equation that the check is about; what was found before stays the reason.
    void require_equal(Wide left, Wide right, std::string_view what) {
        const bool fits = narrow(left, check.left) & narrow(right, check.right);
        require(fits && left == right, "{}: {} is not {}.", what, check.left, check.right);
    }
};

// What a rank waited is blamed on somebody, to the nanosecond.
void check_blame(Finding& finding, const RankLedger& rank) {
    for (int a = 0; a < kAccountCount; ++a) {
        const auto account = static_cast<Account>(a);
        if (!is_waiting(account)) {
            finding.require(blamed_ns(rank, account) == 0, "Rank {} blames others for its account '{}'.", rank.rank,
                            name_of(account));
            continue;
        }
        Wide waited = 0;
        for (const auto& phase : rank.totals_ns) waited += phase[static_cast<std::size_t>(a)];
        std::int64_t shown_ns = 0;
        narrow(waited, shown_ns);
        finding.require(waited == blamed_ns(rank, account), "Rank {} has {} ns in '{}' and blames others for {} ns.",
                        rank.rank, shown_ns, name_of(account), blamed_ns(rank, account));
    }
}

BillCheck check_accounts(const Bill& bill, std::span<const RankLedger> ranks) {
    Finding finding("accounts");
    finding.require(bill.ranks.size() == ranks.size() && bill.rank_accounts.size() == ranks.size(),
                    "The bill has {} ranks and {} rows of accounts for {} ledgers.", bill.ranks.size(),
                    bill.rank_accounts.size(), ranks.size());
    if (!finding.check.valid) return finding.check;
    Wide accounts_ns = 0;
    Wide lives_ns = 0;
    for (std::size_t i = 0; i < ranks.size(); ++i) {
        const RankLedger& rank = ranks[i];
        finding.require(rank.life_ns() >= 0, "Rank {} ended {} ns before it started.", rank.rank, -rank.life_ns());
        Wide sum_ns = 0;
        for (int p = 0; p < kPhaseCount; ++p) {
            for (int a = 0; a < kAccountCount; ++a) {
                const std::int64_t ns = rank.totals_ns[p][a];
                finding.require(ns >= 0, "Rank {} has {} ns in its account '{}'.", rank.rank, ns,
                                name_of(static_cast<Account>(a)));
                finding.require(bill.rank_accounts[i][p][a] >= 0, "Rank {} is billed a negative amount for '{}'.",
                                rank.rank, name_of(static_cast<Account>(a)));
                sum_ns += ns;
            }
        }
        check_blame(finding, rank);
        std::int64_t shown_ns = 0;
        narrow(sum_ns, shown_ns);
        finding.require(sum_ns == rank.life_ns(), "The accounts of rank {} hold {} ns, its life is {} ns.", rank.rank,
                        shown_ns, rank.life_ns());
        std::int64_t amount = 0;
        narrow(account_detail::sum_of(bill.rank_accounts[i]), amount);
        finding.require(amount == bill.ranks[i], "The accounts of rank {} are billed {}, the rank {}.", rank.rank,
                        amount, bill.ranks[i]);
        accounts_ns += sum_ns;
        lives_ns += rank.life_ns();
    }
    for (int p = 0; p < kPhaseCount; ++p) {
        for (int a = 0; a < kAccountCount; ++a) {
            Wide sum = 0;
            for (const AccountAmounts& amounts : bill.rank_accounts) sum += amounts[p][a];
            finding.require(sum == bill.accounts[p][a],
                            "The account '{}' is billed {}, which is not the sum of its ranks.",
                            name_of(static_cast<Account>(a)), bill.accounts[p][a]);
        }
    }
    finding.require_equal(accounts_ns, lives_ns, "The sum of all accounts is not the sum of all lives in ns");
    return finding.check;
}

BillCheck check_ranks(const Bill& bill, std::span<const RankLedger> ranks, const std::optional<CostProfile>& profile) {
    Finding finding("ranks");
    const account_detail::PricedTime priced = account_detail::price_time(ranks, profile);
    finding.require(priced.problem.empty(), "{}", priced.problem);
    finding.require(bill.unit == priced.unit && bill.total == priced.total, "The bill is {}, the ranks' time costs {}.",
                    bill.total, priced.total);
    finding.require(bill.rank_ns == account_detail::life_sum_ns(ranks),
                    "The bill says {} ns of rank time, which the ledgers do not.", bill.rank_ns);
    finding.require(bill.core_ns == account_detail::core_sum_ns(ranks),
                    "The bill says {} ns of core time, which the ledgers do not.", bill.core_ns);
    Wide sum = 0;
    for (std::size_t i = 0; i < bill.ranks.size(); ++i) {
        finding.require(bill.ranks[i] >= 0, "Entry {} of the ranks is billed the negative amount {}.", i,
                        bill.ranks[i]);
        sum += bill.ranks[i];
    }
    finding.require_equal(sum, bill.total, "The sum of ranks is not the bill");
    return finding.check;
}

BillCheck check_requests(const Bill& bill, std::span<const RankLedger> ranks,
                         const std::optional<std::span<const RequestTokens>>& requests) {
    Finding finding("requests");
    Wide direct = bill.direct;
    if (requests) {
        finding.require(bill.requests.size() == requests->size(), "The bill has amounts for {} of {} requests.",
                        bill.requests.size(), requests->size());
        direct = 0;
        for (std::size_t i = 0; i < bill.requests.size(); ++i) {
            finding.require(bill.requests[i] >= 0, "Request {} is billed the negative amount {}.", i, bill.requests[i]);
            direct += bill.requests[i];
        }
        for (int c = 0; c < kTokenClassCount; ++c) {
            Wide of_requests = 0;
            Wide of_ranks = 0;
            for (const RequestTokens& request : *requests) of_requests += request.tokens[c];
            for (const RankLedger& rank : ranks) of_ranks += tokens_of(rank, static_cast<TokenClass>(c));
            std::int64_t left = 0;
            std::int64_t right = 0;
            narrow(of_requests, left);
            narrow(of_ranks, right);
            finding.require(of_requests == of_ranks,
                            "The requests account for {} tokens of class '{}', the ranks for {}.", left,
                            name_of(static_cast<TokenClass>(c)), right);
        }
    }
    // Overhead is added up anew from its accounts; a phase's direct accounts join it where no token could carry them.
    Wide overhead = 0;
    for (int p = 0; p < kPhaseCount; ++p) {
        Wide carriers = 0;
        for (const RankLedger& rank : ranks) {
            for (int c = 0; c < kTokenClassCount; ++c) {
                if (static_cast<TokenClass>(c) != TokenClass::cached_input)
                    carriers += account_detail::at_least_0(rank.tokens[p][c]);
            }
        }
        for (int a = 0; a < kAccountCount; ++a) {
            if (carriers == 0 || !is_direct(static_cast<Phase>(p), static_cast<Account>(a)))
                overhead += bill.accounts[p][a];
        }
    }
    finding.require(overhead == bill.overhead, "The overhead is billed {}, which is not the sum of its accounts.",
                    bill.overhead);
    finding.require_equal(direct + overhead, bill.total, "The sum of requests and overhead is not the bill");
    return finding.check;
}

BillCheck check_tokens(const Bill& bill, std::span<const RankLedger> ranks) {
    Finding finding("tokens");
    Wide direct = 0;
    Wide loaded = 0;
    Wide tokens = 0;
    for (int c = 0; c < kTokenClassCount; ++c) {
        const ClassAmount& amount = bill.classes[c];
        const auto name = name_of(static_cast<TokenClass>(c));
        Wide counted = 0;
        for (const RankLedger& rank : ranks) {
            for (int p = 0; p < kPhaseCount; ++p) {
                finding.require(rank.tokens[p][c] >= 0, "Rank {} counted {} tokens of class '{}'.", rank.rank,
                                rank.tokens[p][c], name);
                counted += rank.tokens[p][c];
            }
        }
        finding.require(counted == amount.tokens, "The bill has {} tokens of class '{}', which the ledgers do not.",
                        amount.tokens, name);
        finding.require(amount.direct >= 0 && amount.direct <= amount.loaded,
                        "The class '{}' is billed {} directly and {} loaded.", name, amount.direct, amount.loaded);
        finding.require(amount.tokens > 0 || amount.loaded == 0,
                        "The class '{}' is billed {}, but has no token to carry it.", name, amount.loaded);
        direct += amount.direct;
        loaded += amount.loaded;
        tokens += amount.tokens;
    }
    finding.require(direct == bill.direct,
                    "The sum of the classes' direct amounts is not the {} that are billed directly.", bill.direct);
    finding.require(bill.uncarried == (tokens == 0 ? bill.total : 0), "{} of the bill rest on no token.",
                    bill.uncarried);
    finding.require_equal(loaded + bill.uncarried, bill.total, "The sum of price x tokens is not the bill");
    return finding.check;
}

}  // namespace

std::array<BillCheck, kBillCheckCount> check_bill(const Bill& bill, std::span<const RankLedger> ranks,
                                                  const std::optional<CostProfile>& profile,
                                                  const std::optional<std::span<const RequestTokens>>& requests) {
    return {check_accounts(bill, ranks), check_ranks(bill, ranks, profile), check_requests(bill, ranks, requests),
            check_tokens(bill, ranks)};
}

}  // namespace argosy
