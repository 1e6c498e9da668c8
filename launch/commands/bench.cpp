// argosy bench: fixed-length synthetic work.
#include "launch/commands/commands.hpp"
#include "launch/commands/job_command.hpp"
#include "launch/install_paths.hpp"
#include "launch/options.hpp"

namespace argosy {

int bench_command(const std::vector<std::string>& arguments) {
    return run_job_command([&]() -> JobRequest {
        BenchOptions options = parse_bench_options(arguments);
        if (options.help) return {.settings = {}, .synthetic = {}, .help = bench_help()};
        JobSettings& settings = options.settings;
        if (settings.model.empty()) settings.model = demo_dir();
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
