// Every verb on every group of every layout, with data whose answer is exact, and the bytes that are counted.
#include <catch2/catch.hpp>
#include <numeric>

#include "kernels/base/error.hpp"
#include "parallel/mpi_session.hpp"
#include "tests/parallel/ranks.hpp"

using namespace argosy;

namespace {

// The byte that rank `from` puts at place i of what it has for rank `to`.
std::uint8_t pattern(int from, int to, std::int64_t i) {
    return static_cast<std::uint8_t>(from * 31 + to * 7 + i * 3 + 1);
}

std::int64_t length(int from, int to) { return (from * 5 + to * 3) % 4 == 0 ? 0 : from * 100 + to * 10 + 3; }

void check_gathers(Communicator& group) {
    const auto size = static_cast<std::size_t>(group.size());
    const std::int64_t mine[2] = {group.rank(), group.rank() * 1000 + 7};
    std::vector<std::int64_t> all(2 * size);
    group.all_gather(mine, sizeof mine, all.data());
    std::vector<std::int64_t> in_place(2 * size);
    in_place[2 * static_cast<std::size_t>(group.rank())] = mine[0];
    in_place[2 * static_cast<std::size_t>(group.rank()) + 1] = mine[1];
    group.all_gather(&in_place[2 * static_cast<std::size_t>(group.rank())], sizeof mine, in_place.data());
    for (std::size_t r = 0; r < size; ++r) {
        REQUIRE(all[2 * r] == static_cast<std::int64_t>(r));
        REQUIRE(all[2 * r + 1] == static_cast<std::int64_t>(r) * 1000 + 7);
    }
    REQUIRE(in_place == all);

    std::vector<std::int64_t> counts;
    for (int r = 0; r < group.size(); ++r) counts.push_back(length(r, 1));
    std::vector<std::uint8_t> own;
    for (std::int64_t i = 0; i < counts[static_cast<std::size_t>(group.rank())]; ++i)
        own.push_back(pattern(group.rank(), 1, i));
    std::vector<std::uint8_t> received(
        static_cast<std::size_t>(std::accumulate(counts.begin(), counts.end(), std::int64_t{0})));
    group.all_gather_v(own.data(), received.data(), counts);
    std::size_t at = 0;
    for (int r = 0; r < group.size(); ++r) {
        for (std::int64_t i = 0; i < counts[static_cast<std::size_t>(r)]; ++i)
            REQUIRE(received[at++] == pattern(r, 1, i));
    }
}

void check_exchanges(Communicator& group) {
    std::vector<std::int64_t> send_counts;
    std::vector<std::int64_t> receive_counts;
    std::vector<std::uint8_t> send;
    for (int to = 0; to < group.size(); ++to) {
        send_counts.push_back(length(group.rank(), to));
        receive_counts.push_back(length(to, group.rank()));
        for (std::int64_t i = 0; i < send_counts.back(); ++i) send.push_back(pattern(group.rank(), to, i));
    }
    std::vector<std::uint8_t> received(
        static_cast<std::size_t>(std::accumulate(receive_counts.begin(), receive_counts.end(), std::int64_t{0})));
    const std::int64_t before = group.traffic().of(Verb::all_to_all_v).bytes_sent;
    group.all_to_all_v(send.data(), send_counts, received.data(), receive_counts);
    std::size_t at = 0;
    std::int64_t to_others = 0;
    for (int from = 0; from < group.size(); ++from) {
        for (std::int64_t i = 0; i < receive_counts[static_cast<std::size_t>(from)]; ++i)
            REQUIRE(received[at++] == pattern(from, group.rank(), i));
        if (from != group.rank()) to_others += send_counts[static_cast<std::size_t>(from)];
    }
    REQUIRE(group.traffic().of(Verb::all_to_all_v).bytes_sent - before == to_others);

    std::vector<std::int32_t> each(static_cast<std::size_t>(group.size()));
    std::vector<std::int32_t> got(static_cast<std::size_t>(group.size()));
    for (int to = 0; to < group.size(); ++to) each[static_cast<std::size_t>(to)] = group.rank() * 100 + to;
    group.all_to_all(each.data(), sizeof(std::int32_t), got.data());
    for (int from = 0; from < group.size(); ++from)
        REQUIRE(got[static_cast<std::size_t>(from)] == from * 100 + group.rank());
}

void check_broadcast(Communicator& group) {
    for (int root = 0; root < group.size(); ++root) {
        std::vector<std::int32_t> data(1000, group.rank() == root ? root + 5 : -1);
        group.broadcast(data.data(), 4000, root);
        REQUIRE(data == std::vector<std::int32_t>(1000, root + 5));
        group.broadcast(nullptr, 0, root);
    }
}

}  // namespace

TEST_CASE("verbs move the right bytes in every group") {
    MpiSession session;
    for (const RankLayout& layout : test::moe_layouts(session.size())) {
        const Groups groups = make_groups(session, layout);
        REQUIRE(groups.stage->size() == layout.stage_size());
        REQUIRE(groups.stage->rank() == groups.place.stage_rank);
        REQUIRE(groups.tp->size() == layout.tp);
        REQUIRE(groups.tp->rank() == groups.place.tp_rank);
        REQUIRE(groups.etp->size() == layout.etp);
        REQUIRE(groups.etp->rank() == groups.place.etp_rank);
        for (Communicator* group : {groups.world, groups.stage.get(), groups.tp.get(), groups.etp.get()}) {
            check_gathers(*group);
            check_exchanges(*group);
            check_broadcast(*group);
            group->barrier();
        }
    }
    RankLayout wrong;
    wrong.replicas = session.size() + 1;
    CHECK_THROWS_AS(make_groups(session, wrong), Error);
}

TEST_CASE("groups hold the ranks that the layout says") {
    MpiSession session;
    for (const RankLayout& layout : test::moe_layouts(session.size())) {
        const Groups groups = make_groups(session, layout);
        const auto members = [&](Communicator& group) {
            std::vector<std::int32_t> ranks(static_cast<std::size_t>(group.size()));
            const std::int32_t mine = session.rank();
            group.all_gather(&mine, sizeof mine, ranks.data());
            return ranks;
        };
        std::vector<std::int32_t> stage;
        std::vector<std::int32_t> tp;
        std::vector<std::int32_t> etp;
        for (int r = 0; r < session.size(); ++r) {
            const RankPlace p = place_of(layout, r);
            if (p.replica != groups.place.replica) continue;
            stage.push_back(r);
            if (p.dp_rank == groups.place.dp_rank) tp.push_back(r);
            if (p.ep_rank == groups.place.ep_rank) etp.push_back(r);
        }
        REQUIRE(members(*groups.stage) == stage);
        REQUIRE(members(*groups.tp) == tp);
        REQUIRE(members(*groups.etp) == etp);
    }
}

TEST_CASE("counters: payload handed to other ranks, per verb, and reset") {
    MpiSession session;
    Communicator& world = session.world();
    world.reset_traffic();
    const std::int64_t others = session.size() - 1;
    std::vector<std::byte> data(4096);
    world.barrier();
    world.broadcast(data.data(), 100, 0);
    world.all_gather(data.data(), 10, data.data() + 2048);
    std::vector<std::int64_t> counts;
    for (int r = 0; r < session.size(); ++r) counts.push_back(r + 1);
    world.all_gather_v(data.data(), data.data() + 2048, counts);
    world.all_to_all(data.data(), 6, data.data() + 2048);
    const TrafficCounters& traffic = world.traffic();
    CHECK(traffic.of(Verb::barrier).calls == 1);
    CHECK(traffic.of(Verb::barrier).bytes_sent == 0);
    CHECK(traffic.of(Verb::broadcast).bytes_sent == (session.rank() == 0 ? 100 * others : 0));
    CHECK(traffic.of(Verb::all_gather).bytes_sent == 10 * others);
    CHECK(traffic.of(Verb::all_gather_v).bytes_sent == (session.rank() + 1) * others);
    CHECK(traffic.of(Verb::all_to_all).bytes_sent == 6 * others);
    CHECK(traffic.of(Verb::all_to_all).ns > 0);
    CHECK(traffic.bytes_sent() == (session.rank() == 0 ? 100 * others : 0) + (10 + session.rank() + 1 + 6) * others);
    TrafficCounters twice = traffic;
    twice += traffic;
    CHECK(twice.of(Verb::all_gather).calls == 2);
    world.reset_traffic();
    CHECK(world.traffic() == TrafficCounters{});
}

TEST_CASE("a verb refuses counts that do not fit its group, before anything moves") {
    MpiSession session;
    Communicator& world = session.world();
    std::vector<std::int64_t> counts(static_cast<std::size_t>(session.size()) + 1, 0);
    CHECK_THROWS_AS(world.all_gather_v(nullptr, nullptr, counts), Error);
    CHECK_THROWS_AS(world.all_to_all_v(nullptr, counts, nullptr, counts), Error);
    counts.pop_back();
    std::vector<std::int64_t> other = counts;
    other[static_cast<std::size_t>(session.rank())] = 1;
    std::byte byte{};
    CHECK_THROWS_AS(world.all_to_all_v(&byte, other, nullptr, counts), Error);
}

// Needs 10 GB on two ranks, so it is only run by name: test_parallel_ranks "[large]".
TEST_CASE("messages beyond 2 GiB arrive whole", "[.][large]") {
    MpiSession session;
    if (session.size() != 2) return;
    const std::int64_t bytes = (std::int64_t{2} << 30) + 12345;
    std::vector<std::uint32_t> send(static_cast<std::size_t>(bytes / 4), 0);
    for (std::size_t i = 0; i < send.size(); ++i)
        send[i] = static_cast<std::uint32_t>(i * 2654435761U + static_cast<unsigned>(session.rank()));
    std::vector<std::uint32_t> received(send.size(), 0);
    const int other = 1 - session.rank();
    std::vector<std::int64_t> counts(2, 0);
    counts[static_cast<std::size_t>(other)] = static_cast<std::int64_t>(send.size()) * 4;
    session.world().all_to_all_v(send.data(), counts, received.data(), counts);
    bool right = true;
    for (std::size_t i = 0; i < send.size(); ++i)
        right = right && received[i] == static_cast<std::uint32_t>(i * 2654435761U + static_cast<unsigned>(other));
    CHECK(right);
    session.world().broadcast(send.data(), counts[static_cast<std::size_t>(other)], 0);
    CHECK(send.back() == static_cast<std::uint32_t>((send.size() - 1) * 2654435761U));
}
