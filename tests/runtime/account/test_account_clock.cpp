// The ledger's clock: accounts partition a life, scopes come back, phases do not mix, and a switch is cheap.
#include <catch2/catch.hpp>

#include <algorithm>
#include <cstdio>
#include <random>
#include <set>
#include <string>

#include "kernels/base/account_clock.hpp"

using namespace argosy;

namespace {

std::int64_t at(const AccountClock& clock, Phase phase, Account account) {
    return clock.totals_ns()[static_cast<std::size_t>(phase)][static_cast<std::size_t>(account)];
}

std::int64_t sum_of(const AccountClock& clock) {
    std::int64_t sum = 0;
    for (const auto& phase : clock.totals_ns()) {
        for (const std::int64_t ns : phase) sum += ns;
    }
    return sum;
}

}  // namespace

TEST_CASE("a switch adds the time since the last one to the account that ends") {
    AccountClock clock(100);
    REQUIRE(clock.current() == Account::launch);
    REQUIRE(clock.switch_to(Account::attention, 150) == Account::launch);
    REQUIRE(clock.switch_to(Account::experts, 157) == Account::attention);
    clock.set_phase(Phase::prefill, 160);
    REQUIRE(clock.switch_to(Account::wait_leaf_sum, 171) == Account::experts);
    clock.set_phase(Phase::decode, 171);
    clock.settle(200);
    CHECK(at(clock, Phase::none, Account::launch) == 50);
    CHECK(at(clock, Phase::none, Account::attention) == 7);
    CHECK(at(clock, Phase::none, Account::experts) == 3);
    CHECK(at(clock, Phase::prefill, Account::experts) == 11);
    CHECK(at(clock, Phase::prefill, Account::wait_leaf_sum) == 0);
    CHECK(at(clock, Phase::decode, Account::wait_leaf_sum) == 29);
    CHECK(clock.life_ns() == 100);
    CHECK(sum_of(clock) == 100);
}

TEST_CASE("accounts partition the life under any schedule, at every settling") {
    std::mt19937_64 random(7);
    for (int round = 0; round < 2000; ++round) {
        const auto start_ns = static_cast<std::int64_t>(random() % 1'000'000'000);
        AccountClock clock(start_ns, static_cast<Account>(random() % kAccountCount));
        std::int64_t now_ns = start_ns;
        for (int i = 0; i < 50; ++i) {
            now_ns += static_cast<std::int64_t>(random() % 1000);
            switch (random() % 3) {
                case 0:
                    clock.switch_to(static_cast<Account>(random() % kAccountCount), now_ns);
                    break;
                case 1:
                    clock.set_phase(static_cast<Phase>(random() % kPhaseCount), now_ns);
                    break;
                default:
                    clock.settle(now_ns);
            }
            REQUIRE(clock.life_ns() == now_ns - start_ns);
            REQUIRE(sum_of(clock) == now_ns - start_ns);
        }
    }
}

TEST_CASE("scopes nest and put the former account back, also when an exception leaves them") {
    AccountClock clock(monotonic_ns(), Account::other);
    {
        const InAccount outer(clock, Account::attention);
        CHECK(clock.current() == Account::attention);
        try {
            const InAccount inner(clock, Account::leaf_sum);
            CHECK(clock.current() == Account::leaf_sum);
            throw 1;
        } catch (int) {
        }
        CHECK(clock.current() == Account::attention);
    }
    CHECK(clock.current() == Account::other);
    clock.settle(monotonic_ns());
    CHECK(sum_of(clock) == clock.life_ns());
}

TEST_CASE("the monotonic clock goes forward and accounts of real time are near it") {
    const std::int64_t start_ns = monotonic_ns();
    AccountClock clock(start_ns);
    clock.switch_to(Account::experts);
    while (monotonic_ns() - start_ns < 5'000'000) {
    }
    clock.switch_to(Account::other);
    const std::int64_t end_ns = monotonic_ns();
    clock.settle(end_ns);
    CHECK(clock.life_ns() == end_ns - start_ns);
    CHECK(at(clock, Phase::none, Account::experts) > 2'000'000);
}

TEST_CASE("every account and phase has its own name") {
    std::set<std::string> names;
    for (int a = 0; a < kAccountCount; ++a) names.insert(std::string(name_of(static_cast<Account>(a))));
    CHECK(names.size() == kAccountCount);
    CHECK(names.count("?") == 0);
    std::set<std::string> phases;
    for (int p = 0; p < kPhaseCount; ++p) phases.insert(std::string(name_of(static_cast<Phase>(p))));
    CHECK(phases.size() == kPhaseCount);
    CHECK(phases.count("?") == 0);
}

TEST_CASE("waiting is booked out of the account it happened in, by phase, and the life stays whole") {
    AccountClock clock(100);
    clock.set_phase(Phase::decode, 100);
    clock.switch_to(Account::dispatch_combine, 150);
    clock.book_wait(30, 200);  // 50 ns in a verb, 30 of them waiting
    clock.switch_to(Account::leaf_sum, 210);
    clock.book_wait(5, 217);
    clock.set_phase(Phase::none, 217);
    clock.switch_to(Account::output, 220);
    clock.book_wait(4, 224);
    clock.settle(230);
    CHECK(at(clock, Phase::decode, Account::dispatch_combine) == 30);
    CHECK(at(clock, Phase::decode, Account::wait_exchange) == 30);
    CHECK(at(clock, Phase::decode, Account::leaf_sum) == 2);
    CHECK(at(clock, Phase::decode, Account::wait_leaf_sum) == 5);
    CHECK(at(clock, Phase::none, Account::barrier) == 4);
    CHECK(at(clock, Phase::none, Account::output) == 6);
    CHECK(clock.life_ns() == 130);
    for (int a = 0; a < kAccountCount; ++a) {
        const auto account = static_cast<Account>(a);
        CHECK(is_waiting(waiting_account(account)));
        if (is_waiting(account)) CHECK(name_of(account).find_first_of("wb") == 0);
    }
}

TEST_CASE("the longest stretch since it was last asked to begin") {
    AccountClock clock(0);
    clock.switch_to(Account::attention, 10);
    clock.switch_to(Account::experts, 40);
    clock.switch_to(Account::attention, 60);
    CHECK(clock.longest_stretch(85).account == Account::attention);
    CHECK(clock.longest_stretch(85).ns == 30);
    clock.begin_stretches();
    CHECK(clock.longest_stretch(90).ns == 5);
    clock.switch_to(Account::sample, 91);
    CHECK(clock.longest_stretch(200).account == Account::sample);
    CHECK(clock.longest_stretch(200).ns == 109);
}

TEST_CASE("a switch costs little") {
    AccountClock clock(monotonic_ns());
    constexpr int kSwitches = 200'000;
    double best_ns = 1e9;  // of several rounds: other work on the machine can only make it slower
    for (int round = 0; round < 7; ++round) {
        const std::int64_t start_ns = monotonic_ns();
        for (int i = 0; i < kSwitches; ++i) clock.switch_to((i & 1) ? Account::experts : Account::attention);
        best_ns = std::min(best_ns, static_cast<double>(monotonic_ns() - start_ns) / kSwitches);
    }
    std::printf("account clock: %.1f ns per switch (goal 50)\n", best_ns);
    CHECK(best_ns < 500);
}
