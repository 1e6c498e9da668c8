// A whole job, from settings to report: what `argosy run` and `argosy bench` do. Collective over all ranks.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "kernels/base/account_clock.hpp"
#include "parallel/mpi_session.hpp"
#include "runtime/job_settings.hpp"
#include "runtime/stop_signals.hpp"

namespace argosy {

// Synthetic work instead of request files.
struct SyntheticWork {
    int requests = 0;
    int input_tokens = 0;
    int shared_tokens = 0;
    int output_tokens = 0;
    std::optional<std::uint64_t> random_weights;
};

struct JobFolders {
    std::vector<std::filesystem::path> cost_profiles;     // where names of cost profiles are looked up
    std::vector<std::filesystem::path> cluster_profiles;  // where names of cluster profiles are looked up
    std::string version;                                  // of the program, for the report
};

inline constexpr int kExitDone = 0;
inline constexpr int kExitResumable = 75;  // stopped by a signal; the same command goes on

// Returns the exit status. Errors that all ranks agree on are thrown on all; an error within a step ends all ranks. A
// stop signal (USR1, INT, TERM) ends the job after the step under way. Prints the report, or the plan of a dry run, on
// rank 0.
int run_job(MpiSession& session, const JobSettings& settings, const std::optional<SyntheticWork>& synthetic,
            const JobFolders& folders, const StopSignals& signals, AccountClock& clock);

}  // namespace argosy
