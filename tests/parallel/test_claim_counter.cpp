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
    std::int64_t unfinished = 0;
    while ((leads && !counter.exhausted()) || !counter.all_told()) {
        counter.serve();
        if (!leads) continue;
        const auto run = counter.poll();
        if (run && !run->empty()) {
            mine.push_back(*run);
            unfinished += run->count();
        }
        counter.ask(unfinished);
        unfinished = std::max<std::int64_t>(0, unfinished - static_cast<std::int64_t>(random() % 9));
        std::this_thread::sleep_for(std::chrono::microseconds(random() % 300));
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

TEST_CASE("claims: within its share a group gets runs of the guided length, none below the minimum but the last") {
    ClaimBook book{1203, 8, 0, std::vector<std::int64_t>(4)};
    CHECK(hand_out(book, 2, 0) == ClaimRun{0, 100});
    std::int64_t last = 100;
    for (int step = 0; book.next < book.total; ++step) {
        REQUIRE(step < 200);
        const auto run = hand_out(book, step % 4, 0);  // whoever asks has answered all it had
        REQUIRE(run);
        CHECK((run->count() >= 8 || run->end == 1203));
        CHECK(run->count() <= last);
        last = run->count();
    }
}

TEST_CASE("claims: no group gets beyond its share of what is unfinished") {
    ClaimBook book{128, 8, 0, {0, 0}};
    // One leader asks each step, the other in every third: both have all of their share under way in the end.
    std::int64_t held[2] = {0, 0};
    bool later = false;
    for (int step = 0; book.next < book.total; ++step) {
        REQUIRE(step < 100);
        for (const int leader : {0, 1}) {
            if (leader == 1 && step % 3 != 0) continue;
            const auto run = hand_out(book, leader, held[leader]);
            later = later || !run;
            if (run) held[leader] += run->count();
        }
    }
    CHECK(held[0] == 64);
    CHECK(held[1] == 64);
    CHECK(later);
    CHECK(hand_out(book, 0, held[0]) == ClaimRun{128, 128});
}

TEST_CASE("claims: whoever is done gets more, however little is left and whatever the others hold") {
    ClaimBook book{100, 8, 97, {50, 50, 50}};
    CHECK(hand_out(book, 1, 52) == std::nullopt);
    CHECK(hand_out(book, 1, 0) == ClaimRun{97, 100});
    book = {100, 8, 99, {1, 1, 0}};
    CHECK(hand_out(book, 2, 0) == ClaimRun{99, 100});
    CHECK(hand_out(book, 2, 1) == ClaimRun{100, 100});
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
                next = run.end;
            }
            REQUIRE(next == total);
            CHECK(counter.exhausted() == leads);
            if (session.rank() == 0) CHECK(counter.next() == total);
            if (leads) {  // asking again after the end is harmless, and says the same
                counter.ask(0);
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
    int polls = 0;
    while (!counter.exhausted() || !counter.all_told()) {
        counter.serve();
        if (const auto run = counter.poll()) {
            claimed += run->count();
            counter.ask(0);
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
    if (session.rank() == session.size() - 1) {
        CHECK(counter.poll() == ClaimRun{0, 3});
        counter.ask(3);
    }
    session.world().barrier();
}

TEST_CASE("claims: nonsense is refused") {
    MpiSession session;
    CHECK_THROWS_AS(ClaimCounter(session, {}, 10, 1), Error);
    CHECK_THROWS_AS(ClaimCounter(session, {0}, 10, 0), Error);
}
