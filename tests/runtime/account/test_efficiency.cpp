// POP efficiencies: hand-made cases, and the additive form over random jobs.
#include <catch2/catch.hpp>

#include <algorithm>

#include "runtime/account/efficiency.hpp"
#include "tests/runtime/account/random_ledgers.hpp"

using namespace argosy;
using namespace argosy::test;

TEST_CASE("load balance and communication by hand") {
    // Rank 0 computes 80 of its 100 stepping ns, rank 1 computes 40; start-up is outside the window.
    const std::vector<RankLedger> ranks = {rank_with(0, {{Phase::decode, Account::experts, 50},
                                                         {Phase::prefill, Account::attention, 30},
                                                         {Phase::decode, Account::leaf_sum, 20},
                                                         {Phase::none, Account::launch, 900}}),
                                           rank_with(1, {{Phase::decode, Account::experts, 40},
                                                         {Phase::decode, Account::wait_leaf_sum, 60},
                                                         {Phase::none, Account::output, 5}})};
    const Efficiency e = efficiency_of(ranks);
    REQUIRE(e.known);
    CHECK(e.load_balance == Approx(60.0 / 80.0));
    CHECK(e.communication == Approx(80.0 / 100.0));
    CHECK(e.parallel == Approx(60.0 / 100.0));
    CHECK(e.useful_ns == 120);
    CHECK(e.imbalance_ns == 40);
    CHECK(e.communication_ns == 40);
    // Without its 20 ns of leaf sum rank 0 steps for 80, rank 1, which waits 60, for 100: the network costs nothing.
    CHECK(e.transfer == Approx(1.0));
    CHECK(e.serialisation == Approx(0.8));
    CHECK(e.transfer_ns == 0);
    CHECK(e.serialisation_ns == 40);
}

TEST_CASE("time in transfer and time in waiting are told apart") {
    // 100 ns of stepping each: rank 0 computes 50 and transfers 50, rank 1 computes 40, transfers 30 and waits 30.
    const std::vector<RankLedger> ranks = {rank_with(0, {{Phase::decode, Account::experts, 50},
                                                         {Phase::decode, Account::dispatch_combine, 30},
                                                         {Phase::none, Account::step_control, 20}}),
                                           rank_with(1, {{Phase::decode, Account::experts, 40},
                                                         {Phase::decode, Account::leaf_sum, 30},
                                                         {Phase::none, Account::wait_step, 10},
                                                         {Phase::decode, Account::wait_exchange, 20}})};
    const Efficiency e = efficiency_of(ranks);
    CHECK(e.transfer == Approx(0.7));  // an ideal network leaves 50 and 70
    CHECK(e.serialisation == Approx(50.0 / 70.0));
    CHECK(e.transfer_ns == 60);
    CHECK(e.serialisation_ns == 40);
    CHECK(e.communication_ns == 100);
}

TEST_CASE("useful + imbalance + communication = ranks x stepping time, and ratios stay in (0, 1]") {
    std::mt19937_64 random(5);
    int known = 0;
    for (int round = 0; round < 3000; ++round) {
        const RandomJob job = random_job(random);
        const Efficiency e = efficiency_of(job.ranks);
        std::int64_t stepping_max_ns = 0;
        for (const RankLedger& rank : job.ranks) {
            std::int64_t ns = 0;
            for (const auto& phase : rank.totals_ns) {
                for (int a = 0; a < kAccountCount; ++a)
                    ns += is_stepping(static_cast<Account>(a)) ? phase[static_cast<std::size_t>(a)] : 0;
            }
            stepping_max_ns = std::max(stepping_max_ns, ns);
        }
        REQUIRE(e.useful_ns + e.imbalance_ns + e.communication_ns ==
                static_cast<std::int64_t>(job.ranks.size()) * stepping_max_ns);
        REQUIRE(e.serialisation_ns + e.transfer_ns == e.communication_ns);
        REQUIRE(e.serialisation_ns >= 0);
        REQUIRE(e.transfer_ns >= 0);
        if (!e.known) continue;
        ++known;
        for (const double ratio : {e.load_balance, e.communication, e.serialisation, e.transfer, e.parallel}) {
            REQUIRE(ratio > 0);
            REQUIRE(ratio <= 1.0 + 1e-12);
        }
    }
    CHECK(known > 2000);
    CHECK_FALSE(efficiency_of({}).known);
}

TEST_CASE("CPU time is set against the cores' time") {
    std::vector<RankLedger> ranks = {rank_with(0, {{Phase::none, Account::other, 1000}})};
    ranks[0].cores_milli = 2000;
    ranks[0].cpu_ns = 1500;
    CHECK(efficiency_of(ranks).cpu_utilisation == Approx(0.75));
}
