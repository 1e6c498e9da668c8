// Placements as values: what is printed of them, and what is warned of.
#include <catch2/catch.hpp>

#include <cstring>

#include "runtime/placement.hpp"

using namespace argosy;
using Catch::Contains;

namespace {

RankSpot spot(int rank, int leader, const char* node, std::initializer_list<int> cpus, int threads) {
    RankSpot s;
    s.rank = rank;
    s.leader = leader;
    std::strncpy(s.node, node, kNodeNameBytes - 1);
    for (const int cpu : cpus) s.cpus[static_cast<std::size_t>(cpu / 64)] |= std::uint64_t{1} << (cpu % 64);
    s.threads = threads;
    s.memory_bytes = std::int64_t{3} << 30;
    return s;
}

}  // namespace

TEST_CASE("CPUs are written as ranges") {
    CHECK(describe_cpus(spot(0, 0, "a", {0, 1, 2, 5, 63, 64, 65, 200}, 1).cpus) == "0-2,5,63-65,200");
    CHECK(describe_cpus(spot(0, 0, "a", {7}, 1).cpus) == "7");
    CHECK(describe_cpus(spot(0, 0, "a", {}, 1).cpus) == "unknown");
}

TEST_CASE("the map has a line per rank, of many ranks the first and the last") {
    std::vector<RankSpot> spots = {spot(0, 0, "node7", {0, 1}, 2), spot(1, 1, "node9", {4}, 1)};
    spots[1].numa_domain = -1;
    spots[1].numa_domains = 4;
    const std::string map = describe(spots);
    CHECK_THAT(map, Contains("node7") && Contains("0-1") && Contains("0 of 1") && Contains("3.0 GiB"));
    CHECK_THAT(map, Contains("node9") && Contains("several of 4"));
    CHECK(std::count(map.begin(), map.end(), '\n') == 3);
    spots.clear();
    for (int rank = 0; rank < 100; ++rank) spots.push_back(spot(rank, 0, "n", {rank}, 1));
    const std::string many = describe(spots);
    CHECK(std::count(many.begin(), many.end(), '\n') == 1 + 32 + 1);
    CHECK_THAT(many, Contains("and 68 more ranks") && Contains("     0  n") && Contains("    99  n"));
}

TEST_CASE("a rank whose mask is smaller than its threads is told how to start") {
    const std::vector<RankSpot> spots = {spot(0, 0, "a", {0}, 2), spot(1, 0, "a", {1}, 2), spot(2, 0, "a", {2}, 2),
                                         spot(3, 3, "b", {0, 1}, 2)};
    const std::vector<std::string> warnings = placement_warnings(spots);
    REQUIRE(warnings.size() == 2);
    CHECK_THAT(warnings[0], Contains("Ranks 0, 1 and 1 more may run on 1 core only") && Contains("2 threads") &&
                                Contains("--bind-to none") && Contains("PE=2") && Contains("--cpus-per-task=2"));
    CHECK_THAT(warnings[1], Contains("3 ranks on a run 6 threads on 3 cores") && Contains("correctness only"));
}

TEST_CASE("nodes with more threads than cores are told once") {
    std::vector<RankSpot> spots;
    for (int rank = 0; rank < 8; ++rank) spots.push_back(spot(rank, rank / 4 * 4, rank < 4 ? "a" : "b", {0, 1}, 1));
    std::vector<std::string> warnings = placement_warnings(spots);
    REQUIRE(warnings.size() == 1);
    CHECK_THAT(warnings[0], Contains("4 ranks on a run 4 threads on 2 cores, as on 1 more node") &&
                                Contains("Start at most 2 threads there"));
    // Nodes are told apart by their first rank, not by name.
    for (RankSpot& s : spots) std::strncpy(s.node, "same", kNodeNameBytes - 1);
    CHECK(placement_warnings(spots).size() == 1);
    CHECK_THAT(placement_warnings(spots)[0], Contains("4 ranks on same"));
}

TEST_CASE("a good placement is not talked about") {
    CHECK(placement_warnings(std::vector<RankSpot>{}).empty());
    CHECK(placement_warnings(std::vector{spot(0, 0, "a", {0, 1}, 2), spot(1, 0, "a", {2, 3}, 2)}).empty());
    CHECK(placement_warnings(std::vector{spot(0, 0, "a", {0, 1}, 1), spot(1, 0, "a", {0, 1}, 1)}).empty());
    CHECK(placement_warnings(std::vector{spot(0, 0, "a", {}, 4)}).empty());  // a mask that cannot be read
}

TEST_CASE("threads are those asked for, else the rank's cores, else its share of shared ones") {
    const bool given = std::getenv("OMP_NUM_THREADS") != nullptr;
    const std::string before = given ? std::getenv("OMP_NUM_THREADS") : "";
    unsetenv("OMP_NUM_THREADS");
    NodeCensus node{.ranks = 4, .rank = 0, .leader = 0, .cores = 16, .cores_all = 64, .shared_cores = false};
    CHECK(choose_threads(node, 3) == 3);
    CHECK(choose_threads(node, 0) == 16);
    node.shared_cores = true;
    node.cores_all = 18;
    CHECK(choose_threads(node, 0) == 4);
    node.cores_all = 2;
    CHECK(choose_threads(node, 0) == 1);
    setenv("OMP_NUM_THREADS", "5,2", 1);
    CHECK(choose_threads(node, 0) == 5);
    given ? setenv("OMP_NUM_THREADS", before.c_str(), 1) : unsetenv("OMP_NUM_THREADS");
}
