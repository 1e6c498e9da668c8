// What `run` and `bench` share: MPI, the clock, and that one rank speaks while all end.
#pragma once

#include <functional>
#include <optional>

#include "runtime/job_settings.hpp"
#include "runtime/run_job.hpp"

namespace argosy {

// Parses (on every rank, alike), runs the job and returns the exit status.
struct JobRequest {
    JobSettings settings;
    std::optional<SyntheticWork> synthetic;
    std::string help;  // not empty: print it and end
};
int run_job_command(const std::function<JobRequest()>& parse);

}  // namespace argosy
