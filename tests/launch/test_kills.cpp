// Ranks killed at any moment: the same command run again ends with the same bytes.
#include <signal.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <future>
#include <iostream>
#include <random>

#include "runtime/job/manifest_file.hpp"
#include "tests/launch/stored_runs.hpp"

using namespace argosy;
using namespace argosy::test;
namespace fs = std::filesystem;

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

}  // namespace

TEST_CASE("killed at 30 random moments: the same bytes, no request answered twice, every listed shard whole") {
    constexpr int kKills = 30;
    constexpr int kRequests = 480;  // four seconds of a quick machine: shards are sealed after half a second
    constexpr int kKillsPerRun = 5;
    const Place place;
    write_text(place.work / "in.jsonl", mixed_requests(kRequests, 28));
    const ProgramResult whole = run_program(call_at(place, 2, run_words(place, "whole", "in.jsonl")));
    INFO(whole.err);
    REQUIRE(whole.status == 0);
    const std::string want = read_text(place.work / "whole/responses.jsonl");
    const std::string want_errors = read_text(place.work / "whole/errors.jsonl");
    const std::size_t requests = check_shards(place.work / "whole");
    REQUIRE(requests == kRequests);

    const fs::path run = place.work / "run";
    std::mt19937 random(30);
    int hit = 0, late = 0, with_answers = 0, runs = 0, kills_here = 0;
    double length_s = whole.seconds;  // of a job, as the machine is now
    while (hit < kKills && late < 2 * kKills) {
        ProgramCall call = call_at(place, 2, run_words(place, "run", "in.jsonl"));
        if (kills_here == kKillsPerRun) {  // left alone, it ends
            const ProgramResult last = run_program(call);
            INFO(last.err);
            REQUIRE(last.status == 0);
        } else {
            const double moment_s = 0.2 + (length_s - 0.2) * static_cast<double>(random() % 1000) / 1000;
            const unsigned victim = random() % 4;  // rank 0, rank 1, or both
            auto job = std::async(std::launch::async, [&] { return run_program(call); });
            const auto start = Clock::now();
            while (seconds_since(start) < moment_s &&
                   job.wait_for(std::chrono::milliseconds(5)) != std::future_status::ready) {
            }
            const std::vector<pid_t> ranks = processes("argosy", run.string());
            int killed = 0;
            for (std::size_t i = 0; i < ranks.size(); ++i) {
                if (victim < 2 && i != victim) continue;
                killed += kill(ranks[i], SIGKILL) == 0 ? 1 : 0;
            }
            const ProgramResult result = job.get();
            const bool running = killed > 0 && result.status != 0;
            ++(running ? hit : late);
            kills_here += running ? 1 : 0;
            length_s = running ? std::min(length_s * 1.05, whole.seconds) : std::max(0.5, length_s * 0.8);
            REQUIRE(result.status != 124);  // mpirun.sh's own limit
            if (result.status != 0) {
                const std::size_t stored = check_shards(run);
                with_answers += stored > 0 && stored < requests ? 1 : 0;
                continue;
            }
        }
        // Finished, after however many deaths.
        REQUIRE((read_text(run / "responses.jsonl") == want));
        REQUIRE((read_text(run / "errors.jsonl") == want_errors));
        REQUIRE(check_shards(run) == requests);
        REQUIRE(read_manifest(run)->finished);
        for (const auto& entry : fs::directory_iterator(run / "shards")) REQUIRE(entry.path().extension() == ".h5");
        ++runs;
        kills_here = 0;
        fs::remove_all(run);
    }
    std::cout << hit << " kills of running jobs (" << with_answers << " with a part of the answers stored), " << late
              << " came too late; " << runs << " jobs finished\n";
    CHECK(hit == kKills);
    CHECK(with_answers >= kKills / 4);
    CHECK(runs >= 3);
}
