// Waiting between real ranks: who sleeps is blamed by those that wait, for as long as it slept.
#include <catch2/catch.hpp>
#include <chrono>
#include <thread>

#include "parallel/node_waits.hpp"
#include "tests/parallel/ranks.hpp"

using namespace argosy;

namespace {

constexpr std::int64_t kNap_ns = 60'000'000;

void nap(AccountClock& clock) {
    const InAccount account(clock, Account::sample);
    std::this_thread::sleep_for(std::chrono::nanoseconds(kNap_ns));
}

std::int64_t blamed_on(const NodeWaits& waits, int rank, Account account) {
    std::int64_t ns = 0;
    for (const Blame& blame : waits.blames()) {
        if (blame.cause.rank == rank && blame.cause.account == account) ns += blame.longest_ns;
    }
    return ns;
}

}  // namespace

TEST_CASE("places on a node follow the world ranks") {
    const std::vector<std::string> names = {"b", "a", "b", "c", "b"};
    CHECK(places_on_node(names, 2) == std::vector<int>{0, -1, 1, -1, 2});
    CHECK(places_on_node(names, 3) == std::vector<int>{-1, -1, -1, 0, -1});
}

TEST_CASE("the rank that sleeps before a verb is blamed by all others of the group") {
    MpiSession session;
    const int ranks = session.size();
    RankLayout layout;
    layout.dp = ranks;
    layout.ep = ranks;
    Groups groups = make_groups(session, layout);
    NodeMemory memory(session);
    AccountClock clock(monotonic_ns(), Account::other);
    clock.switch_to(Account::step_control);
    NodeWaits waits(session, groups, memory, clock);
    Communicator& stage = *groups.stage;
    std::vector<std::int64_t> data(static_cast<std::size_t>(ranks));
    for (int late = 0; late < ranks; ++late) {
        stage.barrier();
        if (stage.rank() == late) nap(clock);
        const std::int64_t own = stage.rank();
        stage.all_gather(&own, sizeof own, data.data());
    }
    clock.settle(monotonic_ns());
    std::int64_t blamed_ns = 0, waited_ns = 0;
    for (const Blame& blame : waits.blames()) blamed_ns += blame.ns;
    for (const auto& phase : clock.totals_ns()) {
        for (int a = 0; a < kAccountCount; ++a) {
            REQUIRE(phase[static_cast<std::size_t>(a)] >= 0);
            if (is_waiting(static_cast<Account>(a))) waited_ns += phase[static_cast<std::size_t>(a)];
        }
    }
    CHECK(blamed_ns == waited_ns);
    for (int late = 0; late < ranks; ++late) {
        CAPTURE(late, session.rank());
        const std::int64_t ns = blamed_on(waits, late, Account::sample);
        if (late == session.rank()) {
            CHECK(ns == 0);
        } else {
            CHECK(ns > kNap_ns * 8 / 10);
            CHECK(ns < kNap_ns * 5);  // other work on the machine can only make it longer
        }
    }
}

TEST_CASE("who gets nothing from a late rank does not wait for it") {
    MpiSession session;
    if (session.size() < 2) return;
    RankLayout layout;
    layout.dp = layout.ep = session.size();
    Groups groups = make_groups(session, layout);
    NodeMemory memory(session);
    AccountClock clock(monotonic_ns(), Account::dispatch_combine);
    NodeWaits waits(session, groups, memory, clock);
    Communicator& stage = *groups.stage;
    stage.barrier();
    // The last rank sleeps, and exchanges with rank 0 only.
    const int last = stage.size() - 1;
    if (stage.rank() == last) nap(clock);
    std::vector<std::int64_t> counts(static_cast<std::size_t>(stage.size()), 0);
    const bool takes_part = stage.rank() == 0 || stage.rank() == last;
    if (takes_part) counts[static_cast<std::size_t>(stage.rank() == 0 ? last : 0)] = 8;
    const std::int64_t send = 1;
    std::int64_t received = 0;
    stage.all_to_all_v(&send, counts, &received, counts);
    const std::int64_t ns = blamed_on(waits, last, Account::sample);
    if (stage.rank() == 0) {
        CHECK(ns > kNap_ns * 8 / 10);
    } else {
        CHECK(ns == 0);
    }
    stage.barrier();
}

TEST_CASE("verbs that are ignored count for nothing, and those after listening again do") {
    MpiSession session;
    if (session.size() == 1) return;
    RankLayout layout;
    layout.dp = session.size();
    layout.ep = session.size();
    Groups groups = make_groups(session, layout);
    NodeMemory memory(session);
    AccountClock clock(monotonic_ns(), Account::other);
    clock.switch_to(Account::step_control);
    NodeWaits waits(session, groups, memory, clock);
    Communicator& stage = *groups.stage;
    const auto wait_for_rank_0 = [&] {
        stage.barrier();
        if (stage.rank() == 0) nap(clock);
        stage.barrier();
    };
    waits.ignore();
    wait_for_rank_0();
    CHECK(blamed_on(waits, 0, Account::sample) == 0);
    waits.listen();
    wait_for_rank_0();
    if (session.rank() != 0) CHECK(blamed_on(waits, 0, Account::sample) > kNap_ns * 8 / 10);
}
