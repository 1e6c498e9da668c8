// What a run leaves: the order in which a shard and its line reach the disk, damaged shards, finished jobs and other
// jobs told apart before weights are read, a full disk.
#include <fmt/format.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <fstream>
#include <iostream>
#include <sstream>

#include "runtime/job/manifest_file.hpp"
#include "tests/launch/stored_runs.hpp"

using namespace argosy;
using namespace argosy::test;
namespace fs = std::filesystem;

TEST_CASE("a shard is on the disk before its line is, and its line before anything is built on it") {
    if (!have(std::system("strace -o /dev/null true 2>/dev/null") == 0, "the order of writes", "strace",
              "ARGOSY_REQUIRE_STRACE"))
        return;
    const Place place;
    write_text(place.work / "in.jsonl", mixed_requests(20, 10));
    ProgramCall call = call_at(place, 0, run_words(place, "run", "in.jsonl"));
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
    REQUIRE(run_program(call_at(place, 2, run_words(place, "run", "in.jsonl", {"--replicas", "2"}))).status == 0);
    const std::string want = read_text(run / "responses.jsonl");
    const Manifest before = *read_manifest(run);
    REQUIRE(before.shards.size() >= 2);
    const fs::path shard = run / "shards" / before.shards[1].name;
    std::string bytes = read_text(shard);
    bytes[bytes.size() / 3] ^= 4;
    write_text(shard, bytes);
    fs::remove(run / "responses.jsonl");  // else the job has finished, and nothing is looked at

    const ProgramResult again = run_program(call_at(place, 2, run_words(place, "run", "in.jsonl")));
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
    copy_demo(place);
    const fs::path weights = model / "model.safetensors";
    const auto run = [&](int ranks) {
        return run_program(call_at(place, ranks, run_words(place, "run", "in.jsonl", {"--model", model.string()})));
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
    REQUIRE(run_program(call_at(place, 0, run_words(place, "run", "in.jsonl"))).status == 0);
    const fs::path model = place.work / "model";
    copy_demo(place);
    {
        std::fstream weights(model / "model.safetensors", std::ios::in | std::ios::out | std::ios::binary);
        weights.seekp(-5, std::ios::end);
        weights.put('\x3c');
    }
    const std::string before = read_text(place.work / "run/manifest.jsonl");
    const std::vector<std::string> other_model = {"--model", model.string()};
    for (const int ranks : {0, 2}) {
        const ProgramResult weights =
            run_program(call_at(place, ranks, run_words(place, "run", "in.jsonl", other_model)));
        INFO(weights.err);
        CHECK(weights.status == 64);
        CHECK(weights.err.find("another job: model_digest was ") != std::string::npos);

        std::vector<std::string> all = other_model;
        for (const char* word : {"--seed", "9", "--kv-dtype", "f32", "--limit", "3"}) all.emplace_back(word);
        const ProgramResult several = run_program(call_at(place, ranks, run_words(place, "run", "in.jsonl", all)));
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
    const ProgramResult whole = run_program(call_at(place, 0, run_words(place, "whole", "in.jsonl")));
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
        ProgramCall call = call_at(place, 0, run_words(place, "disk/run", "in.jsonl"));
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
