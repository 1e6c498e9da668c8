// Accounts grouped into the rows of the report, and the figures that text and JSON share.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "runtime/account/report_figures.hpp"

namespace argosy {

namespace {

// Rows in printing order; row_of() names one of them for every cell of the ledger.
enum Row {
    prefill_attention,
    prefill_experts,
    prefill_dense,
    prefill_router,
    prefill_logits,
    decode_attention,
    decode_experts,
    decode_dense,
    decode_router,
    decode_logits,
    unphased_compute,
    dispatch_combine,
    leaf_sum,
    schedule,
    step_control,
    wait_exchange,
    wait_leaf_sum,
    wait_step,
    wait_load,
    barrier,
    no_work,
    launch,
    load_read,
    load_exchange,
    load_pack,
    tokenize,
    output,
    shutdown,
    other,
    row_count
};
constexpr const char* kLabels[] = {"prefill attention",
                                   "prefill experts",
                                   "prefill dense block",
                                   "prefill router",
                                   "prefill logits",
                                   "decode attention",
                                   "decode experts",
                                   "decode dense block",
                                   "decode router",
                                   "decode logits",
                                   "outside phases",
                                   "dispatch+combine",
                                   "leaf sum",
                                   "schedule",
                                   "step control",
                                   "wait: dispatch+comb.",
                                   "wait: leaf sum",
                                   "wait: step control",
                                   "wait: load",
                                   "barrier",
                                   "no work",
                                   "launch",
                                   "load: read",
                                   "load: exchange",
                                   "load: pack",
                                   "tokenize",
                                   "output",
                                   "shutdown",
                                   "other"};
static_assert(std::size(kLabels) == row_count);

// Sampling stands with the logits. Work of steps is told apart by phase; the rest is not.
Row row_of(Phase phase, Account account) {
    const auto by_phase = [&](Row in_prefill, Row in_decode) {
        return phase == Phase::prefill ? in_prefill : phase == Phase::decode ? in_decode : unphased_compute;
    };
    switch (account) {
        case Account::launch:
            return launch;
        case Account::load_read:
            return load_read;
        case Account::load_exchange:
            return load_exchange;
        case Account::load_pack:
            return load_pack;
        case Account::tokenize:
            return tokenize;
        case Account::schedule:
            return schedule;
        case Account::attention:
            return by_phase(prefill_attention, decode_attention);
        case Account::dense_block:
            return by_phase(prefill_dense, decode_dense);
        case Account::router:
            return by_phase(prefill_router, decode_router);
        case Account::experts:
            return by_phase(prefill_experts, decode_experts);
        case Account::logits:
        case Account::sample:
            return by_phase(prefill_logits, decode_logits);
        case Account::leaf_sum:
            return leaf_sum;
        case Account::dispatch_combine:
            return dispatch_combine;
        case Account::step_control:
            return step_control;
        case Account::wait_exchange:
            return wait_exchange;
        case Account::wait_leaf_sum:
            return wait_leaf_sum;
        case Account::wait_step:
            return wait_step;
        case Account::wait_load:
            return wait_load;
        case Account::barrier:
            return barrier;
        case Account::output:
            return output;
        case Account::no_work:
            return no_work;
        case Account::shutdown:
            return shutdown;
        case Account::other:
            return other;
    }
    return other;
}

template <class Get>
Spread spread_of(const std::vector<RankLedger>& ranks, Get get) {
    if (ranks.empty()) return {};
    Spread spread{INT64_MAX, 0, INT64_MIN};
    __int128 sum = 0;
    for (const RankLedger& rank : ranks) {
        const std::int64_t value = get(rank);
        spread.min = std::min(spread.min, value);
        spread.max = std::max(spread.max, value);
        sum += value;
    }
    spread.avg = static_cast<std::int64_t>(sum / static_cast<std::int64_t>(ranks.size()));
    return spread;
}

}  // namespace

std::string describe(const RowBlame& blame) {
    if (blame.rank < 0) return "";
    const std::string what =
        blame.expert >= 0 ? fmt::format("expert {}", blame.expert) : std::string(name_of(blame.account));
    return fmt::format("rank {}, {}", blame.rank, what);
}

namespace {

// Whom the ranks blame most for one waiting account: the (rank, account) with the largest sum, and of its experts the
// one with the largest entry.
RowBlame most_blamed(const std::vector<RankLedger>& ranks, Account waiting) {
    struct Sum {
        std::int64_t ns = 0;
        std::int64_t entry_ns = 0;
        std::int32_t expert = -1;
    };
    std::map<std::pair<std::int32_t, Account>, Sum> sums;
    std::int64_t all_ns = 0;
    for (const RankLedger& rank : ranks) {
        for (const BlameEntry& entry : rank.blame) {
            if (entry.waiting != waiting || entry.ns <= 0) continue;
            all_ns += entry.ns;
            if (entry.rank < 0) continue;
            Sum& sum = sums[{entry.rank, entry.account}];
            sum.ns += entry.ns;
            if (entry.ns > sum.entry_ns) sum.entry_ns = entry.ns, sum.expert = entry.expert;
        }
    }
    RowBlame blame;
    for (const auto& [who, sum] : sums) {
        if (sum.ns <= blame.ns) continue;
        blame = {who.first, sum.expert, who.second, sum.ns, 0};
    }
    if (all_ns > 0) blame.share = static_cast<double>(blame.ns) / static_cast<double>(all_ns);
    return blame;
}

}  // namespace

std::vector<ReportRow> report_rows(const std::vector<RankLedger>& ranks, const Bill& bill) {
    std::vector<ReportRow> rows(row_count);
    for (int r = 0; r < row_count; ++r) rows[r].label = kLabels[r];
    for (std::size_t i = 0; i < ranks.size(); ++i) {
        std::array<std::int64_t, row_count> ns = {};
        for (int p = 0; p < kPhaseCount; ++p) {
            for (int a = 0; a < kAccountCount; ++a)
                ns[row_of(static_cast<Phase>(p), static_cast<Account>(a))] += ranks[i].totals_ns[p][a];
        }
        for (int r = 0; r < row_count; ++r) {
            rows[r].min_ns = i == 0 ? ns[r] : std::min(rows[r].min_ns, ns[r]);
            rows[r].max_ns = i == 0 ? ns[r] : std::max(rows[r].max_ns, ns[r]);
            rows[r].sum_ns += ns[r];
        }
    }
    for (int p = 0; p < kPhaseCount; ++p) {
        for (int a = 0; a < kAccountCount; ++a)
            rows[row_of(static_cast<Phase>(p), static_cast<Account>(a))].amount += bill.accounts[p][a];
    }
    for (int a = 0; a < kAccountCount; ++a) {
        const auto account = static_cast<Account>(a);
        if (is_waiting(account)) rows[row_of(Phase::none, account)].blame = most_blamed(ranks, account);
    }
    return rows;
}

ReportFigures report_figures(const RunReport& report) {
    const std::vector<RankLedger>& ranks = report.ranks;
    ReportFigures f;
    f.rows = report_rows(ranks, report.bill);
    f.kernels = kernel_table(ranks);
    f.prices = prices_of(report.bill);
    f.efficiency = efficiency_of(ranks);
    f.life_ns = spread_of(ranks, [](const RankLedger& r) { return r.life_ns(); });
    f.cpu_ns = spread_of(ranks, [](const RankLedger& r) { return r.cpu_ns; });
    f.max_rss_bytes = spread_of(ranks, [](const RankLedger& r) { return r.max_rss_bytes; });
    f.weight_bytes_private = spread_of(ranks, [](const RankLedger& r) { return r.weight_bytes_private; });
    f.weight_bytes_shared = spread_of(ranks, [](const RankLedger& r) { return r.weight_bytes_shared; });
    f.kv_bytes = spread_of(ranks, [](const RankLedger& r) { return r.kv_bytes; });
    for (const RankLedger& rank : ranks) {
        for (int v = 0; v < kSentVerbCount; ++v) f.bytes_sent[v] += rank.bytes_sent[v];
        f.bytes_read += rank.bytes_read;
    }
    const auto tokens = [&](TokenClass c) { return report.bill.classes[static_cast<std::size_t>(c)].tokens; };
    f.input_tokens = tokens(TokenClass::uncached_input) + tokens(TokenClass::cached_input);
    f.delivered_tokens = tokens(TokenClass::delivered_output);
    if (report.bill.total > 0)
        f.utilisation = static_cast<double>(report.bill.direct) / static_cast<double>(report.bill.total);
    if (f.life_ns.max > 0) {
        const double seconds = static_cast<double>(f.life_ns.max) * 1e-9;
        f.delivered_per_second = static_cast<double>(f.delivered_tokens) / seconds;
        f.all_per_second = static_cast<double>(f.input_tokens + f.delivered_tokens) / seconds;
    }
    f.stale_price = report.profile && is_stale(*report.profile, report.provenance.started_utc);
    return f;
}

RunReport make_report(Provenance provenance, std::vector<RankLedger> ranks, std::optional<CostProfile> profile,
                      const std::optional<std::span<const RequestTokens>>& requests) {
    RunReport report;
    report.provenance = std::move(provenance);
    report.ranks = std::move(ranks);
    report.profile = std::move(profile);
    const bool cores_known =
        std::any_of(report.ranks.begin(), report.ranks.end(), [](const RankLedger& r) { return r.cores_milli > 0; });
    if (!cores_known) share_cores(report.ranks);
    report.shared_cores = ranks_share_cores(report.ranks);
    report.bill = make_bill(report.ranks, report.profile, requests);
    report.requests_done = joined(report.ranks, Witness::requests_done);
    report.requests_failed = joined(report.ranks, Witness::requests_failed);
    report.requests_total = report.requests_done + report.requests_failed;
    return report;
}

}  // namespace argosy
