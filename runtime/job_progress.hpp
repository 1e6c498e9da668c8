// What a running job shows of itself on world rank 0: the progress line and status.json.
#pragma once

#include <cstdint>
#include <memory>

#include "runtime/account/ledger.hpp"
#include "runtime/job/progress.hpp"
#include "runtime/job/run_directory.hpp"
#include "runtime/job_setup.hpp"

namespace argosy {

class JobProgress {
  public:
    // directory: null where nothing is kept. `answered_before`: lines that an earlier run answered. quiet: no progress
    // line.
    JobProgress(const JobSetup& job, RunDirectory* directory, std::int64_t answered_before, bool quiet);

    // `answered`: requests of this rank's stage so far. Rank 0 sees its own stage and its own group's tokens: other
    // groups and replicas are taken to be as far, until the ledgers of all ranks are in.
    void update(std::int64_t answered, const RankLedger& ledger);

    // The last state, from the ledgers of all ranks.
    void finish(std::span<const RankLedger> ledgers, std::int64_t answered, bool finished);

    double seconds() const;  // since the object was made

  private:
    Progress progress_of(std::int64_t done, std::int64_t prompt_tokens, std::int64_t output_tokens) const;
    JobStatus status_of(const Progress& progress, const char* state) const;

    const JobSetup& job_;
    RunDirectory* directory_;
    std::unique_ptr<ProgressMeter> meter_;
    std::int64_t total_;
    std::int64_t before_;
    std::int64_t start_ns_;
    double status_seconds_ = 0;  // when status.json was written last
};

}  // namespace argosy
