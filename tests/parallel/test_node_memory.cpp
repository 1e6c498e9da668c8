// Memory shared by the ranks of a node.
#include <catch2/catch.hpp>

#include "kernels/base/error.hpp"
#include "parallel/node_memory.hpp"

using namespace argosy;
using Catch::Matchers::Contains;

TEST_CASE("node memory: one key, one copy; what the leader writes all read") {
    MpiSession session;
    NodeMemory memory(session);
    const SharedBlock block = memory.allocate(7, 100'001);
    CHECK(block.bytes == 100'001);
    CHECK(block.sharers == session.size());
    CHECK(block.is_leader() == (session.rank() == 0));
    CHECK(reinterpret_cast<std::uintptr_t>(block.data) % 64 == 0);
    bool zero = true;
    for (std::size_t i = 0; i < block.bytes; ++i) zero = zero && block.data[i] == std::byte{0};
    CHECK(zero);
    memory.publish();  // nobody writes before all have looked
    if (block.is_leader()) {
        for (std::size_t i = 0; i < block.bytes; ++i) block.data[i] = static_cast<std::byte>(i * 7 + 3);
    }
    memory.publish();
    bool right = true;
    for (std::size_t i = 0; i < block.bytes; ++i) right = right && block.data[i] == static_cast<std::byte>(i * 7 + 3);
    CHECK(right);
    CHECK(memory.shared_bytes() == (session.size() > 1 && session.rank() == 0 ? 100'001 : 0));
    CHECK(memory.private_bytes() == (session.size() > 1 ? 0 : 100'001));
}

TEST_CASE("node memory: ranks with other keys or sizes have their own copies") {
    MpiSession session;
    NodeMemory memory(session);
    const int team = session.rank() % 2;  // even ranks share one copy, odd ranks another
    const SharedBlock block = memory.allocate(static_cast<std::uint64_t>(team), 4096);
    CHECK(block.sharers == (session.size() + 1 - team) / 2);
    CHECK(block.sharer == session.rank() / 2);
    const SharedBlock other =
        memory.allocate(1, 64 + static_cast<std::size_t>(session.rank()));  // all sizes differ: nobody shares
    CHECK(other.sharers == 1);
    memory.publish();
    if (block.is_leader()) block.as<std::int32_t>()[0] = 100 + team;
    other.as<std::int32_t>()[0] = session.rank();
    memory.publish();
    CHECK(block.as<std::int32_t>()[0] == 100 + team);
    CHECK(other.as<std::int32_t>()[0] == session.rank());
    const SharedBlock again = memory.allocate(static_cast<std::uint64_t>(team), 4096);  // the same team, another block
    CHECK(again.data != block.data);
    CHECK(again.as<std::int32_t>()[0] == 0);
}

TEST_CASE("node memory: several ranks write parts of one copy") {
    MpiSession session;
    NodeMemory memory(session);
    const SharedBlock block = memory.allocate_for_node(sizeof(std::int32_t) * static_cast<std::size_t>(session.size()));
    block.as<std::int32_t>()[session.rank()] = 10 * session.rank() + 1;
    memory.publish();
    for (int r = 0; r < session.size(); ++r) CHECK(block.as<std::int32_t>()[r] == 10 * r + 1);
}

TEST_CASE("node memory: sharing can be switched off, and nothing is a size too") {
    MpiSession session;
    NodeMemory memory(session, false);
    const SharedBlock block = memory.allocate(7, 1000);
    CHECK(block.sharers == 1);
    block.as<std::int32_t>()[0] = session.rank();
    memory.publish();
    CHECK(block.as<std::int32_t>()[0] == session.rank());
    CHECK(memory.private_bytes() == 1000);
    CHECK(memory.shared_bytes() == 0);
    CHECK(memory.allocate(8, 0).bytes == 0);
}

TEST_CASE("node memory: more than there is, is refused on all ranks alike") {
    MpiSession session;
    NodeMemory memory(session);
    const std::size_t absurd = std::size_t{1} << 50;
    if (session.size() > 1) CHECK_THROWS_WITH(memory.allocate(1, absurd), Contains("/dev/shm"));
    CHECK_THROWS_AS(memory.allocate(static_cast<std::uint64_t>(session.rank()), session.rank() == 0 ? absurd : 16),
                    Error);
    CHECK(memory.allocate(2, 16).bytes == 16);  // and it can go on
}
