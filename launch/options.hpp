// The command line and the config file, turned into checked settings. Boost.Program_options stands behind this door.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "runtime/job_settings.hpp"

namespace argosy {

struct RunOptions {
    JobSettings settings;
    bool help = false;
};

// `arguments`: what follows the subcommand. The command line goes before --config FILE, which goes before defaults.
// Error(usage) names an unknown option or key with the nearest valid one, or says what is wrong with a value.
RunOptions parse_run_options(const std::vector<std::string>& arguments);

// Every option of `argosy run` with its default, for --help.
std::string run_help();

// The settings as a config file that gives them again, for the run directory.
std::string effective_config(const JobSettings& settings);

struct InspectArguments {
    std::filesystem::path model;
    int dp = 1;
    int tp = 1;
    int ep = 0;
    int etp = 1;
    std::vector<std::string> tokenize;  // files whose lines are shown as tokens
    std::vector<std::string> render;    // files of requests whose prompts are shown as text
    bool help = false;
};
InspectArguments parse_inspect_options(const std::vector<std::string>& arguments);
std::string inspect_help();

struct BenchOptions {
    JobSettings settings;  // model, layout, numbers and sizes as for run
    int requests = 128;
    int input_tokens = 128;
    int output_tokens = 128;
    int shared_prefix_tokens = 0;
    std::optional<std::uint64_t> random_weights;  // --weights random:SEED
    std::filesystem::path quality;                // a folder of tasks and texts instead of synthetic work
    bool help = false;
};
BenchOptions parse_bench_options(const std::vector<std::string>& arguments);
std::string bench_help();

// "64MiB", "10GiB", "1.5GB", "4096" -> bytes. Error(usage) names `option`.
std::int64_t parse_bytes(const std::string& text, const std::string& option);

}  // namespace argosy
