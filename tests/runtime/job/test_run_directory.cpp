// The run directory: made, opened again, refused; its small files; and writes that fail.
#include <catch2/catch.hpp>
#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "kernels/base/error.hpp"
#include "runtime/job/file_writer.hpp"
#include "runtime/job/model_files.hpp"
#include "runtime/job/run_directory.hpp"
#include "tests/support/shared_data.hpp"

using namespace argosy;
namespace fs = std::filesystem;

namespace {

const JobIdentity kJob{.model_digest = "m1",
                       .model_files = "f1",
                       .input_digest = "i1",
                       .numerics_id = "cpu-exact-1",
                       .seed = 5,
                       .settings = "kv-dtype bf16, limit -1"};

// The sentence with which opening is refused, and that nothing in the folder changed by it.
std::string refusal(const fs::path& path, const JobIdentity& job, ErrorKind kind = ErrorKind::usage) {
    try {
        RunDirectory directory(path, job);
    } catch (const Error& error) {
        CHECK(error.kind() == kind);
        return error.what();
    }
    return "";
}

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("a run directory is made, opened again by the same job, and refused to another") {
    test::TempDir folder;
    const fs::path path = folder.path() / "deep" / "run";
    {
        RunDirectory directory(path, kJob);
        CHECK_FALSE(directory.resumed());
        CHECK_FALSE(directory.finished());
        CHECK(fs::is_directory(directory.shards()));
        CHECK(directory.start(7) == 1);
    }
    {
        RunDirectory directory(path, kJob);
        CHECK(directory.resumed());
        CHECK(directory.manifest().requests == 7);
        CHECK(directory.start(7) == 2);
        replace_file(directory.responses(), "", true);
        CHECK_FALSE(directory.finished());  // the report is missing yet
        directory.finish();
        CHECK(directory.finished());
    }
    {
        RunDirectory directory(path, kJob);
        CHECK(directory.finished());
        fs::remove(directory.responses());
        CHECK_FALSE(directory.finished());
    }
    const JobIdentity other{.model_digest = "m2",
                            .model_files = "f2",
                            .input_digest = "i2",
                            .numerics_id = "cpu-int8-1",
                            .seed = 6,
                            .settings = "kv-dtype f32, slice 1/2"};
    const std::vector<std::string> all = {
        R"(model_digest was "m1" and is "m2")", R"(model_files was "f1" and is "f2")",
        R"(input_digest was "i1" and is "i2")", R"(numerics_id was "cpu-exact-1" and is "cpu-int8-1")",
        R"(seed was "5" and is "6")",           R"(kv-dtype was "bf16" and is "f32")",
        R"(slice was "" and is "1/2")",         R"(limit was "-1" and is "")",
    };
    std::string list;
    for (const std::string& difference : all) list += (list.empty() ? "" : "; ") + difference;
    CHECK(has(refusal(path, other), "holds another job: " + list + ". Nothing was touched."));
    for (int member = 0; member < 6; ++member) {  // and each alone
        JobIdentity one = kJob;
        if (member == 0) one.model_digest = other.model_digest;
        if (member == 1) one.model_files = other.model_files;
        if (member == 2) one.input_digest = other.input_digest;
        if (member == 3) one.numerics_id = other.numerics_id;
        if (member == 4) one.seed = other.seed;
        if (member == 5) one.settings = "kv-dtype f32, limit -1";
        CHECK(has(refusal(path, one), "holds another job: " + all[static_cast<std::size_t>(member)] + ". "));
        // Before weights are read their digest is not known, but the rest is.
        one.model_digest.clear();
        if (member == 0)
            CHECK_NOTHROW(check_run_directory(path, one));
        else
            CHECK_THROWS_WITH(check_run_directory(path, one), Catch::Contains(all[static_cast<std::size_t>(member)]));
    }
    replace_file(path / "argosy_run.json", "{\"argosy_run\":\"1\"}", true);
    CHECK(has(refusal(path, kJob), "another version of Argosy"));
    CHECK(describe(kJob) ==
          "model_digest m1, model_files f1, input_digest i1, numerics_id cpu-exact-1, seed 5, settings kv-dtype bf16, "
          "limit -1");
}

TEST_CASE("a finished job is known again by its weight files' names, sizes and times") {
    const test::TempDir folder;
    const fs::path path = folder.path() / "run";
    JobIdentity job = kJob, early = kJob;
    early.model_digest.clear();
    job.weights_seen = early.weights_seen = "model.safetensors 12 34";
    {
        RunDirectory directory(path, job);
        directory.start(0);
        replace_file(directory.responses(), "", true);
        replace_file(path / "report.txt", "", true);
        CHECK_FALSE(holds_finished(path, early));
        directory.finish();
    }
    CHECK(holds_finished(path, early));
    JobIdentity touched = early, unknown = early, other = early;
    touched.weights_seen = "model.safetensors 12 35";
    unknown.weights_seen.clear();
    other.seed = 6;
    CHECK_FALSE(holds_finished(path, touched));
    CHECK_FALSE(holds_finished(path, unknown));
    CHECK_FALSE(holds_finished(path, other));
    CHECK_NOTHROW(RunDirectory(path, [&] {  // times are no difference between jobs
        JobIdentity copied = job;
        copied.weights_seen = touched.weights_seen;
        return copied;
    }()));
    for (const char* name : {"report.txt", "responses.jsonl"}) {
        fs::rename(path / name, path / "aside");
        CHECK_FALSE(holds_finished(path, early));
        fs::rename(path / "aside", path / name);
    }
    CHECK_FALSE(holds_finished(folder.path() / "none", early));
}

TEST_CASE("every file that answers hang on makes another model") {
    const test::TempDir folder;
    const auto write = [&](const std::string& name, const std::string& text) {
        replace_file(folder.path() / name, text, false);
    };
    write("config.json", "{}");
    write("a.safetensors", "abc");
    const std::vector<fs::path> weights = {folder.path() / "a.safetensors"};
    const auto look = [&] { return look_at_model_files(folder.path() / "config.json", weights); };
    std::set<std::string> digests = {look().digest};
    for (const char* name :
         {"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"}) {
        CAPTURE(name);
        write(name, "the same text");
        CHECK(digests.insert(look().digest).second);
    }
    const ModelFiles before = look();
    CHECK(look() == before);
    CHECK(before.weights.find("a.safetensors 3 ") == 0);
    fs::last_write_time(weights[0], fs::last_write_time(weights[0]) + std::chrono::seconds(1));
    CHECK(look().digest == before.digest);
    CHECK(look().weights != before.weights);
}

TEST_CASE("a folder with other things in it is refused and left as it is") {
    test::TempDir folder;
    std::ofstream(folder.path() / "thesis.tex") << "years of work";
    CHECK(has(refusal(folder.path(), kJob), "is not empty and holds no Argosy run"));
    CHECK(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()) == 1);
    CHECK(has(refusal(folder.path() / "thesis.tex", kJob), "is a file"));
    fs::create_directory(folder.path() / "empty");
    CHECK(refusal(folder.path() / "empty", kJob).empty());
    std::ofstream(folder.path() / "empty" / "argosy_run.json") << "{damaged";
    CHECK(has(refusal(folder.path() / "empty", kJob), "is damaged"));
    CHECK(has(refusal("/proc/argosy", kJob, ErrorKind::system), "cannot be made"));
}

TEST_CASE("two jobs cannot hold one run directory") {
    test::TempDir folder;
    {
        RunDirectory directory(folder.path(), kJob);
        CHECK(has(refusal(folder.path(), kJob), "is in use by process " + std::to_string(::getpid())));
        CHECK_THROWS_WITH(check_run_directory(folder.path(), kJob), Catch::Contains("is in use"));
        // The lock counts, however old the lease's time is.
        fs::last_write_time(folder.path() / "lease", fs::file_time_type::clock::now() - std::chrono::hours(5));
        CHECK(has(refusal(folder.path(), kJob), "is in use"));
        directory.write_status({});
        CHECK(fs::file_time_type::clock::now() - fs::last_write_time(folder.path() / "lease") < std::chrono::hours(1));
    }
    CHECK(refusal(folder.path(), kJob).empty());
}

TEST_CASE("what is not in the manifest is removed when a run starts, and a listed shard stays") {
    test::TempDir folder;
    {
        RunDirectory directory(folder.path(), kJob);
        CHECK(directory.start(3) == 1);
        directory.list_shards({shard_line({.name = "001-00000-000001.h5", .bytes = 1, .xxh3 = 2, .answers = 3})});
        CHECK_THROWS_AS(directory.list_shards({finished_line()}), Error);
        for (const char* name :
             {"001-00000-000001.h5", "001-00000-000002.h5", "001-00000-000003.h5.tmp", "notes.txt"}) {
            std::ofstream(directory.shards() / name) << "x";
        }
    }
    RunDirectory directory(folder.path(), kJob);
    CHECK(directory.manifest().stored() == 3);
    CHECK(directory.start(3) == 2);
    CHECK(fs::exists(directory.shards() / "001-00000-000001.h5"));
    CHECK(fs::exists(directory.shards() / "notes.txt"));
    CHECK(std::distance(fs::directory_iterator(directory.shards()), fs::directory_iterator()) == 2);
    directory.withdraw_shard("001-00000-000001.h5", "is damaged");
    CHECK(directory.manifest().shards.empty());
    CHECK(fs::exists(directory.shards() / "001-00000-000001.h5.damaged"));
    CHECK(read_manifest(folder.path()) == std::optional(directory.manifest()));
}

TEST_CASE("status, log, settings and error records") {
    test::TempDir folder;
    RunDirectory directory(folder.path(), kJob);
    JobStatus status{.state = "running",
                     .requests = 10,
                     .done = 4,
                     .errors = 1,
                     .prompt_tokens = 40,
                     .output_tokens = 20,
                     .seconds = 2.5,
                     .tokens_per_second = 24};
    CHECK(status_json(status) ==
          "{\"state\":\"running\",\"requests\":10,\"done\":4,\"errors\":1,\"prompt_tokens\":40,\"output_tokens\":20,"
          "\"seconds\":2.5,\"tokens_per_second\":24,\"seconds_left\":null,\"cost\":null}\n");
    status.seconds_left = 0.5;
    status.cost = "$1.20";
    directory.write_status(status);
    directory.write_status(status);
    const auto json = nlohmann::json::parse(read_whole_file(folder.path() / "status.json"));
    CHECK(json["seconds_left"] == 0.5);
    CHECK(json["cost"] == "$1.20");
    directory.log("first");
    directory.log("second\nline");
    const std::string log = read_whole_file(folder.path() / "log.txt");
    CHECK(has(log, "Z first\n"));
    CHECK(has(log, "Z second line\n"));
    directory.write_settings("tp = 2\n");
    CHECK(read_whole_file(folder.path() / "effective.cfg") == "tp = 2\n");
    directory.write_errors({{.line = 2, .code = "c", .sentence = "s"}, {.line = 5, .code = "c", .sentence = "s"}});
    const std::string errors = read_whole_file(folder.path() / "errors.jsonl");
    CHECK(std::count(errors.begin(), errors.end(), '\n') == 2);
    for (const auto& entry : fs::directory_iterator(folder.path())) CHECK(entry.path().extension() != ".tmp");
}

TEST_CASE("a full disk and a missing folder are told in a sentence that says what to do") {
    const auto sentence_of = [](auto act) -> std::string {
        try {
            act();
        } catch (const Error& error) {
            CHECK(error.kind() == ErrorKind::system);
            return error.what();
        }
        return "";
    };
    const std::string full = sentence_of([] {
        FileWriter file("/dev/full", FileWriter::Mode::append);
        file.write("x");
        file.flush();
    });
    CHECK(full ==
          "/dev/full cannot be written: No space left on device. Free space or raise the quota, and start the same "
          "command again; "
          "results that are on the disk stay.");
    CHECK(has(sentence_of([] {
                  FileWriter file("/dev/full", FileWriter::Mode::append);
                  for (int i = 0; i < 100; ++i) file.write(std::string(10000, 'x'));
              }),
              "No space left"));
    const test::TempDir folder;
    const fs::path missing = folder.path() / "nowhere/file";
    CHECK(has(sentence_of([&] { FileWriter(missing, FileWriter::Mode::truncate); }), "No such file"));
    CHECK(has(sentence_of([] { replace_file("/proc/x", "y", true); }), "/proc/x"));
    CHECK_THROWS_AS(read_whole_file(missing), Error);
    CHECK_THROWS_AS(read_whole_file("/proc"), Error);
}
