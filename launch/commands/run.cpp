// argosy run: a job over request files.
#include "launch/commands/commands.hpp"
#include "launch/commands/job_command.hpp"
#include "launch/install_paths.hpp"
#include "launch/options.hpp"

namespace argosy {

int run_command(const std::vector<std::string>& arguments) {
    return run_job_command([&]() -> JobRequest {
        RunOptions options = parse_run_options(arguments);
        if (options.help) return {.settings = {}, .synthetic = {}, .help = run_help()};
        JobSettings& settings = options.settings;
        if (settings.model.empty()) settings.model = demo_dir();
        if (settings.input.empty()) settings.input = {demo_dir() / "requests.jsonl"};
        if (settings.run_dir.empty()) settings.run_dir = "argosy-run";
        settings.effective = effective_config(settings);
        return {.settings = settings, .synthetic = {}, .help = {}};
    });
}

}  // namespace argosy
