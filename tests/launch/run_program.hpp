// Running the built program as a user would, under mpirun or alone, and reading what it left.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace argosy::test {

struct ProgramResult {
    int status = -1;  // exit status of the program, 128 + signal when it was killed
    std::string out;  // stdout
    std::string err;  // stderr
    double seconds = 0;
};

struct ProgramCall {
    std::vector<std::string> arguments;    // after "argosy"
    int ranks = 0;                         // 0: without mpirun
    int nodes = 0;                         // emulated nodes that share the ranks equally; 0: this machine
    std::vector<std::string> environment;  // "NAME=VALUE"
    std::vector<std::string> before;       // words before the program: an emulator, strace
    int timeout_s = 120;
    bool leak_search = true;  // where a leak sanitizer is built in: whether it looks at the end, for a second per rank
};
ProgramResult run_program(const ProgramCall& call);

// `run` of these request lines, which are written to FOLDER/requests.jsonl, into FOLDER/run; options as words_of takes
// them.
ProgramCall run_call(const std::filesystem::path& folder, const std::filesystem::path& model,
                     const std::string& requests, const std::string& options, int ranks);

// How many times longer than usual programs may take: 1 but where ARGOSY_TEST_PATIENCE says more, as under sanitizers.
int patience();

// Whether test and program are built with a sanitizer that keeps notes of its own on every byte, and freed memory for a
// while: what a process then holds says nothing of what the program asked for.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

// A request line of prompt token ids, greedy unless `extra` says otherwise; extra members replace.
std::string request_line(const std::string& id, const std::vector<int>& prompt, int max_tokens,
                         const nlohmann::json& extra = nlohmann::json::object());

void write_text(const std::filesystem::path& path, const std::string& text);
std::string read_text(const std::filesystem::path& path);

// responses.jsonl by custom_id.
std::map<std::string, nlohmann::json> read_responses(const std::filesystem::path& run_dir);

// report.json's counters.
nlohmann::json read_report(const std::filesystem::path& run_dir);

// Processes whose command line holds `text` and whose program is called `name`, by number.
std::vector<pid_t> processes(const std::string& name, const std::string& text);

// "--tp 2 --dp 2" as words.
std::vector<std::string> words_of(const std::string& text);

}  // namespace argosy::test
