// Everything that is decided about a job before a weight is read, as one value that can be printed.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "kernels/base/account_clock.hpp"
#include "kernels/ops.hpp"
#include "parallel/mpi_session.hpp"
#include "parallel/rank_layout.hpp"
#include "runtime/fit.hpp"
#include "runtime/forward/load_weights.hpp"
#include "runtime/job_input.hpp"
#include "runtime/job_settings.hpp"
#include "runtime/model/model_plan.hpp"
#include "runtime/placement.hpp"
#include "runtime/run_job.hpp"
#include "runtime/text/tokenizer.hpp"

namespace argosy {

struct JobSetup {
    ModelPlan plan;
    std::filesystem::path config;  // the model's config.json
    std::string model_name;        // in answers: the model folder's name
    Tokenizer tokenizer;
    WeightSource source;
    const Ops* ops = nullptr;
    Stream stream;
    std::string same_bits;  // verdict of the self-test on this machine
    RankLayout layout;
    RankPlace place;
    JobInput input;
    int max_rows = 0;
    int exchange_rows = 0;
    int positions = 0;           // longest sequence of the job
    std::int64_t kv_blocks = 0;  // of this rank's group: the same on all ranks of a stage
    std::int64_t kv_block_bytes = 0;
    std::int64_t weight_bytes = 0;  // of this rank, as stored
    std::vector<RankSpot> spots;    // where all ranks run, by rank
    Fit fit;                        // of a dry run also when it does not fit
};

// Collective. Errors (usage, input) are the same on every rank.
JobSetup set_up_job(MpiSession& session, const JobSettings& settings, const std::optional<SyntheticWork>& synthetic,
                    AccountClock& clock);

// The plan of the job for --dry-run and the log: model, layout, placement, memory, work.
std::string describe(const JobSetup& setup, const MpiSession& session);

}  // namespace argosy
