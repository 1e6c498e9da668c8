// What ends a job before its time: signals, ranks that are killed in every phase, a second job in its directory. The
// others end soon with a status that is not 0, the launcher names the rank, and the same command goes on.
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <future>
#include <iostream>
#include <thread>
#include <tuple>

#include "runtime/job/manifest_file.hpp"
#include "tests/launch/mistakes.hpp"

using namespace argosy;
using namespace argosy::test;
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

// A job that a test can disturb: as many requests as keep this machine busy for longer than mpirun takes from a signal
// of its own to the end of its ranks, a second and more.
struct DisturbedJob {
    Place place;
    std::string whole;  // responses of an uninterrupted run
    std::vector<std::string> settings = {"--max-rows", "48"};

    DisturbedJob() {
        constexpr double kLeast_s = 4;
        double seconds = 0;
        for (int requests = 500; seconds < kLeast_s; requests *= 2) {
            fs::remove_all(place.work / "undisturbed");
            write_text(place.work / "in.jsonl", steady_requests(requests));
            const ProgramResult result = run_at(place, 2, run_words(place, "undisturbed", "in.jsonl", settings));
            INFO(result.err);
            REQUIRE(result.status == 0);
            seconds = result.seconds;
            std::cout << "undisturbed: " << requests << " requests, " << seconds << " s\n";
        }
        whole = read_text(place.work / "undisturbed/responses.jsonl");
    }

    fs::path run() const { return place.work / "run"; }

    // Answers stored so far, by all ranks.
    std::size_t stored() const {
        const auto manifest = read_manifest(run());
        return manifest ? static_cast<std::size_t>(manifest->stored()) : 0;
    }

    // Starts the job, calls disturb() in the midst of its steps, and waits for its end. `seconds`: from there to the
    // end.
    ProgramResult disturb(int ranks, const std::vector<std::string>& layout, const std::function<void()>& disturb,
                          double& seconds) {
        fs::remove_all(run());
        std::vector<std::string> words = settings;
        words.insert(words.end(), layout.begin(), layout.end());
        auto job = std::async(std::launch::async,
                              [&] { return run_at(place, ranks, run_words(place, "run", "in.jsonl", words)); });
        // Not before answers are on the disk, which is so a moment after the first was finished.
        while (stored() == 0 && job.wait_for(std::chrono::milliseconds(20)) != std::future_status::ready) {
        }
        const auto start = std::chrono::steady_clock::now();
        disturb();
        const ProgramResult result = job.get();
        seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        return result;
    }

    void check_resume(int ranks, const std::vector<std::string>& layout) {
        CHECK_FALSE(fs::exists(run() / "responses.jsonl"));
        const std::size_t kept = stored();
        CHECK(kept > 0);
        std::vector<std::string> words = settings;
        words.insert(words.end(), layout.begin(), layout.end());
        const ProgramResult result = run_at(place, ranks, run_words(place, "run", "in.jsonl", words));
        INFO(result.err);
        REQUIRE(result.status == 0);
        CHECK((read_text(run() / "responses.jsonl") == whole));
        CHECK(read_text(run() / "log.txt").find("resumed") != std::string::npos);
        // What was kept was not done again.
        const json report = read_report(run());
        CHECK(report.at("witness").at("requests_done").get<std::size_t>() + kept ==
              report.at("requests").at("total").get<std::size_t>());
        std::cout << "  resumed with " << kept << " of " << report.at("requests").at("total") << " answers kept\n";
        check_nothing_left(place);
    }

    std::vector<pid_t> ranks() const { return processes("argosy", run().string()); }
    std::vector<pid_t> launchers() const { return processes("mpirun", run().string()); }
};

}  // namespace

TEST_CASE("a signal stops the job with status 75, and the same command goes on to the same bytes") {
    DisturbedJob job;
    double seconds = 0;

    const ProgramResult usr1 = job.disturb(
        2, {},
        [&] {
            const auto launchers = job.launchers();
            REQUIRE(launchers.size() == 1);
            kill(launchers[0], SIGUSR1);  // as a batch system does; mpirun hands it to every rank
        },
        seconds);
    INFO(usr1.err);
    CHECK(usr1.status == 75);
    CHECK(seconds < 10 * patience());
    CHECK(sentences_of(usr1).size() == 1);
    CHECK(json::parse(read_text(job.run() / "status.json")).at("state") == "stopped");
    job.check_resume(2, {});

    const ProgramResult term = job.disturb(
        2, {},
        [&] {
            const auto ranks = job.ranks();
            REQUIRE(ranks.size() == 2);
            kill(ranks[1], SIGTERM);  // one rank alone: all stop together
        },
        seconds);
    INFO(term.err);
    CHECK(term.status == 75);
    CHECK(seconds < 10 * patience());
    CHECK(sentences_of(term).size() == 1);
    job.check_resume(2, {"--tp", "2"});  // and in another layout

    const ProgramResult alone = job.disturb(
        0, {},
        [&] {
            const auto ranks = job.ranks();
            REQUIRE(ranks.size() == 1);
            kill(ranks[0], SIGINT);  // Ctrl-C
        },
        seconds);
    INFO(alone.err);
    CHECK(alone.status == 75);
    CHECK(seconds < 10 * patience());
    CHECK(sentences_of(alone).size() == 1);
    job.check_resume(2, {"--dp", "2"});
}

namespace {

// mpirun says which rank a signal ended.
void check_named(const ProgramResult& killed, std::size_t rank) {
    INFO(killed.err);
    CHECK(killed.err.find("rank " + std::to_string(rank) + " with PID") != std::string::npos);
    CHECK(killed.err.find("Killed") != std::string::npos);
}

}  // namespace

TEST_CASE("a rank that is killed ends the job within seconds, and the same command finishes it") {
    DisturbedJob job;
    // Rank 0, rank 1; mpirun itself told to end, as a batch system does or as Ctrl-C does: it gives the ranks a second.
    enum class Victim { rank_0, rank_1, launcher_by_term, launcher_by_int };
    for (const Victim victim : {Victim::rank_0, Victim::rank_1, Victim::launcher_by_term, Victim::launcher_by_int}) {
        INFO("victim " << static_cast<int>(victim));
        const bool one_rank = victim == Victim::rank_0 || victim == Victim::rank_1;
        double seconds = 0;
        const ProgramResult killed = job.disturb(
            2, {},
            [&] {
                const auto ranks = job.ranks();
                const auto launchers = job.launchers();
                REQUIRE(ranks.size() == 2);
                REQUIRE(launchers.size() == 1);
                if (one_rank)
                    kill(ranks[static_cast<std::size_t>(victim)], SIGKILL);
                else
                    kill(launchers[0], victim == Victim::launcher_by_int ? SIGINT : SIGTERM);
            },
            seconds);
        INFO(killed.err);
        CHECK(killed.status != 0);
        CHECK(killed.status != 124);  // mpirun.sh's own limit
        if (one_rank) {
            CHECK(killed.status == 137);
            check_named(killed, static_cast<std::size_t>(victim));
        }
        CHECK(seconds < 10 * patience());
        check_nothing_left(job.place);
        if (one_rank || victim == Victim::launcher_by_term) job.check_resume(2, {});
    }
    double seconds = 0;
    const ProgramResult alone = job.disturb(
        0, {},
        [&] {
            const auto ranks = job.ranks();
            REQUIRE(ranks.size() == 1);
            kill(ranks[0], SIGKILL);
        },
        seconds);
    CHECK(alone.status == 137);
    CHECK(seconds < 10 * patience());
    job.check_resume(0, {});
}

namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Waits until `there` is so, at most 60 s (times patience).
bool comes(const std::function<bool()>& there) {
    const auto start = Clock::now();
    while (!there()) {
        if (seconds_since(start) > 60 * patience()) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return true;
}

bool has_open(pid_t process, const std::string& name) {
    std::error_code error;
    for (fs::directory_iterator entry(fs::path("/proc") / std::to_string(process) / "fd", error);
         !error && entry != fs::directory_iterator(); entry.increment(error)) {
        const fs::path file = fs::read_symlink(entry->path(), error);
        if (!error && file.filename() == name) return true;
    }
    return false;
}

// The processes of a job by rank: their numbers need not be in that order.
std::vector<pid_t> ranks_of(const Place& place) {
    std::vector<std::pair<int, pid_t>> found;
    for (const pid_t process : processes("argosy", place.work.string())) {
        const std::string environment = read_text(fs::path("/proc") / std::to_string(process) / "environ");
        const std::string name = "OMPI_COMM_WORLD_RANK=";
        const std::size_t at = environment.find(name);
        found.emplace_back(at == std::string::npos ? 0 : std::atoi(environment.c_str() + at + name.size()), process);
    }
    std::sort(found.begin(), found.end());
    std::vector<pid_t> ranks;
    for (const auto& [rank, process] : found) ranks.push_back(process);
    return ranks;
}

// Starts the call, waits until the job is held where the test holds it, kills a rank, and checks how the others end.
void kill_when(const Place& place, const ProgramCall& call, const std::function<bool()>& held, std::size_t victim) {
    const auto ranks = [&] { return ranks_of(place); };
    const std::size_t count = call.ranks == 0 ? 1 : static_cast<std::size_t>(call.ranks);
    auto job = std::async(std::launch::async, [&] { return run_program(call); });
    const bool reached = comes([&] { return ranks().size() == count && held(); });
    const auto start = Clock::now();
    if (const auto found = ranks(); found.size() > victim) kill(found[victim], SIGKILL);
    const ProgramResult result = job.get();
    INFO("ranks " << call.ranks << ", victim " << victim << "\n" << result.err);
    CHECK(reached);
    CHECK(result.status == 137);
    CHECK(seconds_since(start) < 10 * patience());
    if (call.ranks > 0) check_named(result, victim);
    check_nothing_left(place);
}

const std::vector<std::pair<int, std::size_t>> kVictims = {{0, 0}, {2, 0}, {2, 1}};  // ranks, who is killed

}  // namespace

TEST_CASE("a rank that is killed while weights are read ends the job") {
    if (!have(std::system("strace -o /dev/null true 2>/dev/null") == 0, "a slow disk", "strace",
              "ARGOSY_REQUIRE_STRACE"))
        return;
    // Reads of the weights take 3 s each: of the header by rank 0, or of what each rank is to hold.
    const std::string header = "1", data = "3+";
    for (const auto& [ranks, victim, when] : std::vector<std::tuple<int, std::size_t, std::string>>{
             {0, 0, data}, {2, 0, data}, {2, 1, data}, {2, 1, header}}) {
        const Place place;
        write_text(place.work / "in.jsonl", steady_requests(2));
        copy_demo(place);
        const std::vector<std::string> more = {"--model", place.at("model"), "--tp", ranks == 0 ? "1" : "2"};
        ProgramCall call = call_at(place, ranks, run_words(place, "run", "in.jsonl", more));
        call.before = words_of("strace -f -o /dev/null -P " + place.at("model/model.safetensors") +
                               " -e trace=pread64 -e inject=pread64:delay_enter=3000000:when=" + when);
        const auto reads = [&, since = Clock::time_point()]() mutable {
            bool open = false;
            for (const pid_t rank : ranks_of(place)) open = open || has_open(rank, "model.safetensors");
            if (!open || since == Clock::time_point()) since = Clock::now();
            return open && seconds_since(since) > 0.3;
        };
        kill_when(place, call, reads, victim);
        CHECK_FALSE(fs::exists(place.work / "run"));
    }
}

namespace {

// A run directory in which a pipe that nobody reads stands where `file` is to be made: it holds world rank 0 there.
fs::path hold_at(const Place& place, const std::string& file) {
    fs::create_directories(place.work / "run");
    fs::copy_file(place.work / "whole/argosy_run.json", place.work / "run/argosy_run.json");
    const fs::path pipe = place.work / "run" / (file + ".tmp");
    REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
    return pipe;
}

bool all_stored(const Place& place, std::int64_t requests) {
    const auto manifest = read_manifest(place.work / "run");
    if (!manifest || manifest->stored() < requests) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    return true;
}

}  // namespace

TEST_CASE("a second job in the directory is refused, and the first goes on") {
    const Place place;
    write_text(place.work / "in.jsonl", steady_requests(8));
    REQUIRE(run_at(place, 0, run_words(place, "whole", "in.jsonl")).status == 0);
    const fs::path pipe = hold_at(place, "responses.jsonl");
    auto job = std::async(std::launch::async, [&] { return run_at(place, 2, run_words(place, "run", "in.jsonl")); });
    CHECK(comes([&] { return all_stored(place, 8); }));
    const std::vector<std::string> files = files_under(place.work / "run");
    const std::string manifest = read_text(place.work / "run/manifest.jsonl");
    for (const int ranks : {0, 2}) {
        const ProgramResult second = run_at(place, ranks, run_words(place, "run", "in.jsonl"), 20);
        INFO(second.err);
        CHECK(second.status == 64);
        CHECK(second.seconds < 5 * patience());
        CHECK(second.out.empty());
        REQUIRE(sentences_of(second).size() == 1);
        CHECK(sentences_of(second)[0].find("is in use by process ") != std::string::npos);
        CHECK(sentences_of(second)[0].find("another --run-dir") != std::string::npos);
        CHECK(files_under(place.work / "run") == files);
        CHECK(read_text(place.work / "run/manifest.jsonl") == manifest);
    }
    CHECK(read_text(pipe) == read_text(place.work / "whole/responses.jsonl"));  // and so the first job goes on
    const ProgramResult first = job.get();
    INFO(first.err);
    CHECK(first.status == 0);
    check_nothing_left(place);
}

TEST_CASE("a rank that is killed while results are joined ends the job, and the same command finishes it") {
    const Place finished;
    write_text(finished.work / "in.jsonl", steady_requests(8));
    REQUIRE(run_at(finished, 0, run_words(finished, "whole", "in.jsonl")).status == 0);
    for (const auto& [ranks, victim] : kVictims) {
        for (const char* file : {"responses.jsonl", "report.json"}) {
            if (std::string(file) == "report.json" && ranks != 0) continue;  // the others have ended by then
            INFO(file);
            const Place place;
            write_text(place.work / "in.jsonl", steady_requests(8));
            fs::copy(finished.work / "whole", place.work / "whole", fs::copy_options::recursive);
            const fs::path pipe = hold_at(place, file);
            const auto held = [&] {
                if (std::string(file) == "report.json" && !fs::exists(place.work / "run/report.txt")) return false;
                return all_stored(place, 8);
            };
            kill_when(place, call_at(place, ranks, run_words(place, "run", "in.jsonl")), held, victim);
            CHECK(fs::exists(place.work / "run/responses.jsonl") == (std::string(file) == "report.json"));
            fs::remove(pipe);
            const ProgramResult again = run_at(place, ranks, run_words(place, "run", "in.jsonl"));
            INFO(again.err);
            REQUIRE(again.status == 0);
            CHECK((read_text(place.work / "run/responses.jsonl") == read_text(place.work / "whole/responses.jsonl")));
            CHECK(again.out.find("8 in all") != std::string::npos);
            check_nothing_left(place);
        }
    }
}
