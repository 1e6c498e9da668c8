// Random jobs: drawn by running a real AccountClock over a random schedule of accounts and phases.
#include "tests/runtime/account/random_ledgers.hpp"

#include <string>

namespace argosy::test {

std::int64_t draw(std::mt19937_64& random, std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(random);
}

namespace {

// Splits the time in every waiting account over up to three culprits, more than have room in one job of some.
void blame_somebody(std::mt19937_64& random, RankLedger& ledger) {
    std::vector<BlameEntry> blames;
    for (int a = 0; a < kAccountCount; ++a) {
        const auto waiting = static_cast<Account>(a);
        if (!is_waiting(waiting)) continue;
        std::int64_t left_ns = 0;
        for (const auto& phase : ledger.totals_ns) left_ns += phase[static_cast<std::size_t>(a)];
        for (std::int64_t parts = draw(random, 1, 30); left_ns > 0; --parts) {
            const std::int64_t ns = parts <= 1 ? left_ns : draw(random, 0, left_ns);
            left_ns -= ns;
            if (ns == 0) continue;
            blames.push_back({.ns = ns,
                              .longest_ns = ns,
                              .waits = 1,
                              .rank = static_cast<std::int32_t>(draw(random, 0, 8)),
                              .expert = -1,
                              .waiting = waiting,
                              .account = static_cast<Account>(draw(random, 0, kAccountCount - 1))});
        }
    }
    set_blame(ledger, blames);
}

RankLedger random_rank(std::mt19937_64& random, int rank, std::int64_t slice_max_ns) {
    RankLedger ledger;
    ledger.rank = rank;
    set_node(ledger, "n" + std::to_string(draw(random, 0, 2)));
    std::int64_t now_ns = draw(random, 0, 1'000'000'000);
    AccountClock clock(now_ns);
    const std::int64_t switches = draw(random, 0, 60);
    for (std::int64_t i = 0; i < switches; ++i) {
        now_ns += draw(random, 0, slice_max_ns);
        if (draw(random, 0, 4) == 0)
            clock.set_phase(static_cast<Phase>(draw(random, 0, kPhaseCount - 1)), now_ns);
        else
            clock.switch_to(static_cast<Account>(draw(random, 0, kAccountCount - 1)), now_ns);
    }
    take_clock(ledger, clock, now_ns + draw(random, 1, slice_max_ns));
    blame_somebody(random, ledger);
    if (draw(random, 0, 1) == 1) {
        const std::int64_t experts_ns =
            ledger.totals_ns[static_cast<std::size_t>(Phase::decode)][static_cast<std::size_t>(Account::experts)];
        ledger.kernels[0] = {.totals = {.ns = draw(random, 0, experts_ns),
                                        .calls = draw(random, 1, 9),
                                        .rows = 7,
                                        .operations = 100,
                                        .bytes = 10,
                                        .limit_ns = draw(random, 0, 1)},
                             .kernel = Kernel::gate_up,
                             .phase = Phase::decode,
                             .account = Account::experts};
    }
    ledger.cores_milli = draw(random, 1, 64'000);
    ledger.gpus_milli = draw(random, 1, 8'000);
    return ledger;
}

CostProfile random_profile(std::mt19937_64& random) {
    CostProfile profile;
    profile.name = "random";
    profile.source = "a random generator";
    profile.date = "2026-01";
    profile.currency = "USD";
    profile.basis = static_cast<PriceBasis>(draw(random, 0, 3));
    profile.price_nano_per_hour = draw(random, 0, 1) == 0 ? draw(random, 1, 1000) : draw(random, 1, 50'000'000'000);
    return profile;
}

}  // namespace

RandomJob random_job(std::mt19937_64& random) {
    RandomJob job;
    const std::int64_t n = draw(random, 1, 9);
    const std::int64_t slice_max_ns = draw(random, 0, 2) == 0 ? 7 : draw(random, 1, 10'000'000'000'000);
    for (int r = 0; r < n; ++r) job.ranks.push_back(random_rank(random, r, slice_max_ns));
    if (draw(random, 0, 3) > 0) job.profile = random_profile(random);
    const std::int64_t request_count = draw(random, 0, 12);
    if (draw(random, 0, 3) > 0) job.requests.emplace(static_cast<std::size_t>(request_count));
    // Every token is counted once on a rank and once for a request, if there are requests.
    const std::int64_t cells = job.requests && request_count == 0 ? 0 : draw(random, 0, 25);
    for (std::int64_t i = 0; i < cells; ++i) {
        const auto token_class = static_cast<std::size_t>(draw(random, 0, kTokenClassCount - 1));
        const std::int64_t tokens = draw(random, 0, 100'000);
        const auto rank = static_cast<std::size_t>(draw(random, 0, n - 1));
        job.ranks[rank].tokens[static_cast<std::size_t>(draw(random, 0, kPhaseCount - 1))][token_class] += tokens;
        if (job.requests)
            (*job.requests)[static_cast<std::size_t>(draw(random, 0, request_count - 1))].tokens[token_class] += tokens;
    }
    return job;
}

RankLedger rank_with(std::int32_t rank, const std::vector<std::tuple<Phase, Account, std::int64_t>>& accounts_ns) {
    RankLedger ledger;
    ledger.rank = rank;
    set_node(ledger, "n0");
    ledger.cores_milli = 1000;
    for (const auto& [phase, account, ns] : accounts_ns) {
        ledger.totals_ns[static_cast<std::size_t>(phase)][static_cast<std::size_t>(account)] += ns;
        ledger.end_ns += ns;
    }
    std::vector<BlameEntry> blames;
    for (const auto& [phase, account, ns] : accounts_ns) {
        if (is_waiting(account))
            blames.push_back({.ns = ns,
                              .longest_ns = ns,
                              .waits = 1,
                              .rank = rank ^ 1,
                              .expert = 117,
                              .waiting = account,
                              .account = Account::experts});
    }
    set_blame(ledger, blames);
    return ledger;
}

}  // namespace argosy::test
