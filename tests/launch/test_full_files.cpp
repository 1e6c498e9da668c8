// Every kind of file that a run writes, on a full disk or at a limit of its size: status 70, a sentence that names the
// file and says what to do, and with room again the same command finishes with the same bytes.
#include <sys/resource.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <future>
#include <iostream>
#include <thread>

#include "tests/launch/stored_runs.hpp"

using namespace argosy;
using namespace argosy::test;
namespace fs = std::filesystem;

namespace {

struct Full {
    std::string name;  // of the file that is full
    std::string link;  // what stands for it: the temporary name, where it is written before it is put into place
    int ranks = 0;
    ProgramResult first, second;
    std::string responses, left;
    std::unique_ptr<Place> place = std::make_unique<Place>();
};

// The kernel's own full file stands where the file is to be written.
void run_full(Full& full, const std::string& identity, const std::string& requests) {
    const Place& place = *full.place;
    write_text(place.work / "in.jsonl", requests);
    fs::create_directories(place.work / "run");
    if (full.name != "argosy_run.json") write_text(place.work / "run/argosy_run.json", identity);
    fs::create_symlink("/dev/full", place.work / "run" / full.link);
    const std::vector<std::string> words = run_words(place, "run", "in.jsonl");
    full.first = run_at(place, full.ranks, words, 30);
    if (full.name == full.link) fs::remove(place.work / "run" / full.link);
    full.second = run_at(place, full.ranks, words, 60);
    full.responses = read_text(place.work / "run/responses.jsonl");
    full.left = left_behind(place);
}

}  // namespace

TEST_CASE("each file of a run directory on a full disk: a sentence that names it, and then the same bytes") {
    const std::string requests = steady_requests(4) + "{\"prompt\": 7}\n";
    const Place whole;
    write_text(whole.work / "in.jsonl", requests);
    REQUIRE(run_at(whole, 0, run_words(whole, "run", "in.jsonl")).status == 0);
    const std::string identity = read_text(whole.work / "run/argosy_run.json");
    const std::string want = read_text(whole.work / "run/responses.jsonl");

    std::vector<Full> cases;
    for (const char* name : {"argosy_run.json", "effective.cfg", "log.txt", "errors.jsonl", "responses.jsonl",
                             "status.json", "report.txt", "report.json", "costs-1.csv"}) {
        // World rank 0 alone writes these files: with two ranks, one of each phase.
        const bool also_on_2 = std::string(name).find(".json") != std::string::npos;
        for (const int ranks : also_on_2 ? std::vector<int>{0, 2} : std::vector<int>{0}) {
            Full& full = cases.emplace_back();
            full.name = name;
            full.link = full.name == "log.txt" ? full.name : full.name + ".tmp";
            full.ranks = ranks;
        }
    }
    several_at_a_time(cases.size(), [&](std::size_t i) { run_full(cases[i], identity, requests); });
    for (const Full& full : cases) {
        INFO(full.name << ", ranks " << full.ranks << "\n" << full.first.err);
        CHECK(full.first.status == 70);
        const std::vector<std::string> sentences = sentences_of(full.first);
        REQUIRE(sentences.size() == 1);
        CHECK(sentences[0].find("run/" + full.link + " cannot be written: No space left on device.") !=
              std::string::npos);
        CHECK(sentences[0].find("Free space or raise the quota") != std::string::npos);
        INFO(full.second.err);
        CHECK(full.second.status == 0);
        CHECK((full.responses == want));
        CHECK(full.second.out.find("5 in all") != std::string::npos);
        CHECK(full.left.empty());
        for (const std::string& file : files_under(full.place->work / "run"))
            CHECK(fs::path(file).extension() != ".tmp");
    }
}

namespace {

struct Limited {
    ProgramResult result;
    std::size_t stored = 0;  // requests in listed shards when the limit was set
};

// Sets a limit on the size of files for the ranks of a job that has stored something: before, MPI's own files would
// not fit.
Limited run_limited(const Place& place, int ranks, const std::vector<std::string>& words,
                    const std::function<rlim_t()>& limit) {
    auto job = std::async(std::launch::async, [&] { return run_at(place, ranks, words); });
    while (stored_requests(place.work / "run") == 0 &&
           job.wait_for(std::chrono::milliseconds(5)) != std::future_status::ready) {
    }
    const rlimit size = {limit(), RLIM_INFINITY};
    for (const pid_t rank : processes("argosy", place.work.string())) prlimit(rank, RLIMIT_FSIZE, &size, nullptr);
    Limited limited;
    limited.stored = stored_requests(place.work / "run");
    limited.result = job.get();
    return limited;
}

// One row: shards or the manifest meet a limit of their size while a job of that many requests runs. False when the
// machine had answered everything before the limit was set, so that nothing was left to meet it.
bool meets_limit(const Place& place, int ranks, bool of_shards, std::size_t requests) {
    const std::vector<std::string> words = run_words(place, "run", "in.jsonl", {"--max-rows", "48"});
    const fs::path manifest = place.work / "run/manifest.jsonl";
    fs::remove_all(place.work / "run");
    if (!of_shards) {  // a long line that lists nothing makes the manifest the longest file
        fs::create_directories(place.work / "run");
        fs::copy_file(place.work / "whole/argosy_run.json", place.work / "run/argosy_run.json");
        write_text(manifest, std::string(8 << 20, 'x') + "\n");
    }
    const Limited first = run_limited(place, ranks, words, [&] {
        return of_shards ? rlim_t{4096} : static_cast<rlim_t>(fs::file_size(manifest)) + 40;
    });
    if (first.stored == requests) return false;
    INFO(first.stored << " of " << requests << " requests stored before the limit\n" << first.result.err);
    CHECK(first.result.status == 70);
    const std::vector<std::string> sentences = sentences_of(first.result);
    // Both ranks write shards: the limit may meet them in the same moment.
    CHECK(sentences.size() >= 1);
    CHECK(sentences.size() <= (of_shards && ranks == 2 ? 2u : 1u));
    for (const std::string& sentence : sentences) {
        CHECK(sentence.find(of_shards ? "run/shards/" : "run/manifest.jsonl") != std::string::npos);
        CHECK(sentence.find("File too large") != std::string::npos);
        CHECK(sentence.find("raise the quota") != std::string::npos);
    }
    CHECK_FALSE(fs::exists(place.work / "run/responses.jsonl"));
    if (!sentences.empty()) std::cout << sentences[0] << "\n";
    const ProgramResult second = run_at(place, ranks, words);
    INFO(second.err);
    CHECK(second.status == 0);
    CHECK((read_text(place.work / "run/responses.jsonl") == read_text(place.work / "whole/responses.jsonl")));
    check_nothing_left(place);
    return true;
}

}  // namespace

TEST_CASE("a limit on the size of files: shards and the manifest, and then the same bytes") {
    constexpr std::size_t kRequestsMost = 2880;
    const Place place;
    std::size_t requests = 0;
    const auto take_requests = [&](std::size_t count) {
        requests = count;
        write_text(place.work / "in.jsonl", steady_requests(static_cast<int>(requests)));
        fs::remove_all(place.work / "whole");
        REQUIRE(run_at(place, 2, run_words(place, "whole", "in.jsonl", {"--max-rows", "48"})).status == 0);
    };
    take_requests(360);
    for (const int ranks : {0, 2}) {
        for (const bool of_shards : {true, false}) {
            INFO((of_shards ? "shards, ranks " : "manifest, ranks ") << ranks);
            // A quick machine, or one that let the test sleep, wants a longer job.
            while (!meets_limit(place, ranks, of_shards, requests)) {
                REQUIRE(requests < kRequestsMost);
                take_requests(2 * requests);
            }
        }
    }
}

TEST_CASE("an export onto a full disk") {
    const Place place;
    write_text(place.work / "in.jsonl", steady_requests(3));
    REQUIRE(run_at(place, 0, run_words(place, "run", "in.jsonl")).status == 0);
    for (const std::string format : {"jsonl", "hdf5"}) {
        INFO(format);
        fs::create_symlink("/dev/full", place.work / "out.tmp");
        const std::vector<std::string> words = {"export", place.at("run"), "--format",
                                                format,   "--output",      place.at("out")};
        const ProgramResult full = run_at(place, 0, words);
        INFO(full.err);
        CHECK(full.status == 70);
        CHECK(sentences_of(full).size() == 1);
        CHECK(full.err.find("out.tmp") != std::string::npos);
        CHECK_FALSE(fs::exists(place.work / "out"));
        fs::remove(place.work / "out.tmp");
        CHECK(run_at(place, 0, words).status == 0);
        fs::remove(place.work / "out");
    }
    ProgramCall call = call_at(place, 0, {"export", place.at("run")});
    call.before = {"sh", "-c", "exec \"$@\" >/dev/full", "sh"};
    const ProgramResult full = run_program(call);
    INFO(full.err);
    CHECK(full.status == 70);
    CHECK(sentences_of(full).size() == 1);
}
