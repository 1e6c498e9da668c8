// What argosy export prints of a run: while it goes on, when it has finished, and when there is nothing to export.
#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <future>
#include <iostream>
#include <sstream>

#include "runtime/job/file_writer.hpp"
#include "runtime/job/shard_hdf5.hpp"
#include "runtime/job/shard_writer.hpp"
#include "tests/launch/stored_runs.hpp"

using namespace argosy;
using namespace argosy::test;
namespace fs = std::filesystem;
using nlohmann::json;

TEST_CASE("a run is exported while it goes on") {
    const Place place;
    write_text(place.work / "in.jsonl", mixed_requests(150, 50));
    const fs::path run = place.work / "run", out = place.work / "out.jsonl";
    auto job = std::async(std::launch::async,
                          [&] { return run_program(call_at(place, 2, run_words(place, "run", "in.jsonl"))); });
    while (!fs::exists(run / "manifest.jsonl") &&
           job.wait_for(std::chrono::milliseconds(20)) != std::future_status::ready) {
    }
    std::vector<std::string> partial;  // exports, each whole lines
    while (job.wait_for(std::chrono::milliseconds(100)) != std::future_status::ready) {
        const ProgramResult some =
            run_program(call_at(place, 0, export_words(run, {"--partial", "--output", out.string()})));
        INFO(some.err);
        REQUIRE(some.status == 0);
        partial.push_back(read_text(out));
        if (partial.size() == 1) {
            const ProgramResult all = run_program(call_at(place, 0, export_words(run, {})));
            INFO(all.err);
            const bool unfinished = all.err.find("is not finished: ") != std::string::npos &&
                                    all.err.find(" of 150 requests are stored") != std::string::npos;
            CHECK((all.status == 0 || (all.status == 64 && unfinished && all.out.empty())));
        }
    }
    const ProgramResult result = job.get();
    INFO(result.err);
    REQUIRE(result.status == 0);
    const std::string want = read_text(run / "responses.jsonl");
    REQUIRE(partial.size() >= 2);
    std::size_t between = 0, before = 0;
    for (const std::string& text : partial) {
        std::istringstream lines(text), wanted(want);
        std::size_t count = 0;
        for (std::string line, other; std::getline(lines, line); ++count) {
            while (std::getline(wanted, other) && other != line) {
            }
            REQUIRE((other == line));  // a line of the end result, in its order
        }
        CHECK(count >= before);
        before = count;
        between += count > 0 && count < 150 ? 1 : 0;
    }
    CHECK(between > 0);
    std::cout << partial.size() << " exports of a running job, " << between << " of them partial\n";

    const ProgramResult text = run_program(call_at(place, 0, export_words(run, {})));
    CHECK(text.status == 0);
    CHECK((text.out == want));
    const ProgramResult columns = run_program(
        call_at(place, 0, export_words(run, {"--format", "hdf5", "--output", (place.work / "all.h5").string()})));
    INFO(columns.err);
    REQUIRE(columns.status == 0);
    const ShardTable table = read_shard_image(read_whole_file(place.work / "all.h5"), "all.h5");
    std::string joined;
    for (std::size_t i = 0; i < table.rows(); ++i) joined += text_of(answer_at(table, i)) + "\n";
    CHECK((joined == want));
    std::int64_t cached = 0, uncached = 0, delivered = 0;
    for (std::size_t i = 0; i < table.rows(); ++i) {
        cached += table.cached_input[i];
        uncached += table.uncached_input[i];
        delivered += table.delivered_output[i];
    }
    const json tokens = read_report(run).at("tokens");  // what the shards say of each request adds up to the report
    CHECK(tokens.at("cached_input").at("tokens") == cached);
    CHECK(tokens.at("uncached_input").at("tokens") == uncached);
    CHECK(tokens.at("delivered_output").at("tokens") == delivered);
}

TEST_CASE("mistakes with export are told in a sentence") {
    const Place place;
    fs::create_directories(place.work / "empty");
    const std::vector<std::pair<std::vector<std::string>, std::string>> mistakes = {
        {{"export"}, "wants the run directory"},
        {{"export", (place.work / "none").string()}, "There is no run directory"},
        {{"export", (place.work / "empty").string()}, "no manifest.jsonl"},
        {{"export", "x", "--format", "csv"}, "--format is \"csv\""},
        {{"export", "x", "--partail"}, "Did you mean partial?"},
        {{"export", (place.work / "empty").string(), "--format", "hdf5"}, "--output"},
    };
    for (const auto& [words, sentence] : mistakes) {
        const ProgramResult result = run_program(call_at(place, 0, words));
        INFO(result.err);
        CHECK(result.status == 64);
        CHECK(result.err.find(sentence) != std::string::npos);
        CHECK(std::count(result.err.begin(), result.err.end(), '\n') == 1);
        CHECK(result.out.empty());
    }
    CHECK(run_program(call_at(place, 0, {"export", "--help"})).out.find("--partial") != std::string::npos);
}
