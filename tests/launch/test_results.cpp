// What a run leaves, whatever happens to it: ranks killed at any moment, a full disk, damaged shards; the order in
// which a shard and its line reach the disk; exports of a run that goes on; other jobs told apart before weights are
// read.
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <fstream>
#include <future>
#include <iostream>
#include <random>
#include <regex>
#include <sstream>
#include <thread>

#include "runtime/job/file_writer.hpp"
#include "runtime/job/manifest_file.hpp"
#include "runtime/job/shard_hdf5.hpp"
#include "runtime/job/shard_writer.hpp"
#include "tests/launch/run_program.hpp"
#include "tests/support/shared_data.hpp"

using namespace argosy;
using namespace argosy::test;
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

// Of the demo model, all that answers hang on.
constexpr const char* kModelFiles[] = {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json",
                                       "tokenizer_config.json"};

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

struct Place {
    TempDir temp;
    fs::path work = temp.path() / "work";
    fs::path tmp = temp.path() / "tmp";  // the program's and MPI's temporary files
    Place() {
        fs::create_directories(work);
        fs::create_directories(tmp);
    }
};

ProgramCall call_at(const Place& place, int ranks, std::vector<std::string> arguments) {
    ProgramCall call;
    call.ranks = ranks;
    call.arguments = std::move(arguments);
    call.environment = {"TMPDIR=" + place.tmp.string(), "OMPI_MCA_btl_vader_backing_directory=" + place.tmp.string()};
    return call;
}

// Greedy and sampled requests, one, two or three samples, some with log probabilities, and a line with a mistake now
// and then.
std::string mixed_requests(int count, int tokens) {
    std::string requests;
    for (int i = 0; i < count; ++i) {
        json extra = {{"seed", i}, {"ignore_eos", true}, {"temperature", i % 3 == 0 ? 0.8 : 0.0}, {"n", 1 + i % 3}};
        if (i % 5 == 0) extra["logprobs"] = 3;
        if (i % 10 == 0) extra["echo"] = true;
        if (i % 50 == 7) extra["no_such_field"] = 1;
        requests += request_line("r" + std::to_string(i), {48, 25, 220 + i % 200, 30}, tokens + i * 13 % tokens, extra);
    }
    return requests;
}

std::vector<std::string> run_words(const Place& place, const std::string& run,
                                   const std::vector<std::string>& more = {}) {
    std::vector<std::string> words = {"run", "--run-dir", (place.work / run).string(), "--input",
                                      (place.work / "in.jsonl").string()};
    words.insert(words.end(), more.begin(), more.end());
    return words;
}

std::vector<std::string> export_words(const fs::path& run, const std::vector<std::string>& more) {
    std::vector<std::string> words = {"export", run.string()};
    words.insert(words.end(), more.begin(), more.end());
    return words;
}

// Every listed shard is whole, and no line stands in two places. Returns how many requests are stored.
std::size_t check_shards(const fs::path& run) {
    const auto manifest = read_manifest(run);
    if (!manifest) return 0;
    std::vector<std::int64_t> lines;
    for (const ShardEntry& entry : manifest->shards) {
        const ShardRead read = read_shard(run / "shards", entry);
        INFO(read.damage);
        REQUIRE(read.table);
        lines.insert(lines.end(), read.table->line.begin(), read.table->line.end());
    }
    std::sort(lines.begin(), lines.end());
    REQUIRE(std::adjacent_find(lines.begin(), lines.end()) == lines.end());
    REQUIRE(static_cast<std::int64_t>(lines.size()) == manifest->stored());
    return lines.size();
}

}  // namespace

TEST_CASE("killed at 30 random moments: the same bytes, no request answered twice, every listed shard whole") {
    constexpr int kKills = 30;
    constexpr int kRequests = 480;  // four seconds of a quick machine: shards are sealed after half a second
    constexpr int kKillsPerRun = 5;
    const Place place;
    write_text(place.work / "in.jsonl", mixed_requests(kRequests, 28));
    const ProgramResult whole = run_program(call_at(place, 2, run_words(place, "whole")));
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
        ProgramCall call = call_at(place, 2, run_words(place, "run"));
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

TEST_CASE("a run is exported while it goes on") {
    const Place place;
    write_text(place.work / "in.jsonl", mixed_requests(150, 50));
    const fs::path run = place.work / "run", out = place.work / "out.jsonl";
    auto job = std::async(std::launch::async, [&] { return run_program(call_at(place, 2, run_words(place, "run"))); });
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

TEST_CASE("a shard is on the disk before its line is, and its line before anything is built on it") {
    if (!have(std::system("strace -o /dev/null true 2>/dev/null") == 0, "the order of writes", "strace",
              "ARGOSY_REQUIRE_STRACE"))
        return;
    const Place place;
    write_text(place.work / "in.jsonl", mixed_requests(20, 10));
    ProgramCall call = call_at(place, 0, run_words(place, "run"));
    const fs::path log = place.work / "strace";
    call.before = {"strace", "-f",        "-y", "-s", "400", "-e", "trace=rename,fsync,write,openat,unlink",
                   "-o",     log.string()};
    const ProgramResult result = run_program(call);
    INFO(result.err);
    REQUIRE(result.status == 0);
    const auto manifest = read_manifest(place.work / "run");
    REQUIRE(manifest);
    REQUIRE_FALSE(manifest->shards.empty());

    std::vector<std::string> calls;
    std::istringstream lines(read_text(log));
    const std::string run = (place.work / "run").string();
    for (std::string line; std::getline(lines, line);) {
        if (line.find(run) != std::string::npos) calls.push_back(line);
    }
    const auto place_of = [&](std::size_t from, const std::string& name, const std::string& words) {
        for (std::size_t i = from; i < calls.size(); ++i) {
            if (calls[i].find(name + "(") != std::string::npos && calls[i].find(words) != std::string::npos) return i;
        }
        return calls.size();
    };
    for (const ShardEntry& entry : manifest->shards) {
        const std::string file = run + "/shards/" + entry.name;
        const std::size_t written = place_of(0, "write", file + ".tmp>");
        const std::size_t flushed = place_of(written, "fsync", file + ".tmp>");
        const std::size_t renamed = place_of(0, "rename", file + ".tmp\", \"" + file + "\"");
        const std::size_t in_folder = place_of(renamed, "fsync", run + "/shards>");
        const std::size_t listed = place_of(0, "write", entry.name + "\\\"");
        const std::size_t line_flushed = place_of(listed, "fsync", run + "/manifest.jsonl>");
        INFO(written << " " << flushed << " " << renamed << " " << in_folder << " " << listed << " " << line_flushed
                     << " of " << calls.size());
        CHECK(written < flushed);
        CHECK(flushed < renamed);
        CHECK(renamed < in_folder);
        CHECK(in_folder < listed);
        CHECK(listed < line_flushed);
        CHECK(line_flushed < calls.size());
        // Nobody writes to it after that.
        CHECK(place_of(flushed + 1, "write", file) == calls.size());
    }
    const std::size_t joined = place_of(0, "rename", run + "/responses.jsonl\"");
    const std::size_t errors = place_of(0, "rename", run + "/errors.jsonl\"");
    const std::size_t reported = place_of(0, "rename", run + "/report.json\"");
    const std::size_t finished = place_of(0, "write", "finished");
    CHECK(errors < joined);
    CHECK(joined < reported);
    CHECK(reported < finished);
    CHECK(finished < calls.size());
}

TEST_CASE("a damaged shard is named, set aside, and its requests run again") {
    const Place place;
    write_text(place.work / "in.jsonl", mixed_requests(40, 20));
    const fs::path run = place.work / "run";
    REQUIRE(run_program(call_at(place, 2, run_words(place, "run", {"--replicas", "2"}))).status == 0);
    const std::string want = read_text(run / "responses.jsonl");
    const Manifest before = *read_manifest(run);
    REQUIRE(before.shards.size() >= 2);
    const fs::path shard = run / "shards" / before.shards[1].name;
    std::string bytes = read_text(shard);
    bytes[bytes.size() / 3] ^= 4;
    write_text(shard, bytes);
    fs::remove(run / "responses.jsonl");  // else the job has finished, and nothing is looked at

    const ProgramResult again = run_program(call_at(place, 2, run_words(place, "run")));
    INFO(again.err);
    REQUIRE(again.status == 0);
    CHECK(again.err.find(shard.string() + " is damaged: its checksum") != std::string::npos);
    CHECK((read_text(run / "responses.jsonl") == want));
    CHECK(check_shards(run) == 40);
    CHECK(fs::exists(shard.string() + ".damaged"));
    CHECK(read_report(run).at("witness").at("requests_done") == before.shards[1].answers);
    CHECK(read_report(run).at("requests").at("done").get<std::int64_t>() +
              read_report(run).at("requests").at("failed").get<std::int64_t>() ==
          40);
}

TEST_CASE("a finished job prints its report again without reading weights that nobody touched") {
    const Place place;
    write_text(place.work / "in.jsonl", mixed_requests(4, 4));
    const fs::path model = place.work / "model";
    fs::create_directories(model);
    for (const char* name : kModelFiles) fs::copy_file(source_dir() / "configs/demo" / name, model / name);
    const fs::path weights = model / "model.safetensors";
    const auto run = [&](int ranks) {
        return run_program(call_at(place, ranks, run_words(place, "run", {"--model", model.string()})));
    };
    REQUIRE(run(2).status == 0);
    // Whoever reads them now finds another model.
    const auto changed = fs::last_write_time(weights);
    std::fstream(weights, std::ios::in | std::ios::out | std::ios::binary).seekp(-5, std::ios::end).put('\x3c');
    fs::last_write_time(weights, changed);
    for (const int ranks : {0, 2}) {
        const ProgramResult again = run(ranks);
        INFO(again.err);
        CHECK(again.status == 0);
        CHECK(again.out == read_text(place.work / "run/report.txt"));
    }
    fs::last_write_time(weights, changed + std::chrono::nanoseconds(1000));
    CHECK(run(0).err.find("another job: model_digest was ") != std::string::npos);
    // What stands beside the weights makes another model too, and that is seen before they are read.
    fs::last_write_time(weights, changed);
    std::ofstream(model / "tokenizer_config.json", std::ios::app) << " ";
    const ProgramResult other = run(2);
    CHECK(other.status == 64);
    CHECK(other.err.find("another job: model_files was ") != std::string::npos);
}

TEST_CASE("another job's directory is refused before weights are read, with every difference") {
    const Place place;
    write_text(place.work / "in.jsonl", mixed_requests(4, 4));
    REQUIRE(run_program(call_at(place, 0, run_words(place, "run"))).status == 0);
    const fs::path model = place.work / "model";
    fs::create_directories(model);
    for (const char* name : kModelFiles) fs::copy_file(source_dir() / "configs/demo" / name, model / name);
    {
        std::fstream weights(model / "model.safetensors", std::ios::in | std::ios::out | std::ios::binary);
        weights.seekp(-5, std::ios::end);
        weights.put('\x3c');
    }
    const std::string before = read_text(place.work / "run/manifest.jsonl");
    const std::vector<std::string> other_model = {"--model", model.string()};
    for (const int ranks : {0, 2}) {
        const ProgramResult weights = run_program(call_at(place, ranks, run_words(place, "run", other_model)));
        INFO(weights.err);
        CHECK(weights.status == 64);
        CHECK(weights.err.find("another job: model_digest was ") != std::string::npos);

        std::vector<std::string> all = other_model;
        for (const char* word : {"--seed", "9", "--kv-dtype", "f32", "--limit", "3"}) all.emplace_back(word);
        const ProgramResult several = run_program(call_at(place, ranks, run_words(place, "run", all)));
        INFO(several.err);
        CHECK(several.status == 64);
        for (const char* difference :
             {"seed was \"0\" and is \"9\"", "kv-dtype was \"bf16\" and is \"f32\"", "limit was \"0\" and is \"3\""}) {
            CHECK(several.err.find(difference) != std::string::npos);
        }
        CHECK(several.err.find("model_digest") == std::string::npos);  // nobody has read the weights
    }
    CHECK(read_text(place.work / "run/manifest.jsonl") == before);
}

TEST_CASE("a full disk ends the job with a sentence, and with room the same command goes on") {
    const bool can = std::system("unshare -rm mount -t tmpfs -o size=64k tmpfs /tmp 2>/dev/null") == 0;
    if (!have(can, "a full disk", "mounting a small disk of one's own", "ARGOSY_REQUIRE_UNSHARE")) return;
    const Place place;
    write_text(place.work / "in.jsonl", mixed_requests(60, 12));
    const ProgramResult whole = run_program(call_at(place, 0, run_words(place, "whole")));
    REQUIRE(whole.status == 0);
    fs::create_directories(place.work / "disk");
    fs::create_directories(place.work / "kept");
    // The disk is gone when the shell ends: it holds both runs.
    const std::string disk = (place.work / "disk").string(), kept = (place.work / "kept").string();
    for (const int kilobytes : {24, 48, 100}) {
        INFO(kilobytes << " KB");
        const std::string script = fmt::format(
            "mount -t tmpfs -o size={0}k tmpfs {1} || exit 99\n"
            "\"$@\" >/dev/null 2>{2}/first; echo $? >{2}/status\n"
            "cp {1}/run/manifest.jsonl {2}/manifest-first 2>/dev/null; ls {1}/run/shards >{2}/shards-first\n"
            "mount -o remount,size=100m {1} || exit 98\n"
            "\"$@\" >/dev/null 2>{2}/second || exit 97\n"
            "rm -rf {2}/run; cp -r {1}/run {2}/run\n",
            kilobytes, disk, kept);
        ProgramCall call = call_at(place, 0, run_words(place, "disk/run"));
        call.before = {"unshare", "-rm", "sh", "-c", script, "sh"};
        const ProgramResult result = run_program(call);
        const std::string sentence = read_text(place.work / "kept/first");
        INFO(sentence << result.err << read_text(place.work / "kept/second"));
        REQUIRE(result.status == 0);
        CHECK(read_text(place.work / "kept/status") == "70\n");
        CHECK(sentence.find("No space left on device") != std::string::npos);
        CHECK(sentence.find("Free space or raise the quota") != std::string::npos);
        CHECK(read_text(place.work / "kept/shards-first").find(".tmp") == std::string::npos);
        CHECK((read_text(place.work / "kept/run/responses.jsonl") == read_text(place.work / "whole/responses.jsonl")));
        CHECK(check_shards(place.work / "kept/run") == 60);
        const std::size_t said = sentence.rfind("argosy: ") + 8;
        std::cout << "full at " << kilobytes << " KB: " << sentence.substr(said, sentence.find('\n', said) - said)
                  << "\n";
    }
}
