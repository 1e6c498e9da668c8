// What a wait meter books, with two or three ranks' meters in one process and a clock of round numbers.
#include <algorithm>
#include <catch2/catch.hpp>
#include <csignal>
#include <cstdio>
#include <deque>

#include "parallel/wait_meter.hpp"

using namespace argosy;

namespace {

// Ranks of one node, all in one group of each kind that is used.
struct Node {
    explicit Node(int ranks) : memory(WaitMeter::bytes_for(ranks) + 64) {
        const auto address = reinterpret_cast<std::uintptr_t>(memory.data());
        void* aligned = memory.data() + (64 - address % 64) % 64;
        for (int r = 0; r < ranks; ++r) {
            clocks.emplace_back(0, Account::other);
            meters.emplace_back(WaitMeter::boards_in(aligned, ranks), r, r + 10, clocks.back());
        }
    }
    void group(GroupKind kind, const std::vector<int>& members) {
        std::vector<int> world;
        for (const int m : members) world.push_back(m + 10);
        for (std::size_t i = 0; i < members.size(); ++i)
            meters[static_cast<std::size_t>(members[i])].set_group(kind, static_cast<int>(i), members, world);
    }
    std::int64_t ns(int rank, Account account) const {
        std::int64_t sum = 0;
        for (const auto& phase : clocks[static_cast<std::size_t>(rank)].totals_ns())
            sum += phase[static_cast<std::size_t>(account)];
        return sum;
    }
    std::vector<std::byte> memory;
    std::deque<AccountClock> clocks;
    std::deque<WaitMeter> meters;
};

}  // namespace

TEST_CASE("a verb's wait lasts to the last arrival, never longer than the verb") {
    CHECK(wait_part(100, 200, {}) == WaitPart{0, -1});
    const std::vector<Arrival> others = {{1, 130}, {2, 170}, {3, 90}};
    CHECK(wait_part(100, 200, others) == WaitPart{70, 2});
    CHECK(wait_part(100, 150, others) == WaitPart{50, 2});  // who came after this rank had left was not waited for
    CHECK(wait_part(180, 200, others) == WaitPart{0, -1});
}

TEST_CASE("the early rank waits, the late one does not, and the blame says what kept it") {
    Node node(2);
    node.group(GroupKind::stage, {0, 1});
    node.clocks[0].switch_to(Account::dispatch_combine, 100);
    node.meters[0].enter(GroupKind::stage, 100);
    node.clocks[1].switch_to(Account::experts, 50);
    node.clocks[1].note_expert(7);
    node.clocks[1].switch_to(Account::dispatch_combine, 340);
    node.meters[1].enter(GroupKind::stage, 350);
    node.meters[1].leave(GroupKind::stage, 350, 380, {});
    node.meters[0].leave(GroupKind::stage, 100, 390, {});
    CHECK(node.ns(0, Account::wait_exchange) == 250);
    CHECK(node.ns(0, Account::dispatch_combine) == 40);
    CHECK(node.ns(1, Account::wait_exchange) == 0);
    const std::vector<Blame> expected = {{Account::wait_exchange, {11, 7, Account::experts}, 250, 250, 1}};
    CHECK(node.meters[0].blames() == expected);
    CHECK(node.meters[1].blames().empty());
}

TEST_CASE("a rank that is late because it waited hands the blame on") {
    // Rank 2 computes for long; rank 1 waits for it in their leaf sum and both come late to the stage, where rank 0
    // waits; rank 1 is the last by a little, rank 2 the cause.
    Node node(3);
    node.group(GroupKind::stage, {0, 1, 2});
    node.group(GroupKind::tp, {1, 2});
    for (int r : {1, 2}) node.clocks[static_cast<std::size_t>(r)].switch_to(Account::attention, 0);
    node.clocks[0].switch_to(Account::step_control, 0);
    node.meters[0].enter(GroupKind::stage, 100);
    node.clocks[1].switch_to(Account::leaf_sum, 100);
    node.meters[1].enter(GroupKind::tp, 100);
    node.clocks[2].switch_to(Account::leaf_sum, 1000);
    node.meters[2].enter(GroupKind::tp, 1000);
    node.meters[2].leave(GroupKind::tp, 1000, 1010, {});
    node.meters[1].leave(GroupKind::tp, 100, 1020, {});
    for (int r : {2, 1}) {
        node.clocks[static_cast<std::size_t>(r)].switch_to(Account::dispatch_combine, 1030);
        node.meters[static_cast<std::size_t>(r)].enter(GroupKind::stage, 1100 - 10 * r);
    }
    node.meters[0].leave(GroupKind::stage, 100, 1200, {});
    const std::vector<Blame> expected = {{Account::wait_step, {12, -1, Account::attention}, 990, 990, 1}};
    CHECK(node.meters[0].blames() == expected);
    CHECK(node.meters[1].blames().at(0).cause == Cause{12, -1, Account::attention});
}

TEST_CASE("a rank that was held up in the former verb of the group hands the blame on") {
    // Rank 1 needs rank 2's rows in the first verb and waits 900 for them; rank 0 needs none, leaves at once, and waits
    // in the second verb for rank 1, the last to come.
    Node node(3);
    node.group(GroupKind::stage, {0, 1, 2});
    for (AccountClock& clock : node.clocks) clock.switch_to(Account::dispatch_combine, 0);
    node.clocks[2].switch_to(Account::experts, 0);
    node.clocks[2].note_expert(5);
    node.meters[0].enter(GroupKind::stage, 100);
    node.meters[1].enter(GroupKind::stage, 100);
    const std::vector<std::uint8_t> without_2 = {1, 1, 0};
    node.meters[0].leave(GroupKind::stage, 100, 110, without_2);
    node.clocks[0].switch_to(Account::leaf_sum, 115);
    node.meters[0].enter(GroupKind::stage, 120);
    node.clocks[2].switch_to(Account::dispatch_combine, 1000);
    node.meters[2].enter(GroupKind::stage, 1000);
    node.meters[2].leave(GroupKind::stage, 1000, 1005, {});
    node.meters[1].leave(GroupKind::stage, 100, 1010, {});
    node.meters[2].enter(GroupKind::stage, 1020);
    node.meters[1].enter(GroupKind::stage, 1050);
    node.meters[0].leave(GroupKind::stage, 120, 1060, {});
    const std::vector<Blame> expected = {{Account::wait_leaf_sum, {12, 5, Account::experts}, 930, 930, 1}};
    CHECK(node.meters[0].blames() == expected);
}

TEST_CASE("a rank is never told that it waited for itself") {
    // Rank 0 is late in the first verb, so rank 1's lateness in a group of another kind is rank 0's doing; when rank 0
    // itself waits for rank 1 there, rank 1 is to blame, with what it did itself.
    Node node(2);
    node.group(GroupKind::stage, {0, 1});
    node.group(GroupKind::tp, {0, 1});
    node.clocks[1].switch_to(Account::leaf_sum, 0);
    node.meters[1].enter(GroupKind::tp, 0);
    node.clocks[0].switch_to(Account::leaf_sum, 500);
    node.meters[0].enter(GroupKind::tp, 500);
    node.meters[0].leave(GroupKind::tp, 500, 510, {});
    node.meters[1].leave(GroupKind::tp, 0, 510, {});
    node.clocks[0].switch_to(Account::dispatch_combine, 520);
    node.meters[0].enter(GroupKind::stage, 520);
    node.clocks[1].switch_to(Account::sample, 520);
    node.clocks[1].switch_to(Account::dispatch_combine, 600);
    node.meters[1].enter(GroupKind::stage, 610);
    node.meters[0].leave(GroupKind::stage, 520, 620, {});
    const std::vector<Blame> expected = {{Account::wait_exchange, {11, -1, Account::sample}, 90, 90, 1}};
    CHECK(node.meters[0].blames() == expected);
}

TEST_CASE("members that exchange nothing, sit on other nodes or have not come are not waited for") {
    Node node(3);
    node.meters[0].set_group(GroupKind::stage, 0, {0, 1, 2, -1}, {10, 11, 12, 99});
    node.meters[1].set_group(GroupKind::stage, 1, {0, 1, 2, -1}, {10, 11, 12, 99});
    node.meters[0].enter(GroupKind::stage, 100);
    node.meters[1].enter(GroupKind::stage, 150);
    const std::vector<std::uint8_t> nobody = {0, 0, 0, 0};
    node.meters[0].leave(GroupKind::stage, 100, 200, nobody);
    CHECK(node.meters[0].blames().empty());
    node.meters[0].enter(GroupKind::stage, 300);
    node.meters[0].leave(GroupKind::stage, 300, 400, {});  // rank 1's note is of the verb before
    CHECK(node.meters[0].blames().empty());
}

TEST_CASE("notes of a rank that is far ahead are lost, not misread") {
    Node node(2);
    node.group(GroupKind::world, {0, 1});
    for (int verb = 0; verb <= kArrivalNotes; ++verb) {
        node.meters[1].enter(GroupKind::world, 1000 + verb);
        node.meters[1].leave(GroupKind::world, 1000 + verb, 1000 + verb, {});
    }
    node.meters[0].enter(GroupKind::world, 10);
    node.meters[0].leave(GroupKind::world, 10, 2000, {});
    CHECK(node.meters[0].blames().empty());
    node.meters[0].enter(GroupKind::world, 2000);
    node.meters[0].leave(GroupKind::world, 2000, 2010, {});
    CHECK(node.meters[0].blames().empty());
}

TEST_CASE("a rank that is stopped inside a verb arrives when it goes on") {
    // The handler writes the board of the meter made last: rank 1's.
    Node node(2);
    node.group(GroupKind::tp, {0, 1});
    for (AccountClock& clock : node.clocks) clock.switch_to(Account::leaf_sum, 0);
    const std::int64_t start_ns = monotonic_ns();
    node.meters[1].enter(GroupKind::tp, start_ns);
    node.meters[0].enter(GroupKind::tp, start_ns + 1);  // while rank 1 was stopped: nobody's fault
    std::raise(SIGCONT);
    const std::int64_t resumed_ns = monotonic_ns();
    const std::int64_t end_ns = resumed_ns + 1'000'000'000;
    node.meters[0].leave(GroupKind::tp, start_ns + 1, end_ns, {});
    node.meters[1].leave(GroupKind::tp, start_ns, end_ns, {});
    REQUIRE(node.meters[0].blames().size() == 1);
    CHECK(node.meters[0].blames()[0].cause == Cause{11, -1, Account::leaf_sum});
    CHECK(node.meters[0].blames()[0].ns < resumed_ns - start_ns);
    CHECK(node.meters[1].blames().empty());
}

TEST_CASE("metering a verb costs little") {
    Node node(4);
    node.group(GroupKind::stage, {0, 1, 2, 3});
    constexpr int kVerbs = 20'000;
    double best_ns = 1e9;  // of several rounds, per verb and rank: other work on the machine can only make it slower
    for (int round = 0; round < 5; ++round) {
        std::int64_t now_ns = monotonic_ns();
        const std::int64_t start_ns = now_ns;
        for (int verb = 0; verb < kVerbs; ++verb) {
            for (WaitMeter& meter : node.meters) meter.enter(GroupKind::stage, ++now_ns);
            for (WaitMeter& meter : node.meters) meter.leave(GroupKind::stage, now_ns - 3, now_ns + 5, {});
            now_ns += 10;
        }
        best_ns = std::min(best_ns, static_cast<double>(monotonic_ns() - start_ns) / kVerbs / 4);
    }
    std::printf("wait meter: %.0f ns per verb on 4 ranks (goal 500)\n", best_ns);
    CHECK(best_ns < 10'000);
}
