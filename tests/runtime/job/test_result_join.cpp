// Sorting by line, the join of shards in input order, and exports: in memory and through the disk, whole and partial,
// with damaged shards.
#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <set>

#include "kernels/base/error.hpp"
#include "runtime/job/result_join.hpp"
#include "runtime/job/result_sorter.hpp"
#include "runtime/job/run_directory.hpp"
#include "runtime/job/shard_hdf5.hpp"
#include "runtime/job/shard_writer.hpp"
#include "tests/runtime/job/answer_samples.hpp"
#include "tests/support/shared_data.hpp"

using namespace argosy;
namespace fs = std::filesystem;

namespace {

// A run directory with answers for some lines, scattered over shards of three ranks.
struct SampleRun {
    test::TempDir temp;
    fs::path path = temp.path() / "run";
    std::vector<std::int64_t> lines;
    std::map<std::int64_t, StoredAnswer> answers;
    std::unique_ptr<RunDirectory> directory;

    explicit SampleRun(int count, std::int64_t requests = -1) {
        std::mt19937 random(21);
        for (std::int64_t line = 1; static_cast<int>(lines.size()) < count; ++line) {
            if (random() % 4 != 0) lines.push_back(line);
        }
        directory = std::make_unique<RunDirectory>(path, JobIdentity{.model_digest = "m"});
        directory->start(requests < 0 ? count : requests);
        std::vector<std::int64_t> shuffled = lines;
        std::shuffle(shuffled.begin(), shuffled.end(), random);
        std::vector<ShardWriter> writers;
        for (const int rank : {0, 3, 12}) writers.emplace_back(directory->shards(), 1, rank, 0);
        for (const std::int64_t line : shuffled) {
            answers[line] = test::random_answer(random, line);
            ShardWriter& writer = writers[random() % 3];
            writer.add(answers[line], 0);
            if (writer.rows() >= 50) directory->list_shards({shard_line(*writer.seal())});
        }
        for (ShardWriter& writer : writers) {
            if (const auto entry = writer.seal()) directory->list_shards({shard_line(*entry)});
        }
    }

    std::string text(bool errors_only = false) const {
        std::string all;
        for (const auto& [line, answer] : answers) {
            if (!errors_only || std::holds_alternative<LineError>(answer)) all += text_of(answer) + "\n";
        }
        return all;
    }
    std::int64_t errors() const {
        return std::count_if(answers.begin(), answers.end(),
                             [](const auto& one) { return std::holds_alternative<LineError>(one.second); });
    }
    JoinCounts join() const {
        return join_results(directory->shards(), directory->manifest().shards, lines, path / "responses.jsonl",
                            path / "errors.jsonl");
    }
    // Spoils the shard at that place in the manifest; returns the lines it held.
    std::set<std::int64_t> damage(std::size_t place) const {
        const ShardEntry entry = directory->manifest().shards.at(place);
        const ShardRead read = read_shard(directory->shards(), entry);
        std::string bytes = read_whole_file(directory->shards() / entry.name);
        bytes[bytes.size() / 2] ^= 1;
        replace_file(directory->shards() / entry.name, bytes, false);
        return {read.table->line.begin(), read.table->line.end()};
    }
};

std::string sentence_of(const std::function<void()>& act, ErrorKind kind) {
    try {
        act();
    } catch (const Error& error) {
        CHECK(error.kind() == kind);
        return error.what();
    }
    return "";
}

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

std::size_t files_in(const fs::path& folder) {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

}  // namespace

TEST_CASE("records come out by line, in memory and through the disk, the first of several for one line") {
    test::TempDir folder;
    for (const std::int64_t memory : {std::int64_t{1} << 30, std::int64_t{20000}, std::int64_t{1}}) {
        std::mt19937 random(22);
        ResultSorter sorter(folder.path(), memory);
        std::map<std::int64_t, std::string> want;
        const int records = memory == 1 ? 40 : 2000;
        for (int i = 0; i < records; ++i) {
            const std::int64_t line = 1 + random() % 1500;
            std::string record = i == 5 ? std::string(600000, 'x') : test::random_bytes(random, 500);
            want.emplace(line, record);
            sorter.add(line, std::move(record));
        }
        CHECK((sorter.runs() > 10) == (memory < 1 << 30));
        std::map<std::int64_t, std::string> have;
        std::int64_t last = 0;
        sorter.drain([&](std::int64_t line, std::string_view record) {
            REQUIRE(line > last);
            last = line;
            have.emplace(line, record);
        });
        CHECK((have == want));
        CHECK(files_in(folder.path()) == 0);
    }
    ResultSorter nothing(folder.path());
    nothing.drain([](std::int64_t, std::string_view) { FAIL("a record of nothing"); });
    CHECK_THROWS_AS(ResultSorter(folder.path() / "missing", 1).add(1, "x"), Error);
}

TEST_CASE("answers scattered over shards come back in input order") {
    const SampleRun run(700);
    REQUIRE(run.directory->manifest().shards.size() > 10);
    const JoinCounts counts = run.join();
    CHECK(counts.errors == run.errors());
    CHECK(counts.answers + counts.errors == 700);
    CHECK((read_whole_file(run.path / "responses.jsonl") == run.text()));
    CHECK((read_whole_file(run.path / "errors.jsonl") == run.text(true)));
    CHECK_FALSE(fs::exists(run.path / "responses.jsonl.tmp"));
    CHECK(run.join() == counts);  // again, as after a crash
}

TEST_CASE("a line that is missing or a shard that is damaged stops the join, and nothing is published") {
    SampleRun run(200);
    for (const std::int64_t missing : {std::int64_t{0}, std::int64_t{1000}}) {
        std::vector<std::int64_t> wanted = run.lines;
        wanted.insert(std::lower_bound(wanted.begin(), wanted.end(), missing), missing);
        std::swap(run.lines, wanted);
        CHECK(has(sentence_of([&] { run.join(); }, ErrorKind::internal),
                  "Line " + std::to_string(missing) + " has no answer"));
        std::swap(run.lines, wanted);
    }
    run.damage(1);
    const std::string sentence = sentence_of([&] { run.join(); }, ErrorKind::system);
    CHECK(has(sentence, run.directory->manifest().shards[1].name + " is damaged"));
    for (const char* name : {"responses.jsonl", "errors.jsonl", "responses.jsonl.tmp", "errors.jsonl.tmp"})
        CHECK_FALSE(fs::exists(run.path / name));
}

TEST_CASE("a finished run is exported in both formats") {
    const SampleRun run(300);
    const fs::path jsonl = run.temp.path() / "all.jsonl", hdf5 = run.temp.path() / "all.h5";
    const ExportOutcome text = export_results({.run_dir = run.path, .output = jsonl});
    CHECK(text.written.answers + text.written.errors == 300);
    CHECK(text.written.errors == run.errors());
    CHECK((read_whole_file(jsonl) == run.text()));
    CHECK(export_results({.run_dir = run.path, .format = ExportFormat::hdf5, .output = hdf5}).written == text.written);
    const ShardTable table = read_shard_image(read_whole_file(hdf5), "all.h5");
    REQUIRE(table.rows() == 300);
    std::size_t i = 0;
    for (const auto& [line, answer] : run.answers) REQUIRE(answer_at(table, i++) == answer);
    CHECK(files_in(run.temp.path()) == 3);
}

TEST_CASE("an unfinished run is exported with --partial only, and what is damaged is named and left out") {
    const SampleRun run(300, 400);
    const fs::path out = run.temp.path() / "some.jsonl";
    const std::string sentence =
        sentence_of([&] { export_results({.run_dir = run.path, .output = out}); }, ErrorKind::usage);
    CHECK(has(sentence, "300 of 400 requests are stored"));
    CHECK_FALSE(fs::exists(out));
    CHECK(export_results({.run_dir = run.path, .output = out, .partial = true}).requests == 400);
    CHECK((read_whole_file(out) == run.text()));

    // What is not listed is not there.
    fs::copy_file(run.directory->shards() / run.directory->manifest().shards[0].name,
                  run.directory->shards() / "001-00099-000001.h5");
    CHECK(export_results({.run_dir = run.path, .output = out, .partial = true}).damaged.empty());
    CHECK((read_whole_file(out) == run.text()));

    const std::set<std::int64_t> lost = run.damage(2);
    const ExportOutcome partial = export_results({.run_dir = run.path, .output = out, .partial = true});
    REQUIRE(partial.damaged.size() == 1);
    CHECK(has(partial.damaged[0], run.directory->manifest().shards[2].name));
    std::string rest;
    for (const auto& [line, answer] : run.answers) {
        if (!lost.contains(line)) rest += text_of(answer) + "\n";
    }
    CHECK((read_whole_file(out) == rest));
}

TEST_CASE("exports that cannot be are refused") {
    const SampleRun run(5);
    run.damage(0);
    const fs::path out = run.temp.path() / "out";
    CHECK(has(sentence_of([&] { export_results({.run_dir = run.path, .output = out}); }, ErrorKind::system),
              "sets the shard aside"));
    CHECK(
        has(sentence_of([&] { export_results({.run_dir = run.path, .format = ExportFormat::hdf5}); }, ErrorKind::usage),
            "--output"));
    CHECK(
        has(sentence_of([&] { export_results({.run_dir = run.temp.path() / "no", .output = out}); }, ErrorKind::usage),
            "There is no run directory"));
    CHECK(has(sentence_of([&] { export_results({.run_dir = run.temp.path(), .output = out}); }, ErrorKind::usage),
              "has no manifest.jsonl"));
    CHECK_FALSE(fs::exists(out));
    const SampleRun good(5);
    for (const ExportFormat format : {ExportFormat::jsonl, ExportFormat::hdf5}) {
        CHECK_FALSE(
            sentence_of(
                [&] { export_results({.run_dir = good.path, .format = format, .output = good.path / "no" / "out"}); },
                ErrorKind::system)
                .empty());
    }
}
