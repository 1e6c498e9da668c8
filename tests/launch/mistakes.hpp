// Mistakes as tables: what is prepared, what is typed, which status and sentence must come; and the places in which a
// test disturbs the program, so that everything it could leave behind is seen.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/launch/run_program.hpp"
#include "tests/support/shared_data.hpp"

namespace argosy::test {

// Folders of one call: everything the program could leave lies under one of them.
struct Place {
    TempDir temp;
    std::filesystem::path work = temp.path() / "work";  // what the test prepares and names in arguments
    std::filesystem::path tmp = temp.path() / "tmp";    // the program's and MPI's temporary files
    Place();
    std::string at(const std::string& name) const { return (work / name).string(); }
};

ProgramCall call_at(const Place& place, int ranks, std::vector<std::string> arguments, int timeout_s = 120);
ProgramResult run_at(const Place& place, int ranks, std::vector<std::string> arguments, int timeout_s = 120);

// Relative names, sorted. Files may vanish while they are listed.
std::vector<std::string> files_under(const std::filesystem::path& folder);

// The program's own sentences. The launcher adds words of its own when a status is not 0.
std::vector<std::string> sentences_of(const ProgramResult& result);

// What the temporary folder and the process table still hold of a call, "" when nothing. Waits up to 5 s: without
// mpirun MPI starts a daemon of its own, which clears up a moment after the program has ended.
std::string left_behind(const Place& place);
void check_nothing_left(const Place& place);

// Files of a folder with times and contents, to see that a refused command touched nothing.
std::string fingerprint(const std::filesystem::path& folder);

struct Mistake {
    std::string name;
    std::vector<std::string> arguments;  // words in brackets {} are paths in place.work
    int status;
    std::vector<std::string> words;                  // that the sentence must hold
    std::function<void(const Place&)> prepare = {};  // in place.work
};

// Runs every row alone and on 2 ranks, several at a time, and checks status, one sentence with its words, the time, and
// that nothing is left.
void check_mistakes(const std::vector<Mistake>& mistakes);

// run --run-dir {run} MORE...
std::vector<std::string> run_with(const std::vector<std::string>& more);

// Calls work(0) to work(count - 1) on a few threads: a launcher that ends a job mostly sleeps.
void several_at_a_time(std::size_t count, const std::function<void(std::size_t)>& work);

std::filesystem::path demo();

// The demo model as the folder "model" of place.work.
void copy_demo(const Place& place);

// Requests whose answers end one after the other, greedy and sampled, all from one seed: line i is the same whatever
// `count` is.
std::string steady_requests(int count);

// run --run-dir RUN --input INPUT MORE..., both in place.work.
std::vector<std::string> run_words(const Place& place, const std::string& run, const std::string& input,
                                   const std::vector<std::string>& more = {});

}  // namespace argosy::test
