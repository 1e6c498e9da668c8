// Starting MPI, running the job, and ending every rank with one sentence and one status.
#include "launch/commands/job_command.hpp"

#include <cstdio>

#include "kernels/base/account_clock.hpp"
#include "kernels/base/error.hpp"
#include "launch/install_paths.hpp"
#include "launch/version.hpp"
#include "parallel/mpi_session.hpp"

namespace argosy {

namespace {

void say(const char* sentence) {
    std::fflush(stdout);
    std::fprintf(stderr, "argosy: %s\n", sentence);
    std::fflush(stderr);
}

// An error that all ranks have agreed on: rank 0 says it, all return the status and finalize together.
int end_agreed(MpiSession& session, const ErrorReport& error) {
    if (session.rank() == 0) say(error.sentence.c_str());
    return exit_status(error.kind);
}

}  // namespace

int run_on_ranks(const std::function<RankWork()>& parse) {
    const StopSignals signals;  // before MPI starts: a warning that comes while a large model loads must not be lost
    MpiSession session;
    AccountClock clock(session.process_start_ns());
    RankWork work;
    std::optional<ErrorReport> mine;
    try {
        if (const auto complaint = session.launcher_complaint()) fail(ErrorKind::usage, "{}", *complaint);
        work = parse();
    } catch (const Error& error) {
        mine = ErrorReport{error.kind(), error.what(), session.rank()};
    }
    if (const auto agreed = session.agree(mine)) return end_agreed(session, *agreed);
    if (!work.help.empty()) {
        if (session.rank() == 0) std::fputs(work.help.c_str(), stdout);
        return kExitDone;
    }
    // From here on an error may be one rank's alone, while the others wait for it: whoever meets it speaks and ends
    // all. Errors that all ranks meet together are thrown on all of them at the same place; the lowest rank speaks
    // first, the others keep still.
    try {
        return work.run(session, signals, clock);
    } catch (const AgreedError& error) {
        return end_agreed(session, {error.kind(), error.what(), 0});
    } catch (const Error& error) {
        const std::string where =
            session.size() > 1 ? fmt::format("rank {} on {}: {}", session.rank(), session.node_name(), error.what())
                               : error.what();
        say(where.c_str());
        session.abort(exit_status(error.kind()));
    } catch (const std::exception& error) {
        say(fmt::format("rank {} ran into \"{}\", which should not happen. The run directory keeps what was finished.",
                        session.rank(), error.what())
                .c_str());
        session.abort(exit_status(ErrorKind::internal));
    }
}

int run_job_command(const std::function<JobRequest()>& parse) {
    return run_on_ranks([&]() -> RankWork {
        JobRequest request = parse();
        return {.help = request.help,
                .run = [request](MpiSession& session, const StopSignals& signals, AccountClock& clock) {
                    const bool first = session.rank() == 0;
                    const int status = run_job(session, request.settings, request.synthetic,
                                               {.cost_profiles = cost_profile_dirs(),
                                                .cluster_profiles = cluster_profile_dirs(),
                                                .version = kVersion},
                                               signals, clock);
                    if (first && status == kExitDone && request.afterwards)
                        std::fputs(request.afterwards().c_str(), stdout);
                    return status;
                }};
    });
}

}  // namespace argosy
