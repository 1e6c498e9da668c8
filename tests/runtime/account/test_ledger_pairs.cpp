// The cost of the ledger from pairs of steps.
#include <catch2/catch.hpp>

#include "runtime/account/ledger_pairs.hpp"

using namespace argosy;

TEST_CASE("steps with the ledger that are 2 % slower cost 2 %, whatever drifts") {
    LedgerPairs pairs;
    for (std::uint64_t step = 0; step < 400; ++step) {
        const double drift = 1e6 + 1000.0 * static_cast<double>(step);
        pairs.add(step, 8, static_cast<std::int64_t>(LedgerPairs::keeps(step) ? drift * 1.02 : drift));
    }
    REQUIRE(pairs.cost());
    CHECK(pairs.cost()->pairs == 200);
    CHECK(pairs.cost()->median == Approx(0.02).margin(0.001));
    CHECK(pairs.cost()->lower_quartile <= pairs.cost()->median);
    CHECK(pairs.cost()->upper_quartile >= pairs.cost()->median);
}

TEST_CASE("only neighbours of one size are a pair") {
    LedgerPairs pairs;
    pairs.add(0, 8, 100);
    pairs.add(1, 7, 100);  // another size
    pairs.add(3, 8, 100);  // its partner did not run
    pairs.add(4, 8, 100);
    pairs.add(7, 8, 100);  // partner of 6
    CHECK(!pairs.cost());
    pairs.add(8, 8, 110);  // with the ledger
    pairs.add(9, 8, 100);
    REQUIRE(pairs.cost());
    CHECK(pairs.cost()->pairs == 1);
    CHECK(pairs.cost()->median == Approx(0.1));
    pairs.add(10, 8, 100);
    pairs.add(11, 8, 120);  // with the ledger, second of its pair
    CHECK(pairs.cost()->pairs == 2);
    CHECK(pairs.cost()->upper_quartile == Approx(0.1));
}

TEST_CASE("in any four steps two keep the ledger, one first and one second of its pair") {
    int kept = 0;
    for (std::uint64_t step = 0; step < 4; ++step) kept += LedgerPairs::keeps(step);
    CHECK(kept == 2);
    CHECK(LedgerPairs::keeps(0) != LedgerPairs::keeps(2));
}
