// A real probe, quick and small, on the ranks at hand: every figure that the machine can have is there and positive,
// all ranks have the same profile, and nothing stays on the disk. No figure's size is judged.
#include <catch2/catch.hpp>

#include <filesystem>

#include "kernels/base/error.hpp"
#include "kernels/probe/arithmetic_loops.hpp"
#include "runtime/probe/machine_probe.hpp"
#include "tests/support/shared_data.hpp"

using namespace argosy;
namespace fs = std::filesystem;

namespace {
void check_figure(const Figure& f) {
    CHECK(f.low > 0);
    CHECK(f.low <= f.median);
    CHECK(f.median <= f.high);
}
}  // namespace

TEST_CASE("a probe measures what there is, and all ranks have the same profile") {
    MpiSession session;
    const test::TempDir folder;
    const ClusterProfile p = probe_machine(session, {.threads = 1,
                                                     .quick = true,
                                                     .path = folder.path(),
                                                     .memory_bytes = std::int64_t{256} << 20,
                                                     .program = "test"});
    std::size_t loops = 0;
    for (const ArithmeticLoop& loop : arithmetic_loops()) loops += loop.runs_here() ? 1 : 0;
    CHECK(p.arithmetic.size() == loops);
    CHECK(p.arithmetic.back().isa != "");
    for (const ArithmeticFigures& a : p.arithmetic) {
        check_figure(a.gops.node);
        check_figure(a.gops.alone);
    }
    for (const CacheFigures& c : p.caches) check_figure(c.read_gbytes.node);
    check_figure(p.read_gbytes.node);
    check_figure(p.copy_gbytes.alone);
    CHECK(p.ranks_per_node == session.size());  // one machine
    CHECK(p.nodes == 1);
    CHECK(p.array_bytes <= std::int64_t{64} << 20);  // a quarter of the memory that it may use
    CHECK(p.links.size() == (session.size() > 1 ? 1U : 0U));
    if (session.size() > 1) {
        CHECK(p.links[0].pairs == session.size() / 2);
        check_figure(p.links[0].latency_us);
        check_figure(p.links[0].gbytes_alone);
        check_figure(p.links[0].gbytes_together);
        check_figure(p.step_word_us);
    } else {
        CHECK(p.step_word_us == Figure{});
    }
    REQUIRE(p.disk);
    check_figure(p.disk->write_gbytes);
    check_figure(p.disk->read_gbytes);
    CHECK(fs::is_empty(folder.path()));
    // JSON has four digits of each figure: that is what is compared.
    const std::string mine = to_json(p);
    auto bytes = static_cast<std::int64_t>(mine.size());
    session.world().broadcast(&bytes, sizeof bytes, 0);
    std::string first = mine;
    first.resize(static_cast<std::size_t>(bytes));
    session.world().broadcast(first.data(), bytes, 0);
    const auto without_path = [](std::string text) { return text.erase(text.find("\"disk\"")); };
    CHECK(without_path(mine) == without_path(first));  // the test's folders differ from rank to rank
    CHECK_NOTHROW(parse_cluster_profile(mine, "mine"));
}

TEST_CASE("a folder that cannot be written is refused on all ranks before anything is measured") {
    MpiSession session;
    CHECK_THROWS_WITH(probe_machine(session, {.threads = 1,
                                              .quick = true,
                                              .path = "/nowhere/at/all",
                                              .memory_bytes = std::int64_t{256} << 20,
                                              .program = "test"}),
                      Catch::Contains("/nowhere/at/all") && Catch::Contains("--path"));
}
