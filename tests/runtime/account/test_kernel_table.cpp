// The table of kernels: its rows add up to the time in steps to the nanosecond, whatever ran.
#include <catch2/catch.hpp>

#include <map>

#include "runtime/account/efficiency.hpp"
#include "runtime/account/kernel_table.hpp"
#include "tests/runtime/account/random_ledgers.hpp"

using namespace argosy;
using namespace argosy::test;
using Catch::Contains;

namespace {

std::map<std::string, std::int64_t> by_label(const KernelTable& table) {
    std::map<std::string, std::int64_t> ns;
    for (const KernelRow& row : table.rows) ns[row.label] += row.totals.ns;
    return ns;
}

// Kernels that took part of the time of random cells.
void add_kernels(std::mt19937_64& random, RankLedger& rank) {
    std::size_t count = 0;
    for (std::size_t p = 0; p < kPhaseCount; ++p) {
        for (std::size_t a = 0; a < kAccountCount; ++a) {
            const auto account = static_cast<Account>(a);
            if (!is_stepping(account) || draw(random, 0, 3) > 0 || count == rank.kernels.size()) continue;
            const std::int64_t ns = draw(random, 0, rank.totals_ns[p][a]);
            rank.kernels[count++] = {
                .totals = {.ns = ns, .calls = 1, .rows = 3, .operations = 100, .bytes = 10, .limit_ns = 0},
                .kernel = static_cast<Kernel>(draw(random, 0, kKernelCount - 1)),
                .phase = static_cast<Phase>(p),
                .account = account};
        }
    }
}

}  // namespace

TEST_CASE("rows of kernels, waits and what is between them add up to the time in steps") {
    std::mt19937_64 random(31);
    int tables = 0;
    for (int round = 0; round < 500; ++round) {
        RandomJob job = random_job(random);
        std::int64_t steps_ns = 0;
        for (RankLedger& rank : job.ranks) {
            add_kernels(random, rank);
            for (const auto& phase : rank.totals_ns) {
                for (std::size_t a = 0; a < kAccountCount; ++a) {
                    const auto account = static_cast<Account>(a);
                    if (is_stepping(account) || account == Account::other) steps_ns += phase[a];
                }
            }
        }
        const KernelTable table = kernel_table(job.ranks);
        if (table.rows.empty()) continue;
        ++tables;
        std::int64_t sum_ns = 0;
        for (const KernelRow& row : table.rows) {
            REQUIRE(row.totals.ns >= 0);
            sum_ns += row.totals.ns;
        }
        REQUIRE(sum_ns == steps_ns);
        REQUIRE(table.steps_ns == steps_ns);
    }
    CHECK(tables > 100);
}

TEST_CASE("a kernel's time is taken out of its account, and its rates are those of its own time") {
    RankLedger rank = rank_with(0, {{Phase::decode, Account::experts, 1000},
                                    {Phase::decode, Account::dispatch_combine, 300},
                                    {Phase::none, Account::schedule, 50},
                                    {Phase::none, Account::launch, 9999}});
    rank.kernels[0] = {.totals = {.ns = 900, .calls = 2, .rows = 7, .operations = 1800, .bytes = 450, .limit_ns = 450},
                       .kernel = Kernel::gate_up,
                       .phase = Phase::decode,
                       .account = Account::experts};
    rank.kernels[1] = {.totals = {.ns = 100, .calls = 1, .rows = 7, .operations = 0, .bytes = 0, .limit_ns = 0},
                       .kernel = Kernel::combine,
                       .phase = Phase::decode,
                       .account = Account::dispatch_combine};
    const KernelTable table = kernel_table({&rank, 1});
    CHECK(by_label(table) == std::map<std::string, std::int64_t>{{"decode experts: gate-up", 900},
                                                                 {"decode dispatch+combine: combine", 100},
                                                                 {"dispatch+combine", 200},
                                                                 {"schedule", 50},
                                                                 {"between kernels", 100}});
    CHECK(table.steps_ns == 1350);
    const std::string text = describe(table);
    INFO(text);
    CHECK_THAT(text, Contains("2.0") && Contains("0.5") && Contains("50.0"));  // GFLOP/s, GB/s, % of the limit
    CHECK_THAT(text, !Contains("launch"));
    CHECK(describe(KernelTable{}).empty());
}

TEST_CASE("the meter's cells reach the ledger") {
    AccountClock clock(0);
    KernelMeter meter(clock);
    clock.switch_to(Account::router, 1);
    clock.set_phase(Phase::prefill, 1);
    meter.add({.kernel = Kernel::route, .rows = 4, .operations = 64, .bytes = 8}, 12);
    clock.switch_to(Account::attention, 2);
    meter.add({.kernel = Kernel::qkv, .rows = 4, .operations = 128, .bytes = 16}, 13);
    RankLedger ledger;
    take_kernels(ledger, meter);
    CHECK(ledger.kernels[0].kernel == Kernel::qkv);  // attention stands before the router
    CHECK(ledger.kernels[0].totals.ns == 13);
    CHECK(ledger.kernels[1].account == Account::router);
    CHECK(ledger.kernels[1].totals.operations == 64);
    CHECK(ledger.kernels[2].totals.calls == 0);
}
