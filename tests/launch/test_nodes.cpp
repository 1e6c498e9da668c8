// Several nodes: emulated ones, with networks, host names and shared memory of their own, so that whatever ranks of one
// node have in common is not there between them (tests/support/nodes_mpirun.sh).
#include <signal.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <cstdlib>
#include <future>
#include <iostream>
#include <thread>

#include "tests/launch/stored_runs.hpp"

using namespace argosy;
using namespace argosy::test;
namespace fs = std::filesystem;

namespace {

bool can_emulate_nodes() {
    // As nodes_mpirun.sh does; a root that is no mount point, as under chroot, has no mounts of its own to give.
    const bool can = std::system(
                         "unshare --net --mount --propagation private --pid --fork "
                         "ip link add probe0 type bridge >/dev/null 2>&1") == 0;
    return have(can, "emulated nodes", "namespaces of network and mounts (root, iproute2, no chroot)",
                "ARGOSY_REQUIRE_NODES");
}

ProgramCall nodes_call(const Place& place, int nodes, int ranks, const std::string& run, const std::string& options) {
    ProgramCall call = call_at(place, ranks, run_words(place, run, "in.jsonl", words_of(options)));
    call.nodes = nodes;
    return call;
}

struct Way {
    int nodes;
    int ranks;
    std::string options;
    std::string witness;  // a counter that is 0 unless nodes worked together
};

}  // namespace

TEST_CASE("two nodes give the bytes of one process, and the bill knows them") {
    if (!can_emulate_nodes()) return;
    const Place place;
    write_text(place.work / "in.jsonl", mixed_requests(60, 12));
    REQUIRE(run_at(place, 0, run_words(place, "alone", "in.jsonl")).status == 0);
    const std::string want = read_text(place.work / "alone/responses.jsonl");
    const Way ways[] = {
        {2, 2, "--tp 2", "leaf_sums"},
        {2, 2, "--dp 2", "exchange_rows"},
        {2, 2, "--tp 2 --etp 2", "leaf_sums"},
        {2, 2, "--replicas 2", "work_claims"},
        {2, 4, "--dp 2 --tp 2", "leaf_sums"},
        {2, 4, "--replicas 2 --ep 2", "exchange_rows"},
        {4, 4, "--tp 4 --etp 2", "exchange_rows"},
    };
    for (const Way& way : ways) {
        INFO(way.nodes << " nodes, " << way.ranks << " ranks " << way.options);
        fs::remove_all(place.work / "run");
        const ProgramResult result = run_program(nodes_call(place, way.nodes, way.ranks, "run", way.options));
        INFO(result.err);
        REQUIRE(result.status == 0);
        CHECK((read_text(place.work / "run/responses.jsonl") == want));
        const auto report = read_report(place.work / "run");
        CHECK(report.at("witness").at(way.witness).get<std::int64_t>() > 0);
        CHECK(result.out.find("COST  VALID") != std::string::npos);
        CHECK(result.out.find("same bits not falsified") != std::string::npos);
        CHECK(result.out.find(std::to_string(way.ranks) + " ranks on " + std::to_string(way.nodes) + " nodes") !=
              std::string::npos);
        check_nothing_left(place);
        std::cout << way.nodes << " nodes, " << way.ranks << " ranks " << way.options << ": " << result.seconds
                  << " s\n";
    }
}

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

struct Loss {
    ProgramResult result;
    double ended_s = 0;  // from the loss to the end of the last rank
};

// Runs a job and takes a process from it once it has stored something: the last that is called `name` and has `text` in
// its command line.
Loss lose(const Place& place, const ProgramCall& call, const std::string& name, const std::string& text) {
    auto job = std::async(std::launch::async, [&] { return run_program(call); });
    while (stored_requests(place.work / "run") == 0 &&
           job.wait_for(std::chrono::milliseconds(5)) != std::future_status::ready) {
    }
    const std::vector<pid_t> victims = processes(name, text);
    REQUIRE_FALSE(victims.empty());
    REQUIRE(kill(victims.back(), SIGKILL) == 0);
    const auto start = Clock::now();
    const std::string folder = place.work.string();
    while (!processes("argosy", folder).empty() && seconds_since(start) < 20 * patience())
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    Loss loss;
    loss.ended_s = seconds_since(start);
    // Started over a remote shell, Open MPI 4.1 tells of a lost node, and sometimes waits for its daemon for ever with
    // nothing left to run. That wait is ended here.
    if (job.wait_for(std::chrono::seconds(2)) != std::future_status::ready) {
        for (const pid_t launcher : processes("mpirun", folder)) kill(launcher, SIGKILL);
    }
    loss.result = job.get();
    return loss;
}

}  // namespace

TEST_CASE("a rank dies on another node, a node loses its power: the job ends, and the same command finishes it") {
    if (!can_emulate_nodes()) return;
    constexpr std::size_t kRequests = 960;
    const Place place;
    const fs::path run = place.work / "run";
    write_text(place.work / "in.jsonl", mixed_requests(kRequests, 28));
    REQUIRE(run_at(place, 2, run_words(place, "whole", "in.jsonl", {"--tp", "2"})).status == 0);
    const std::string want = read_text(place.work / "whole/responses.jsonl");
    const ProgramCall call = nodes_call(place, 2, 2, "run", "--tp 2");
    for (const bool whole_node : {false, true}) {
        INFO((whole_node ? "a node" : "a rank"));
        fs::remove_all(run);
        const Loss loss =
            whole_node ? lose(place, call, "bash", "emulated node-2") : lose(place, call, "argosy", run.string());
        INFO(loss.result.err);
        CHECK(loss.ended_s < 10 * patience());
        CHECK(loss.result.status != 0);
        CHECK(loss.result.status != 124);  // the limit of the script
        if (whole_node) CHECK(loss.result.err.find("lost communication") != std::string::npos);
        CHECK_FALSE(fs::exists(run / "responses.jsonl"));
        const std::size_t stored = check_shards(run);
        CHECK(stored > 0);
        CHECK(stored < kRequests);
        const ProgramResult second = run_program(call);
        INFO(second.err);
        CHECK(second.status == 0);
        CHECK((read_text(run / "responses.jsonl") == want));
        std::cout << (whole_node ? "node" : "rank") << " lost: status " << loss.result.status << ", all ended after "
                  << loss.ended_s << " s, " << stored << " requests stored\n";
    }
}
