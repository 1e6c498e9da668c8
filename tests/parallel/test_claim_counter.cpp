// Claims: every request is handed out once, whatever the ranks' pace, and everyone is told the end.
#include <catch2/catch.hpp>
#include <chrono>
#include <random>
#include <thread>

#include "kernels/base/error.hpp"
#include "parallel/claim_counter.hpp"
#include "tests/parallel/ranks.hpp"

using namespace argosy;

namespace {

// A leader's loop as the engine has it: works on one run while the next is under way.
std::vector<ClaimRun> claim_all(MpiSession& session, ClaimCounter& counter, bool leads) {
    std::mt19937 random(static_cast<unsigned>(session.rank()));
    std::vector<ClaimRun> mine;
    if (leads) counter.ask();
    while ((leads && !counter.exhausted()) || !counter.all_told()) {
        counter.serve();
        if (!leads) continue;
        const auto run = counter.poll();
        if (run && !run->empty()) {
            mine.push_back(*run);
            counter.ask();
            std::this_thread::sleep_for(std::chrono::microseconds(random() % 300));
        } else {
            std::this_thread::yield();
        }
    }
    return mine;
}

std::vector<ClaimRun> all_runs(MpiSession& session, const std::vector<ClaimRun>& mine) {
    std::vector<std::int64_t> counts(static_cast<std::size_t>(session.size()));
    const auto bytes = static_cast<std::int64_t>(mine.size() * sizeof(ClaimRun));
    session.world().all_gather(&bytes, sizeof bytes, counts.data());
    std::int64_t total = 0;
    for (const std::int64_t count : counts) total += count;
    std::vector<ClaimRun> runs(static_cast<std::size_t>(total) / sizeof(ClaimRun));
    session.world().all_gather_v(mine.data(), runs.data(), counts);
    std::sort(runs.begin(), runs.end(), [](const ClaimRun& a, const ClaimRun& b) { return a.begin < b.begin; });
    return runs;
}

}  // namespace

TEST_CASE("claims: guided lengths fall to the minimum and never pass the end") {
    CHECK(guided_run_length(1200, 4, 8) == 100);
    CHECK(guided_run_length(60, 4, 8) == 8);
    CHECK(guided_run_length(5, 4, 8) == 5);
    CHECK(guided_run_length(0, 4, 8) == 0);
}

TEST_CASE("claims: runs partition the requests") {
    MpiSession session;
    for (const RankLayout& layout : test::moe_layouts(session.size())) {
        const std::vector<int> leaders = group_leaders(layout);
        const bool leads = std::find(leaders.begin(), leaders.end(), session.rank()) != leaders.end();
        for (const std::int64_t total : {0, 1, 3, 100, 1001}) {
            ClaimCounter counter(session, leaders, total, 4);
            const std::vector<ClaimRun> runs = all_runs(session, claim_all(session, counter, leads));
            std::int64_t next = 0;
            for (const ClaimRun& run : runs) {
                REQUIRE(run.begin == next);
                REQUIRE((run.count() >= 4 || run.end == total));
                next = run.end;
            }
            REQUIRE(next == total);
            CHECK(counter.exhausted() == leads);
            if (session.rank() == 0) CHECK(counter.next() == total);
            if (leads) {  // asking again after the end is harmless, and says the same
                counter.ask();
                CHECK(counter.poll() == ClaimRun{});
            }
        }
    }
}

TEST_CASE("claims: after stop everyone hears that nothing is left") {
    MpiSession session;
    std::vector<int> leaders;
    for (int r = 0; r < session.size(); ++r) leaders.push_back(r);
    ClaimCounter counter(session, leaders, 1'000'000, 10);
    std::int64_t claimed = 0;
    counter.ask();
    int polls = 0;
    while (!counter.exhausted() || !counter.all_told()) {
        counter.serve();
        if (const auto run = counter.poll()) {
            claimed += run->count();
            counter.ask();
        }
        if (++polls == 3) counter.stop();
    }
    std::vector<std::int64_t> each(static_cast<std::size_t>(session.size()));
    session.world().all_gather(&claimed, sizeof claimed, each.data());
    std::int64_t sum = 0;
    for (const std::int64_t c : each) sum += c;
    CHECK(sum < 1'000'000);
    if (session.rank() == 0) CHECK(sum == counter.next());
}

TEST_CASE("claims: a counter may end with an answer under way") {
    MpiSession session;
    ClaimCounter counter(session, {session.size() - 1}, 10, 1);
    if (session.rank() == session.size() - 1) counter.ask();
    session.world().barrier();
}

TEST_CASE("claims: nonsense is refused") {
    MpiSession session;
    CHECK_THROWS_AS(ClaimCounter(session, {}, 10, 1), Error);
    CHECK_THROWS_AS(ClaimCounter(session, {0}, 10, 0), Error);
}
