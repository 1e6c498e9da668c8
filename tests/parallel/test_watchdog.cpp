// The judgement over pulses, and a watchdog's thread over slots in plain memory.
#include <catch2/catch.hpp>
#include <chrono>
#include <future>
#include <thread>

#include "parallel/watchdog.hpp"

using namespace argosy;
using Catch::Matchers::Contains;

namespace {

constexpr std::int64_t kLimit = 1000;

Pulse pulse(int rank, std::int64_t beat, std::int64_t progress, Account account = Account::experts,
            std::uint64_t step = 0) {
    return {rank, 100 + rank, beat, progress, step, account, true};
}

}  // namespace

TEST_CASE("judge: a rank that lives and moves is left alone") {
    CHECK_FALSE(judge({}, 5000, kLimit));
    CHECK_FALSE(judge(std::vector{pulse(0, 4990, 4200), pulse(1, 4999, 4000)}, 5000, kLimit));
}

TEST_CASE("judge: silence comes first, the longest silent rank is named") {
    const auto verdict =
        judge(std::vector{pulse(0, 4990, 10), pulse(1, 3900, 4800), pulse(2, 3800, 4800)}, 5000, kLimit);
    REQUIRE(verdict);
    CHECK(verdict->world_rank == 2);
    CHECK(verdict->silent);
    CHECK(verdict->for_ns == 1200);
    Pulse ended = pulse(2, 0, 0);
    ended.running = false;
    CHECK_FALSE(judge(std::vector{pulse(0, 4990, 4900), ended}, 5000, kLimit));
}

TEST_CASE("judge: the one that computes is blamed, not those that wait for it") {
    // Rank 1 began to wait before rank 0 got stuck.
    const auto verdict =
        judge(std::vector{pulse(0, 5000, 3990), pulse(1, 5000, 3900, Account::dispatch_combine)}, 5000, kLimit);
    REQUIRE(verdict);
    CHECK(verdict->world_rank == 0);
    CHECK_FALSE(verdict->silent);
    // Rank 0 still has a little time; nobody speaks.
    CHECK_FALSE(
        judge(std::vector{pulse(0, 5000, 4100), pulse(1, 5000, 3900, Account::dispatch_combine)}, 5000, kLimit));
    // Waiting on a rank that moves is no fault, however long.
    CHECK_FALSE(judge(std::vector{pulse(0, 5000, 4900), pulse(1, 5000, 100, Account::leaf_sum)}, 5000, kLimit));
    // All wait (for another node): its watchdogs have one limit to speak, then ours does; the rank with the fewest
    // steps.
    const std::vector all_wait = {pulse(0, 5000, 3800, Account::leaf_sum, 7),
                                  pulse(1, 5000, 3800, Account::leaf_sum, 6)};
    CHECK_FALSE(judge(all_wait, 5000, kLimit));
    const std::vector all_wait_long = {pulse(0, 5900, 3800, Account::leaf_sum, 7),
                                       pulse(1, 5900, 3800, Account::leaf_sum, 6)};
    const auto verdict_late = judge(all_wait_long, 5900, kLimit);
    REQUIRE(verdict_late);
    CHECK(verdict_late->world_rank == 1);
    // Without work a rank may rest for ever.
    CHECK_FALSE(judge(std::vector{pulse(0, 5900, 100, Account::no_work)}, 5900, kLimit));
}

TEST_CASE("watchdog: the sentence names rank, process, node and account") {
    const Verdict verdict{3, true, 300'000'000'000, Account::experts, 812, 4711};
    CHECK_THAT(describe(verdict, "node7"), Contains("Rank 3 (process 4711 on node7)") && Contains("300 s") &&
                                               Contains("experts") && Contains("812"));
}

TEST_CASE("watchdog: a thread speaks once when progress ends, and not while it goes on") {
    std::vector<HeartbeatSlot> slots(2);
    std::promise<std::string> spoken;
    std::atomic<int> times = 0;
    Watchdog::Options options;
    options.limit_ns = 400'000'000;
    options.node = "here";
    options.end_process = [&](const std::string& sentence) {
        if (times++ == 0) spoken.set_value(sentence);
    };
    Watchdog watchdog(slots, 1, 5, options);
    for (int i = 0; i < 20; ++i) {
        watchdog.progress(Account::attention, static_cast<std::uint64_t>(i));
        std::this_thread::sleep_for(std::chrono::milliseconds(40));
    }
    CHECK(times == 0);
    auto sentence = spoken.get_future();
    REQUIRE(sentence.wait_for(std::chrono::seconds(20)) == std::future_status::ready);
    CHECK_THAT(sentence.get(), Contains("Rank 5") && Contains("on here") && Contains("step 19"));
    CHECK(times == 1);
    const std::vector<Pulse> pulses = read_pulses(slots);
    CHECK_FALSE(pulses[0].running);
    CHECK(pulses[1].running);
    CHECK(pulses[1].account == Account::attention);
}
