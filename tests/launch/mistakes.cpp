// Running tables of mistakes, and looking for what the program left.
#include "tests/launch/mistakes.hpp"

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <cctype>
#include <chrono>
#include <iostream>
#include <memory>
#include <sstream>
#include <thread>

namespace argosy::test {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

constexpr double kMistakeSeconds = 5;  // a mistake is told before anything long begins
constexpr int kGiveUpSeconds = 20;

// What one row left, for checks by one thread.
struct Outcome {
    std::unique_ptr<Place> place = std::make_unique<Place>();
    ProgramResult result;
    std::vector<std::string> before, after;  // files in place.work
    std::string left;
};

std::vector<std::string> arguments_at(const Place& place, const std::vector<std::string>& arguments) {
    std::vector<std::string> result;
    for (const std::string& word : arguments) {
        const bool path = word.size() > 2 && word.front() == '{' && word.back() == '}';
        result.push_back(path ? place.at(word.substr(1, word.size() - 2)) : word);
    }
    return result;
}

Outcome outcome_of(const Mistake& mistake, int ranks) {
    Outcome outcome;
    const Place& place = *outcome.place;
    if (mistake.prepare) mistake.prepare(place);
    outcome.before = files_under(place.work);
    outcome.result = run_at(place, ranks, arguments_at(place, mistake.arguments), kGiveUpSeconds);
    outcome.after = files_under(place.work);
    outcome.left = left_behind(place);
    return outcome;
}

void check(const Mistake& mistake, const Outcome& outcome) {
    const ProgramResult& result = outcome.result;
    INFO("stdout: " << result.out << "\nstderr: " << result.err);
    CHECK(result.status == mistake.status);
    CHECK(result.seconds < kMistakeSeconds * patience());
    CHECK(result.out.empty());
    CHECK(outcome.after == outcome.before);
    CHECK_FALSE(fs::exists(outcome.place->work / "run"));
    CHECK(outcome.left.empty());
    const std::vector<std::string> sentences = sentences_of(result);
    CHECK(sentences.size() == 1);
    if (sentences.empty()) return;
    for (const std::string& word : mistake.words) {
        INFO("the sentence should hold: " << word);
        CHECK(sentences[0].find(word) != std::string::npos);
    }
    CHECK(std::string(".?:").find(sentences[0].back()) != std::string::npos);  // a colon before the layouts that can be
}

}  // namespace

Place::Place() {
    fs::create_directories(work);
    fs::create_directories(tmp);
}

ProgramCall call_at(const Place& place, int ranks, std::vector<std::string> arguments, int timeout_s) {
    ProgramCall call;
    call.ranks = ranks;
    call.arguments = std::move(arguments);
    call.environment = {"TMPDIR=" + place.tmp.string(), "OMPI_MCA_btl_vader_backing_directory=" + place.tmp.string()};
    call.timeout_s = timeout_s;
    return call;
}

ProgramResult run_at(const Place& place, int ranks, std::vector<std::string> arguments, int timeout_s) {
    return run_program(call_at(place, ranks, std::move(arguments), timeout_s));
}

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

std::vector<std::string> sentences_of(const ProgramResult& result) {
    std::vector<std::string> sentences;
    std::istringstream lines(result.err);
    for (std::string line; std::getline(lines, line);) {
        if (line.rfind("argosy: ", 0) == 0) sentences.push_back(line);
    }
    return sentences;
}

std::string left_behind(const Place& place) {
    std::string left;
    for (int i = 0; i < 100; ++i) {
        left.clear();
        for (const std::string& file : files_under(place.tmp)) left += "file " + file + "\n";
        for (const pid_t process : processes("argosy", place.work.string()))
            left += "process " + std::to_string(process) + "\n";
        if (left.empty()) break;
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    return left;
}

void check_nothing_left(const Place& place) { CHECK(left_behind(place) == ""); }

std::string fingerprint(const fs::path& folder) {
    std::string text;
    for (const std::string& name : files_under(folder)) {
        text += name + " " + std::to_string(fs::last_write_time(folder / name).time_since_epoch().count()) + " " +
                read_text(folder / name) + "\n";
    }
    return text;
}

void several_at_a_time(std::size_t count, const std::function<void(std::size_t)>& work) {
    constexpr std::size_t kThreads = 4;
    std::atomic<std::size_t> next{0};
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < std::min(kThreads, count); ++i) {
        threads.emplace_back([&] {
            for (std::size_t item = next++; item < count; item = next++) work(item);
        });
    }
    for (std::thread& thread : threads) thread.join();
}

void check_mistakes(const std::vector<Mistake>& mistakes) {
    constexpr int kRanks[] = {0, 2};
    std::vector<Outcome> outcomes(2 * mistakes.size());
    several_at_a_time(outcomes.size(),
                      [&](std::size_t i) { outcomes[i] = outcome_of(mistakes[i / 2], kRanks[i % 2]); });
    double longest_s = 0;
    for (std::size_t i = 0; i < outcomes.size(); ++i) {
        const Mistake& mistake = mistakes[i / 2];
        INFO(mistake.name << ", ranks " << kRanks[i % 2]);
        // The machine may have been busy with something else: alone it is quick.
        if (outcomes[i].result.seconds >= kMistakeSeconds * patience())
            outcomes[i] = outcome_of(mistake, kRanks[i % 2]);
        check(mistake, outcomes[i]);
        longest_s = std::max(longest_s, outcomes[i].result.seconds);
        const std::vector<std::string> sentences = sentences_of(outcomes[i].result);
        if (i % 2 == 0 && !sentences.empty()) std::cout << mistake.name << ": " << sentences[0].substr(8) << "\n";
    }
    std::cout << mistakes.size() << " mistakes alone and on 2 ranks, each told within " << longest_s << " s\n";
}

std::vector<std::string> run_with(const std::vector<std::string>& more) {
    std::vector<std::string> words = {"run", "--run-dir", "{run}"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
}

fs::path demo() { return source_dir() / "configs/demo"; }

void copy_demo(const Place& place) {
    fs::create_directories(place.work / "model");
    for (const char* name :
         {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}) {
        fs::copy_file(demo() / name, place.work / "model" / name);
    }
}

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
                                   const std::vector<std::string>& more) {
    std::vector<std::string> words = {"run", "--run-dir", place.at(run), "--input", place.at(input)};
    words.insert(words.end(), more.begin(), more.end());
    return words;
}

}  // namespace argosy::test
