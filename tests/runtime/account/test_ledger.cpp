// The rank ledger: names, counters, what the system knows, and how cores are shared out.
#include <catch2/catch.hpp>

#include <cstring>
#include <set>
#include <string>
#include <vector>

#include "runtime/account/ledger.hpp"

using namespace argosy;

namespace {

RankLedger on(const std::string& node, std::initializer_list<int> cpus, int threads) {
    RankLedger ledger;
    set_node(ledger, node);
    ledger.threads = threads;
    for (const int cpu : cpus) ledger.cpus[static_cast<std::size_t>(cpu / 64)] |= std::uint64_t{1} << (cpu % 64);
    return ledger;
}

}  // namespace

TEST_CASE("every witness, token class and verb has its own key") {
    std::set<std::string> keys;
    for (const WitnessInfo& info : witness_table()) {
        CHECK(key_of(info.witness) == info.key);
        keys.insert(std::string(info.key));
    }
    CHECK(keys.size() == kWitnessCount);
    keys.clear();
    for (int c = 0; c < kTokenClassCount; ++c) keys.insert(std::string(key_of(static_cast<TokenClass>(c))));
    CHECK(keys.size() == kTokenClassCount);
    keys.clear();
    for (int v = 0; v < kSentVerbCount; ++v) keys.insert(std::string(key_of(static_cast<SentVerb>(v))));
    CHECK(keys.size() == kSentVerbCount);
    CHECK(key_of(Witness::journal_records) == "journal_records");
    CHECK(key_of(TokenClass::rejected_draft) == "rejected_draft");
    CHECK(key_of(SentVerb::put) == "put");
}

TEST_CASE("counters add up over ranks, or take the largest, as the table says") {
    std::vector<RankLedger> ranks(3);
    count(ranks[0], Witness::preemptions, 2);
    count(ranks[2], Witness::preemptions);
    for (RankLedger& rank : ranks) count(rank, Witness::steps, 10);
    raise_to(ranks[1], Witness::rows_max, 64);
    raise_to(ranks[1], Witness::rows_max, 8);
    CHECK(joined(ranks, Witness::preemptions) == 3);
    CHECK(joined(ranks, Witness::steps) == 10);
    CHECK(joined(ranks, Witness::rows_max) == 64);
    CHECK(joined({}, Witness::steps) == 0);
}

TEST_CASE("tokens and bytes are counted where they belong and survive a copy as bytes") {
    RankLedger ledger;
    set_node(ledger, std::string(200, 'x'));
    CHECK(node_of(ledger) == std::string(kNodeNameBytes - 1, 'x'));
    count_tokens(ledger, Phase::prefill, TokenClass::discarded, 5);
    count_tokens(ledger, Phase::decode, TokenClass::discarded, 7);
    count_tokens(ledger, Phase::decode, TokenClass::delivered_output, 1);
    count_sent(ledger, SentVerb::all_to_all_v, 100);
    count_sent(ledger, SentVerb::all_gather, 11);
    std::vector<std::byte> bytes(sizeof(RankLedger));
    std::memcpy(bytes.data(), &ledger, sizeof(RankLedger));
    RankLedger copy;
    std::memcpy(&copy, bytes.data(), sizeof(RankLedger));
    CHECK(tokens_of(copy, TokenClass::discarded) == 12);
    CHECK(tokens_of(copy, TokenClass::delivered_output) == 1);
    CHECK(tokens_of(copy, TokenClass::uncached_input) == 0);
    CHECK(bytes_sent_of(copy) == 111);
}

TEST_CASE("the process is measured and its start lies before now") {
    RankLedger ledger;
    volatile double burnt = 0;
    for (int i = 0; i < 2'000'000; ++i) burnt = burnt + i;
    measure_process(ledger);
    CHECK(!node_of(ledger).empty());
    CHECK(ledger.cpu_ns > 0);
    CHECK(ledger.max_rss_bytes > 100'000);
    std::vector<RankLedger> one{ledger};
    share_cores(one);
    CHECK(one[0].cores_milli >= 1000);
    CHECK(one[0].cores_milli % 1000 == 0);
    const std::int64_t now_ns = monotonic_ns();
    const std::int64_t start_ns = process_start_ns(-1);
    CHECK(start_ns != -1);
    CHECK(start_ns <= now_ns + 20'000'000);
    CHECK(start_ns > now_ns - std::int64_t{3600} * 1'000'000'000);
}

TEST_CASE("blame that finds no room is kept in one sum per waiting account") {
    std::vector<BlameEntry> blames;
    for (int r = 0; r < 100; ++r) {
        blames.push_back({.ns = 1000 + r,
                          .longest_ns = 10 + r,
                          .waits = 2,
                          .rank = r,
                          .expert = -1,
                          .waiting = r % 2 == 0 ? Account::wait_exchange : Account::barrier,
                          .account = Account::experts});
    }
    RankLedger ledger;
    set_blame(ledger, blames);
    CHECK(ledger.blame[0].rank == 99);
    CHECK(blamed_ns(ledger, Account::wait_exchange) == 50 * 1000 + 2450);
    CHECK(blamed_ns(ledger, Account::barrier) == 50 * 1000 + 2500);
    CHECK(blamed_ns(ledger, Account::wait_step) == 0);
    std::int64_t waits = 0, nobodys = 0;
    for (const BlameEntry& entry : ledger.blame) {
        waits += entry.waits;
        nobodys += entry.ns > 0 && entry.rank < 0;
        if (entry.ns > 0 && entry.rank < 0) CHECK(entry.longest_ns > 60);
    }
    CHECK(waits == 200);
    CHECK(nobodys == 2);

    blames.resize(kBlameMax);
    set_blame(ledger, blames);
    for (const BlameEntry& entry : ledger.blame) CHECK(entry.rank >= 0);
}

TEST_CASE("take_clock ends the life where the clock is settled") {
    AccountClock clock(1000);
    clock.switch_to(Account::experts, 1400);
    RankLedger ledger;
    take_clock(ledger, clock, 1500);
    CHECK(ledger.start_ns == 1000);
    CHECK(ledger.end_ns == 1500);
    CHECK(ledger.life_ns() == 500);
    CHECK(ledger.totals_ns[0][static_cast<int>(Account::experts)] == 100);
}

TEST_CASE("the cores of a node are charged once, however many ranks may run on them") {
    std::vector<RankLedger> ranks = {on("a", {0, 1}, 1), on("a", {0, 1}, 1), on("b", {0, 1, 2, 3}, 4)};
    share_cores(ranks);
    CHECK(ranks[0].cores_milli == 1000);
    CHECK(ranks[1].cores_milli == 1000);
    CHECK(ranks[2].cores_milli == 4000);

    ranks = {on("a", {0, 1, 2, 70}, 1), on("a", {0, 1, 2, 70}, 1), on("a", {0, 1, 2, 70}, 1)};
    share_cores(ranks);
    CHECK(ranks[0].cores_milli + ranks[1].cores_milli + ranks[2].cores_milli == 4000);
    for (const RankLedger& rank : ranks) CHECK(std::abs(rank.cores_milli - 1333) <= 1);

    ranks = {on("a", {}, 3)};
    share_cores(ranks);
    CHECK(ranks[0].cores_milli == 3000);
}

TEST_CASE("ranks share cores when threads outnumber the CPUs they are confined to") {
    CHECK_FALSE(ranks_share_cores(std::vector{on("a", {0}, 1), on("a", {1}, 1)}));
    CHECK_FALSE(ranks_share_cores(std::vector{on("a", {0, 1}, 1), on("a", {0, 1}, 1)}));
    CHECK(ranks_share_cores(std::vector{on("a", {0, 1}, 1), on("a", {0, 1}, 1), on("a", {0, 1}, 1)}));
    CHECK(ranks_share_cores(std::vector{on("a", {0}, 1), on("a", {0}, 1), on("a", {1, 2, 3}, 1)}));
    CHECK(ranks_share_cores(std::vector{on("a", {0}, 2)}));
    CHECK_FALSE(ranks_share_cores(std::vector{on("a", {0}, 1), on("b", {0}, 1)}));
    CHECK_FALSE(ranks_share_cores(std::vector{on("a", {}, 8)}));
}
