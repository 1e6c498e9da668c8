// What subcommands under MPI share: its start, the clock, and that one rank speaks while all end.
#pragma once

#include <functional>
#include <optional>

#include "runtime/job_settings.hpp"
#include "runtime/run_job.hpp"

namespace argosy {

// What all ranks do together, or a text that one of them prints.
struct RankWork {
    std::string help;  // not empty: print it and end
    std::function<int(MpiSession&, const StopSignals&, AccountClock&)> run;
};
// Starts MPI, parses (on every rank, alike), works and returns the exit status. A launcher that started several jobs of
// one rank is refused before anything is parsed.
int run_on_ranks(const std::function<RankWork()>& parse);

// Parses (on every rank, alike), runs the job and returns the exit status.
struct JobRequest {
    JobSettings settings;
    std::optional<SyntheticWork> synthetic;
    std::string help;  // not empty: print it and end
    // Called on world rank 0 when the job is finished: what is printed behind the report.
    std::function<std::string()> afterwards = {};
};
int run_job_command(const std::function<JobRequest()>& parse);

}  // namespace argosy
