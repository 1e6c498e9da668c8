// What users get wrong and what machines do to them: one sentence, a status that says whose turn it is, nothing left
// behind; and jobs that were cut go on.
#include <signal.h>
#include <unistd.h>
#include <catch2/catch.hpp>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <chrono>
#include <fstream>
#include <functional>
#include <future>
#include <iostream>
#include <sstream>
#include <thread>

#include "runtime/job/manifest_file.hpp"
#include "tests/launch/run_program.hpp"
#include "tests/support/shared_data.hpp"

using namespace argosy;
using namespace argosy::test;
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

constexpr double kMistakeSeconds = 15;  // a mistake is told before anything long begins

fs::path demo() { return source_dir() / "configs/demo"; }

// Folders of one call: everything the program could leave lies under one of them.
struct Place {
    TempDir temp;
    fs::path work = temp.path() / "work";  // what the test prepares and names in arguments
    fs::path tmp = temp.path() / "tmp";    // the program's and MPI's temporary files
    Place() {
        fs::create_directories(work);
        fs::create_directories(tmp);
    }
    std::string at(const std::string& name) const { return (work / name).string(); }
};

ProgramResult run_at(const Place& place, int ranks, std::vector<std::string> arguments, int timeout_s = 120) {
    ProgramCall call;
    call.ranks = ranks;
    call.arguments = std::move(arguments);
    call.environment = {"TMPDIR=" + place.tmp.string(), "OMPI_MCA_btl_vader_backing_directory=" + place.tmp.string()};
    call.timeout_s = timeout_s;
    return run_program(call);
}

// Files may vanish while they are listed.
std::vector<std::string> files_under(const fs::path& folder) {
    std::vector<std::string> names;
    std::error_code error;
    for (fs::recursive_directory_iterator entry(folder, error); !error && entry != fs::recursive_directory_iterator();
         entry.increment(error)) {
        if (!entry->is_directory(error)) names.push_back(fs::relative(entry->path(), folder, error).string());
    }
    if (error) names.push_back("a file that vanished");  // looked for again by who waits for nothing
    std::sort(names.begin(), names.end());
    return names;
}

// Processes whose command line holds `text` and whose program is called `name`.
std::vector<pid_t> processes(const std::string& name, const std::string& text) {
    std::vector<pid_t> found;
    for (const auto& entry : fs::directory_iterator("/proc")) {
        const std::string pid = entry.path().filename();
        if (!std::all_of(pid.begin(), pid.end(), [](unsigned char c) { return std::isdigit(c) != 0; })) continue;
        const std::string command = read_text(entry.path() / "cmdline");
        const std::string program = fs::path(command.substr(0, command.find('\0'))).filename();
        if (program == name && command.find(text) != std::string::npos) found.push_back(std::stoi(pid));
    }
    std::sort(found.begin(), found.end());
    return found;
}

// The program's own sentences. The launcher adds words of its own when a status is not 0.
std::vector<std::string> sentences_of(const ProgramResult& result) {
    std::vector<std::string> sentences;
    std::istringstream lines(result.err);
    for (std::string line; std::getline(lines, line);) {
        if (line.rfind("argosy: ", 0) == 0) sentences.push_back(line);
    }
    return sentences;
}

// Without mpirun MPI starts a daemon of its own, which clears up a moment after the program has ended.
void check_nothing_left(const Place& place) {
    for (int i = 0; i < 100 && !files_under(place.tmp).empty(); ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
    CHECK(files_under(place.tmp) == std::vector<std::string>{});
    CHECK(processes("argosy", place.work.string()) == std::vector<pid_t>{});
}

struct Mistake {
    std::string name;
    std::vector<std::string> arguments;
    int status;
    std::vector<std::string> words;                  // that the sentence must hold
    std::function<void(const Place&)> prepare = {};  // in place.work
};

// Words in brackets {} are paths in place.work.
std::vector<std::string> arguments_at(const Place& place, const std::vector<std::string>& arguments) {
    std::vector<std::string> result;
    for (const std::string& word : arguments) {
        const bool path = word.size() > 2 && word.front() == '{' && word.back() == '}';
        result.push_back(path ? place.at(word.substr(1, word.size() - 2)) : word);
    }
    return result;
}

void copy_demo(const Place& place) {
    fs::create_directories(place.work / "model");
    for (const char* name :
         {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}) {
        fs::copy_file(demo() / name, place.work / "model" / name);
    }
}

std::function<void(const Place&)> demo_cut_to(std::uintmax_t bytes) {
    return [bytes](const Place& place) {
        copy_demo(place);
        fs::resize_file(place.work / "model/model.safetensors", bytes);
    };
}

std::function<void(const Place&)> demo_without(const std::string& file) {
    return [file](const Place& place) {
        copy_demo(place);
        fs::remove(place.work / "model" / file);
    };
}

std::function<void(const Place&)> demo_config(const std::function<void(json&)>& change) {
    return [change](const Place& place) {
        copy_demo(place);
        json config = json::parse(read_text(demo() / "config.json"));
        change(config);
        write_text(place.work / "model/config.json", config.dump());
    };
}

std::vector<Mistake> mistakes() {
    const std::vector<std::string> run = {"run", "--run-dir", "{run}"};
    const auto with = [&](std::vector<std::string> more) {
        std::vector<std::string> all = run;
        all.insert(all.end(), more.begin(), more.end());
        return all;
    };
    return {
        {"a subcommand that is none", {"rum", "--run-dir", "{run}"}, 64, {"rum", "Did you mean run?"}},
        {"an unknown option", with({"--modle", "x"}), 64, {"modle", "Did you mean model?"}},
        {"an unknown key in the config file",
         with({"--config", "{file.cfg}"}),
         64,
         {"file.cfg", "kv-memori", "Did you mean kv-memory?"},
         [](const Place& place) { write_text(place.work / "file.cfg", "kv-memori = 1GiB\n"); }},
        {"an option without its value", with({"--tp"}), 64, {"tp"}},
        {"a number that is none", with({"--tp", "two"}), 64, {"tp", "two"}},
        {"a size that is none", with({"--kv-memory", "12Quarts"}), 64, {"--kv-memory", "12Quarts", "GiB"}},
        {"a size that is negative", with({"--kv-memory", "-5MiB"}), 64, {"--kv-memory", "-5MiB"}},
        {"a number format that is none", with({"--kv-dtype", "f33"}), 64, {"--kv-dtype", "f33", "bf16"}},
        {"a backend that is none", with({"--backend", "abacus"}), 64, {"abacus"}},
        {"tp 3", with({"--tp", "3"}), 64, {"tp", "3", "1, 2, 4"}},
        {"more ranks than there are",
         with({"--tp", "4", "--dp", "2"}),
         64,
         {"This layout cannot be", "8 does not divide"}},
        {"more pipeline stages than one", with({"--pp", "2"}), 64, {"--pp"}},
        {"no model there", with({"--model", "{nowhere}"}), 64, {"nowhere"}},
        {"a config.json that is not JSON",
         with({"--model", "{model}"}),
         64,
         {"model/config.json"},
         [](const Place& place) {
             copy_demo(place);
             write_text(place.work / "model/config.json", "{\"architectures\": [");
         }},
        {"a config.json without a size",
         with({"--model", "{model}"}),
         64,
         {"model/config.json", "hidden_size"},
         demo_config([](json& c) { c.erase("hidden_size"); })},
        {"an architecture that is not known",
         with({"--model", "{model}"}),
         64,
         {"GPT2LMHeadModel", "Qwen3MoeForCausalLM"},
         demo_config([](json& c) { c["architectures"] = {"GPT2LMHeadModel"}; })},
        {"a size that the tensors do not have",
         with({"--model", "{model}"}),
         64,
         {"model.safetensors"},
         demo_config([](json& c) { c["moe_intermediate_size"] = 96; })},
        {"weights cut in their header",
         with({"--model", "{model}"}),
         64,
         {"model/model.safetensors"},
         demo_cut_to(1000)},
        {"weights cut in their data",
         with({"--model", "{model}"}),
         64,
         {"model/model.safetensors", "cut off"},
         demo_cut_to(4000000)},
        {"empty weights", with({"--model", "{model}"}), 64, {"model/model.safetensors"}, demo_cut_to(0)},
        {"no weights", with({"--model", "{model}"}), 64, {"model"}, demo_without("model.safetensors")},
        {"no tokenizer", with({"--model", "{model}"}), 64, {"model/tokenizer.json"}, demo_without("tokenizer.json")},
        {"no input", with({"--input", "{none.jsonl}"}), 64, {"none.jsonl"}},
        {"an input that is a folder",
         with({"--input", "{folder}"}),
         64,
         {"folder"},
         [](const Place& place) { fs::create_directories(place.work / "folder"); }},
        {"a KV pool of less than a block", with({"--kv-memory", "1KiB"}), 64, {"--kv-memory", "1024"}},
        {"a cost profile that is none", with({"--cost-profile", "gold"}), 64, {"gold"}},
    };
}

}  // namespace

TEST_CASE("a mistake gets one sentence, status 64, and leaves nothing") {
    for (const Mistake& mistake : mistakes()) {
        for (const int ranks : {0, 2}) {
            INFO(mistake.name << ", ranks " << ranks);
            const Place place;
            if (mistake.prepare) mistake.prepare(place);
            const std::vector<std::string> before = files_under(place.work);
            const ProgramResult result =
                run_at(place, ranks, arguments_at(place, mistake.arguments), static_cast<int>(kMistakeSeconds) + 5);
            INFO("stdout: " << result.out << "\nstderr: " << result.err);
            CHECK(result.status == mistake.status);
            CHECK(result.seconds < kMistakeSeconds);
            const std::vector<std::string> sentences = sentences_of(result);
            CHECK(sentences.size() == 1);
            if (sentences.empty()) continue;
            for (const std::string& word : mistake.words) {
                INFO("the sentence should hold: " << word);
                CHECK(sentences[0].find(word) != std::string::npos);
            }
            CHECK(std::string(".?:").find(sentences[0].back()) !=
                  std::string::npos);  // a colon before the layouts that can be
            CHECK(result.out.empty());
            CHECK(files_under(place.work) == before);
            CHECK_FALSE(fs::exists(place.work / "run"));
            check_nothing_left(place);
            if (ranks == 0) std::cout << mistake.name << ": " << sentences[0].substr(8) << "\n";
        }
    }
}

namespace {

// Requests whose answers end one after the other, greedy and sampled, all from one seed: line i is the same whatever
// `count` is.
std::string steady_requests(int count) {
    std::istringstream lines(read_text(demo() / "requests.jsonl"));
    std::vector<std::string> prompts;
    for (std::string line; std::getline(lines, line) && prompts.size() < 100;)
        prompts.push_back(json::parse(line).at("body").at("prompt"));
    std::string requests;
    for (int i = 0; i < count; ++i) {
        const json extra = {{"prompt", prompts[static_cast<std::size_t>(i) % prompts.size()]},
                            {"temperature", i % 3 == 0 ? 0.8 : 0.0},
                            {"seed", i},
                            {"ignore_eos", true}};
        requests += request_line("r" + std::to_string(i), {}, 24 + i * 37 % 200, extra);
    }
    return requests;
}

std::vector<std::string> run_words(const Place& place, const std::string& run, const std::string& input,
                                   const std::vector<std::string>& more = {}) {
    std::vector<std::string> words = {"run", "--run-dir", place.at(run), "--input", place.at(input)};
    words.insert(words.end(), more.begin(), more.end());
    return words;
}

// What the run directory holds, with times, to see that a refused command touched nothing.
std::string fingerprint(const fs::path& folder) {
    std::string text;
    for (const std::string& name : files_under(folder)) {
        text += name + " " + std::to_string(fs::last_write_time(folder / name).time_since_epoch().count()) + " " +
                read_text(folder / name) + "\n";
    }
    return text;
}

}  // namespace

TEST_CASE("run directories that cannot be used are refused and not touched") {
    for (const int ranks : {0, 2}) {
        INFO("ranks " << ranks);
        const Place place;
        write_text(place.work / "a.jsonl", steady_requests(4));
        write_text(place.work / "b.jsonl", steady_requests(5));

        SECTION("below a file, ranks " + std::to_string(ranks)) {
            write_text(place.work / "file", "x");
            const ProgramResult result = run_at(place, ranks, run_words(place, "file/run", "a.jsonl"));
            INFO(result.err);
            CHECK(result.status == 70);  // the machine said no
            REQUIRE(sentences_of(result).size() == 1);
            CHECK(sentences_of(result)[0].find("file/run") != std::string::npos);
            CHECK(read_text(place.work / "file") == "x");
        }
        SECTION("a file, ranks " + std::to_string(ranks)) {
            write_text(place.work / "file", "x");
            const ProgramResult result = run_at(place, ranks, run_words(place, "file", "a.jsonl"));
            INFO(result.err);
            CHECK(result.status == 64);
            REQUIRE(sentences_of(result).size() == 1);
            CHECK(read_text(place.work / "file") == "x");
        }
        SECTION("somebody's folder, ranks " + std::to_string(ranks)) {
            fs::create_directories(place.work / "home");
            write_text(place.work / "home/thesis.tex", "\\begin{document}");
            const std::string before = fingerprint(place.work / "home");
            const ProgramResult result = run_at(place, ranks, run_words(place, "home", "a.jsonl"));
            INFO(result.err);
            CHECK(result.status == 64);
            REQUIRE(sentences_of(result).size() == 1);
            CHECK(sentences_of(result)[0].find("holds no Argosy run") != std::string::npos);
            CHECK(fingerprint(place.work / "home") == before);
        }
        SECTION("another job's, or this job's when it is done, ranks " + std::to_string(ranks)) {
            const ProgramResult first = run_at(place, ranks, run_words(place, "run", "a.jsonl"));
            INFO(first.err);
            REQUIRE(first.status == 0);
            const std::string before =
                fingerprint(place.work / "run/shards") + read_text(place.work / "run/responses.jsonl");

            const ProgramResult other = run_at(place, ranks, run_words(place, "run", "b.jsonl"));
            INFO(other.err);
            CHECK(other.status == 64);
            REQUIRE(sentences_of(other).size() == 1);
            CHECK(sentences_of(other)[0].find("another job") != std::string::npos);
            CHECK(sentences_of(other)[0].find("input_digest") != std::string::npos);

            const ProgramResult seed = run_at(place, ranks, run_words(place, "run", "a.jsonl", {"--seed", "7"}));
            CHECK(seed.status == 64);
            REQUIRE(sentences_of(seed).size() == 1);
            CHECK(sentences_of(seed)[0].find("seed") != std::string::npos);

            const auto written = fs::last_write_time(place.work / "run/responses.jsonl");
            const ProgramResult again = run_at(place, ranks, run_words(place, "run", "a.jsonl"));
            CHECK(again.status == 0);
            CHECK(again.out == read_text(place.work / "run/report.txt"));
            CHECK(again.out.find("COST") != std::string::npos);
            CHECK(sentences_of(again).empty());
            CHECK(fs::last_write_time(place.work / "run/responses.jsonl") == written);
            CHECK(fingerprint(place.work / "run/shards") + read_text(place.work / "run/responses.jsonl") == before);
        }
        check_nothing_left(place);
    }
}

TEST_CASE("bad lines get error records, and the job goes on") {
    const std::string good = request_line("good-1", {48, 25, 220}, 4);
    const std::vector<std::pair<std::string, std::string>> bad = {
        {"this is not JSON", "invalid_json"},
        {R"({"custom_id": "x1", "method": "POST", "url": "/v1/completions", "body": {"prompt": "a", "max_tokens": "many"}})",
         "invalid_type"},
        {R"({"custom_id": "x2", "method": "POST", "url": "/v1/completions", "body": {"prompt": "a", "temperatur": 1}})",
         "unsupported_field"},
        {R"({"custom_id": "x3", "method": "POST", "url": "/v1/completions", "body": {"max_tokens": 3}})",
         "missing_field"},
        {R"({"custom_id": "x4", "method": "GET", "url": "/v1/completions", "body": {"prompt": "a"}})",
         "unsupported_method"},
        {R"({"custom_id": "x5", "method": "POST", "url": "/v1/images", "body": {"prompt": "a"}})", "unsupported_url"},
        {R"({"custom_id": "x6", "method": "POST", "url": "/v1/completions", "body": {"prompt": [5000000]}})",
         "invalid_token_id"},
        {R"({"custom_id": "x7", "method": "POST", "url": "/v1/completions", "body": {"prompt": ""}})", "empty_prompt"},
        {R"({"custom_id": "good-1", "method": "POST", "url": "/v1/completions", "body": {"prompt": "again"}})",
         "duplicate_id"},
        {"{\"prompt\": \"\xff\xfe\"}", "invalid_utf8"},
    };
    for (const int ranks : {0, 2}) {
        INFO("ranks " << ranks);
        const Place place;
        std::string requests = good;
        for (const auto& [line, code] : bad) requests += line + "\n";
        requests += request_line("good-2", {48, 25, 220}, 4);
        write_text(place.work / "in.jsonl", requests);
        const ProgramResult result = run_at(place, ranks, run_words(place, "run", "in.jsonl"));
        INFO(result.err);
        REQUIRE(result.status == 0);
        CHECK(sentences_of(result).empty());
        CHECK(result.out.find(std::to_string(bad.size()) + " with an error record") != std::string::npos);

        std::vector<json> answers;
        std::istringstream lines(read_text(place.work / "run/responses.jsonl"));
        for (std::string line; std::getline(lines, line);) answers.push_back(json::parse(line));
        REQUIRE(answers.size() == bad.size() + 2);
        CHECK(answers.front().at("custom_id") == "good-1");
        CHECK(answers.front().at("error").is_null());
        CHECK(answers.back().at("custom_id") == "good-2");
        CHECK(answers.back().at("error").is_null());
        for (std::size_t i = 0; i < bad.size(); ++i) {
            INFO("line " << i + 2 << ": " << bad[i].first);
            const json& error = answers[i + 1].at("error");
            REQUIRE(error.is_object());
            CHECK(error.at("code") == bad[i].second);
            CHECK(error.at("line") == i + 2);
            CHECK(error.at("message").get<std::string>().size() > 20);
        }
        std::istringstream errors(read_text(place.work / "run/errors.jsonl"));
        std::size_t count = 0;
        for (std::string line; std::getline(errors, line);) ++count;
        CHECK(count == bad.size());
        check_nothing_left(place);
    }
}

TEST_CASE("an input without a line is a job without work") {
    const Place place;
    write_text(place.work / "in.jsonl", "");
    const ProgramResult result = run_at(place, 2, run_words(place, "run", "in.jsonl"));
    INFO(result.err);
    CHECK((result.status == 0 || (result.status == 64 && sentences_of(result).size() == 1)));
    check_nothing_left(place);
}

namespace {

// A job of some seconds that a test can disturb.
struct DisturbedJob {
    Place place;
    std::string whole;  // responses of an uninterrupted run
    std::vector<std::string> settings = {"--max-rows", "48"};

    explicit DisturbedJob(int requests) {
        write_text(place.work / "in.jsonl", steady_requests(requests));
        const ProgramResult result = run_at(place, 2, run_words(place, "undisturbed", "in.jsonl", settings));
        INFO(result.err);
        REQUIRE(result.status == 0);
        whole = read_text(place.work / "undisturbed/responses.jsonl");
        std::cout << "undisturbed: " << result.seconds << " s\n";
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
    DisturbedJob job(500);
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
    CHECK(seconds < 10);
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
    CHECK(seconds < 10);
    CHECK(sentences_of(term).size() == 1);
    job.check_resume(2, {"--tp", "2"});  // and in another layout

    const ProgramResult alone = job.disturb(
        0, {},
        [&] {
            const auto ranks = job.ranks();
            REQUIRE(ranks.size() == 1);
            kill(ranks[0], SIGTERM);
        },
        seconds);
    INFO(alone.err);
    CHECK(alone.status == 75);
    CHECK(seconds < 10);
    CHECK(sentences_of(alone).size() == 1);
    job.check_resume(2, {"--dp", "2"});
}

TEST_CASE("a rank that is killed ends the job within seconds, and the same command finishes it") {
    DisturbedJob job(500);
    // Rank 0, rank 1, and mpirun itself told to end, as a batch system does: it gives the ranks a second.
    for (const std::size_t victim : {std::size_t{0}, std::size_t{1}, std::size_t{2}}) {
        INFO((victim < 2 ? "rank killed: " : "launcher told to end: ") << victim);
        double seconds = 0;
        const ProgramResult killed = job.disturb(
            2, {},
            [&] {
                const auto ranks = job.ranks();
                const auto launchers = job.launchers();
                REQUIRE(ranks.size() == 2);
                REQUIRE(launchers.size() == 1);
                if (victim < 2)
                    kill(ranks[victim], SIGKILL);
                else
                    kill(launchers[0], SIGTERM);
            },
            seconds);
        INFO(killed.err);
        CHECK(killed.status != 0);
        CHECK(killed.status != 124);  // mpirun.sh's own limit
        if (victim < 2) CHECK(killed.status != 75);
        CHECK(seconds < 10);
        check_nothing_left(job.place);
        job.check_resume(2, {});
    }
}
