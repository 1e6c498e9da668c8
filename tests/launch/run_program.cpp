// Starting the program through a shell, with its output in files.
#include "tests/launch/run_program.hpp"

#include <sys/wait.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>

#include "kernels/base/error.hpp"
#include "tests/support/shared_data.hpp"

namespace argosy::test {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {
std::string quoted(const std::string& word) {
    std::string text = "'";
    for (const char c : word) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return text + "'";
}
}  // namespace

void write_text(const fs::path& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }

std::string read_text(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();  // unlike iterators, bears a file in /proc whose process ends meanwhile
    return text.str();
}

int patience() {
    const char* text = std::getenv("ARGOSY_TEST_PATIENCE");
    return text == nullptr ? 1 : std::atoi(text);
}

ProgramResult run_program(const ProgramCall& call) {
    const TempDir temp;
    std::string command = "env";
    // A tracer is what the leak sanitizer wants to be itself; the other sanitizers do without.
    const char* sanitizer = std::getenv("ASAN_OPTIONS");
    const bool traced = !call.before.empty() && call.before[0] == "strace";
    if (sanitizer != nullptr && (traced || !call.leak_search))
        command += " " + quoted("ASAN_OPTIONS=" + std::string(sanitizer) + ":detect_leaks=0");
    for (const std::string& setting : call.environment) command += " " + quoted(setting);
    if (call.nodes > 0) {
        command += " " + quoted((source_dir() / "tests/support/nodes_mpirun.sh").string()) +
                   fmt::format(" {} {} {}", call.timeout_s, call.nodes, call.ranks / call.nodes);
    } else if (call.ranks > 0) {
        command += " " + quoted((source_dir() / "tests/support/mpirun.sh").string()) +
                   fmt::format(" {} {}", call.timeout_s, call.ranks);
    } else {
        command += fmt::format(" timeout -k 2 {}", call.timeout_s * patience());
    }
    for (const std::string& word : call.before) command += " " + quoted(word);
    command += " " + quoted(program_path().string());
    for (const std::string& word : call.arguments) command += " " + quoted(word);
    command +=
        " </dev/null >" + quoted((temp.path() / "out").string()) + " 2>" + quoted((temp.path() / "err").string());
    const auto start = std::chrono::steady_clock::now();
    const int status = std::system(command.c_str());
    ProgramResult result;
    result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    result.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    result.out = read_text(temp.path() / "out");
    result.err = read_text(temp.path() / "err");
    return result;
}

std::string request_line(const std::string& id, const std::vector<int>& prompt, int max_tokens, const json& extra) {
    json body = {{"model", "test"},  {"prompt", prompt},         {"max_tokens", max_tokens},
                 {"temperature", 0}, {"return_token_ids", true}, {"logprobs", 0}};
    body.update(extra);
    const json line = {{"custom_id", id}, {"method", "POST"}, {"url", "/v1/completions"}, {"body", body}};
    return line.dump() + "\n";
}

std::map<std::string, json> read_responses(const fs::path& run_dir) {
    std::map<std::string, json> responses;
    std::ifstream file(run_dir / "responses.jsonl");
    for (std::string line; std::getline(file, line);) {
        json response = json::parse(line);
        const std::string id = response.at("custom_id");
        responses[id] = std::move(response);
    }
    return responses;
}

json read_report(const fs::path& run_dir) { return json::parse(read_text(run_dir / "report.json")); }

std::vector<pid_t> processes(const std::string& name, const std::string& text) {
    std::vector<pid_t> found;
    std::error_code error;
    for (fs::directory_iterator entry("/proc", error); !error && entry != fs::directory_iterator();
         entry.increment(error)) {
        const std::string pid = entry->path().filename();
        if (!std::all_of(pid.begin(), pid.end(), [](unsigned char c) { return std::isdigit(c) != 0; })) continue;
        const std::string command = read_text(entry->path() / "cmdline");
        const std::string program = fs::path(command.substr(0, command.find('\0'))).filename();
        if (program == name && command.find(text) != std::string::npos) found.push_back(std::stoi(pid));
    }
    std::sort(found.begin(), found.end());
    return found;
}

ProgramCall run_call(const fs::path& folder, const fs::path& model, const std::string& requests,
                     const std::string& options, int ranks) {
    write_text(folder / "requests.jsonl", requests);
    ProgramCall call;
    call.ranks = ranks;
    call.arguments = {"run",
                      "--model",
                      model.string(),
                      "--input",
                      (folder / "requests.jsonl").string(),
                      "--run-dir",
                      (folder / "run").string()};
    for (const std::string& word : words_of(options)) call.arguments.push_back(word);
    return call;
}

std::vector<std::string> words_of(const std::string& text) {
    std::istringstream stream(text);
    return {std::istream_iterator<std::string>(stream), std::istream_iterator<std::string>()};
}

}  // namespace argosy::test
