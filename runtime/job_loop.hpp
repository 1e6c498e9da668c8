// The steps of a job: claiming runs of requests, agreeing on every step, writing answers as they finish.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "kernels/base/account_clock.hpp"
#include "parallel/claim_counter.hpp"
#include "parallel/mpi_session.hpp"
#include "parallel/watchdog.hpp"
#include "runtime/account/ledger.hpp"
#include "runtime/engine.hpp"
#include "runtime/job_input.hpp"
#include "runtime/job_setup.hpp"

namespace argosy {

// What the loop tells its surroundings, on the ranks concerned.
struct LoopEvents {
    std::function<void(const std::vector<RequestResult>&, const std::vector<LineError>&)>
        answers;                 // leaders, after every step: answered since the last call, maybe none
    std::function<void()> tend;  // any rank, while it waits for others: look after what is on its way to the disk
    std::function<void(std::int64_t answered)> progress;  // world rank 0: requests answered in its stage so far
    std::function<bool()> stop_asked;                     // a signal came
    std::function<void(std::uint64_t step)> step_begins;  // all ranks of a stage at the same step
    std::function<void(std::uint64_t step, std::int64_t rows)> step_ends;  // after one with rows, of the whole stage
};

// Runs until nothing is left (true) or a stop was asked for (false). Collective over the world.
bool run_steps(MpiSession& session, Groups& groups, const JobSetup& job, JobInput& input, Engine& engine,
               AccountClock& clock, RankLedger& ledger, Watchdog& watchdog, const LoopEvents& events);

}  // namespace argosy
