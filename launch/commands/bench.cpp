// argosy bench: fixed-length synthetic work, or tasks and texts that tell what numerics and formats cost in quality.
#include "launch/commands/commands.hpp"
#include "launch/commands/job_command.hpp"
#include "launch/install_paths.hpp"
#include "launch/options.hpp"
#include "runtime/job/quality.hpp"

namespace argosy {

namespace {

// A job over the folder's tasks and texts, then what its answers are worth.
JobRequest quality_request(const BenchOptions& options) {
    const std::filesystem::path folder = options.quality == "demo" ? demo_dir() / "eval" : options.quality;
    JobSettings settings = options.settings;
    settings.input = {folder / kQualityTasks, folder / kQualityTexts};
    settings.effective = effective_config(settings);
    return {.settings = settings, .synthetic = {}, .help = {}, .afterwards = [=] {
                return describe(quality_of(settings.run_dir / "responses.jsonl", folder / kQualityAnswers));
            }};
}

}  // namespace

int bench_command(const std::vector<std::string>& arguments) {
    return run_job_command([&]() -> JobRequest {
        BenchOptions options = parse_bench_options(arguments);
        if (options.help) return {.settings = {}, .synthetic = {}, .help = bench_help()};
        JobSettings& settings = options.settings;
        if (settings.model.empty()) settings.model = demo_dir();
        if (!options.quality.empty()) return quality_request(options);
        settings.effective = effective_config(settings);
        const SyntheticWork work{.requests = options.requests,
                                 .input_tokens = options.input_tokens,
                                 .shared_tokens = options.shared_prefix_tokens,
                                 .output_tokens = options.output_tokens,
                                 .random_weights = options.random_weights};
        return {.settings = settings, .synthetic = work, .help = {}};
    });
}

}  // namespace argosy
