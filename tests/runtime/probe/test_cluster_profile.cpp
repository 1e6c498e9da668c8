// Cluster profiles: written and read again, refused where they are damaged, and turned into speeds of one rank.
#include "runtime/probe/cluster_profile.hpp"

#include <catch2/catch.hpp>

#include <fstream>

#include "kernels/base/error.hpp"
#include "kernels/probe/caches.hpp"
#include "tests/support/shared_data.hpp"

using namespace argosy;
using Catch::Contains;

namespace {

Figure around(double median) { return {.median = median, .low = median / 2, .high = median * 2}; }
NodeFigures figures(double node, double alone) { return {around(node), around(alone)}; }

// A node of 8 cores, probed by 2 ranks of 4 threads.
ClusterProfile sample() {
    ClusterProfile p;
    p.measured_utc = "2026-01-02T03:04:05Z";
    p.program = "0.1.0";
    p.cpu = "A \"CPU\"";
    p.mpi = "Some MPI";
    p.host = "node1";
    p.nodes = 2;
    p.ranks_per_node = 2;
    p.threads_per_rank = 4;
    p.cores_per_node = 8;
    p.rounds = 7;
    p.memory_bytes = std::int64_t{1} << 36;
    p.array_bytes = 1 << 30;
    p.arithmetic = {{"f32", "avx512", "fma", figures(800, 120)},
                    {"int8", "amx", "tiles", figures(25600, 4000)},
                    {"int8", "avx512", "dot", figures(3200, 500)},
                    {"f32", "avx2", "fma", figures(480, 50)}};
    p.read_gbytes = figures(80, 20);
    p.copy_gbytes = figures(100, 25);
    p.caches = {{1, 32768, 1, figures(1600, 300)}, {3, 1 << 25, 8, figures(400, 60)}};
    p.links = {{"same node", 1, around(0.5), around(10), around(8)},
               {"other node", 2, around(2), around(12), around(6)}};
    p.step_word_us = around(4);
    p.barrier_us = around(3);
    p.disk = DiskFigures{"/scratch", "O_DIRECT", 1 << 20, 2, around(1.5), around(2.5)};
    return p;
}

std::string refusal_of(const std::string& text) {
    try {
        parse_cluster_profile(text, "p.json");
    } catch (const Error& error) {
        CHECK(error.kind() == ErrorKind::input);
        return error.what();
    }
    return "";
}

std::string changed(std::string text, const std::string& from, const std::string& to) {
    const std::size_t at = text.find(from);
    REQUIRE(at != std::string::npos);
    return text.replace(at, from.size(), to);
}

}  // namespace

TEST_CASE("a profile that is written is read again as it was") {
    const ClusterProfile profile = sample();
    CHECK(parse_cluster_profile(to_json(profile), "p.json") == profile);
    ClusterProfile alone = profile;
    alone.links.clear();
    alone.disk.reset();
    alone.step_word_us = alone.barrier_us = {};
    CHECK(parse_cluster_profile(to_json(alone), "p.json") == alone);
}

TEST_CASE("a profile that cannot be is refused with file and key") {
    const std::string good = to_json(sample());
    CHECK_THAT(refusal_of("{"), Contains("p.json is not JSON"));
    CHECK_THAT(refusal_of("[]"), Contains("p.json") && Contains("not an object"));
    CHECK_THAT(refusal_of("{}"), Contains("\"schema\" is missing"));
    CHECK_THAT(refusal_of(changed(good, "argosy-cluster-1", "argosy-cluster-9")),
               Contains("argosy-cluster-9") && Contains("this version reads argosy-cluster-1"));
    CHECK_THAT(refusal_of(changed(good, "\"cores_per_node\": 8", "\"cores_per_node\": 0")), Contains("cores_per_node"));
    CHECK_THAT(refusal_of(changed(good, "\"cores_per_node\": 8", "\"cores_per_node\": \"8\"")),
               Contains("cores_per_node"));
    CHECK_THAT(refusal_of(changed(good, "\"read_gbytes\"", "\"read\"")), Contains("\"read_gbytes\" is missing"));
    CHECK_THAT(refusal_of(changed(good, "\"median\": 800.0", "\"median\": 0")),
               Contains("arithmetic[0].gops") && Contains("median of 0"));
    CHECK_THAT(refusal_of(changed(good, "\"median\": 800.0", "\"median\": -1")),
               Contains("arithmetic[0].gops.node.median"));
    CHECK_THAT(refusal_of(changed(good, "\"caches\": [", "\"caches\": 3, \"was\": [")),
               Contains("\"caches\" is not a list"));
}

TEST_CASE("a profile is found by path or by name in the folders, else there is a sentence") {
    const test::TempDir folder;
    std::ofstream(folder.path() / "site.json") << to_json(sample());
    CHECK(load_cluster_profile("site", {"/nowhere", folder.path()}) == sample());
    CHECK(load_cluster_profile((folder.path() / "site.json").string(), {}) == sample());
    CHECK_THROWS_WITH(load_cluster_profile("other", {folder.path()}),
                      Contains("\"other\"") && Contains("argosy probe"));
    std::ofstream(folder.path() / "huge.json") << std::string(2 << 20, ' ');
    CHECK_THROWS_WITH(load_cluster_profile("huge", {folder.path()}), Contains("no cluster profile"));
}

TEST_CASE("the profiles that come with the program can be read") {
    int profiles = 0;
    for (const auto& entry : std::filesystem::directory_iterator(test::source_dir() / "configs/clusters")) {
        if (entry.path().extension() != ".json") continue;
        CHECK_NOTHROW(load_cluster_profile(entry.path().string(), {}));
        ++profiles;
    }
    CHECK(profiles > 0);
}

TEST_CASE("speeds of a rank are its part of its node's") {
    const ClusterProfile p = sample();
    // As it was measured: 2 ranks of 4 threads.
    MachineSpeeds speeds = machine_speeds(p, "avx512", 4, 8, false);
    CHECK(speeds.gflops == Approx(400));              // half of 800, less than 4 x 120
    CHECK(speeds.memory_gbytes_per_s == Approx(40));  // half of 80
    REQUIRE(speeds.caches.size() == 2);
    CHECK(speeds.caches[0].bytes == 4 * 32768);
    CHECK(speeds.caches[0].gbytes_per_s == Approx(800));
    CHECK(speeds.caches[1].bytes == 1 << 24);
    CHECK(speeds.caches[1].gbytes_per_s == Approx(200));
    CHECK(speeds.send_gbytes_per_s == Approx(8));
    CHECK(speeds.verb_ns == Approx(4000));
    // One thread alone on the node has memory for itself, up to what one thread gets.
    speeds = machine_speeds(p, "avx512", 1, 1, true);
    CHECK(speeds.gflops == Approx(100));
    CHECK(speeds.product_gops == Approx(100));
    speeds = machine_speeds(p, "avx512", 1, 1, true, "int8");
    CHECK(speeds.gflops == Approx(100));
    CHECK(speeds.product_gops == Approx(400));
    speeds = machine_speeds(p, "amx", 1, 1, true, "int8");
    CHECK(speeds.gflops == Approx(100));  // of AVX-512
    CHECK(speeds.product_gops == Approx(3200));
    CHECK(speeds.memory_gbytes_per_s == Approx(20));
    CHECK(speeds.send_gbytes_per_s == Approx(6));
    // avx2: one thread alone is slower than its part of all.
    CHECK(machine_speeds(p, "avx2", 4, 8, false).gflops == Approx(200));
    // Twice as many threads as cores share them.
    speeds = machine_speeds(p, "avx512", 4, 16, false);
    CHECK(speeds.gflops == Approx(200));
    CHECK(speeds.memory_gbytes_per_s == Approx(20));
    CHECK_THROWS_WITH(machine_speeds(p, "portable", 1, 1, false), Contains("portable") && Contains("node1"));
}

TEST_CASE("the table names every figure with its unit and spread") {
    const std::string table = describe(sample());
    for (const char* word : {"CLUSTER", "f32 avx512", "GFLOP/s", "int8 avx512", "GOP/s", "L1 cache, 32 KiB",
                             "read memory", "80 (40 to 160)", "same node", "other node", "each of 2 pairs",
                             "step's word", "barrier", "write /scratch", "O_DIRECT", "medians of 7 rounds"}) {
        CHECK_THAT(table, Contains(word));
    }
    ClusterProfile alone = sample();
    alone.step_word_us = {};
    alone.shared_cores = true;
    CHECK_THAT(describe(alone), Contains("nobody to talk to") && Contains("more threads than cores"));
}

TEST_CASE("caches are read from the kernel's list") {
    const test::TempDir root;
    const auto write = [&](const std::string& index, const std::string& name, const std::string& text) {
        const auto folder = root.path() / "sys/devices/system/cpu/cpu0/cache" / index;
        std::filesystem::create_directories(folder);
        std::ofstream(folder / name) << text << "\n";
    };
    CHECK(data_caches(root.path()).empty());
    const auto cache = [&](const std::string& index, const char* type, const char* level, const char* size,
                           const char* cpus) {
        write(index, "type", type);
        write(index, "level", level);
        write(index, "size", size);
        write(index, "shared_cpu_list", cpus);
    };
    cache("index0", "Data", "1", "48K", "0");
    cache("index1", "Instruction", "1", "32K", "0");
    cache("index2", "Unified", "3", "260M", "0-3,8-11,15");
    cache("index3", "Unified", "2", "2048K", "0,64");
    CHECK(data_caches(root.path()) ==
          std::vector<DataCache>{{1, 48 << 10, 1}, {2, 2 << 20, 2}, {3, std::int64_t{260} << 20, 9}});
}

TEST_CASE("the spread of rounds") {
    CHECK(spread_of({3, 1, 2}) == Figure{2, 1, 3});
    CHECK(spread_of({4, 1, 3, 2}) == Figure{2, 1, 4});
    CHECK(spread_of({}) == Figure{});
}
