// Progress line and status.json.
#include "runtime/job_progress.hpp"

#include <algorithm>
#include <cstdio>

namespace argosy {

namespace {
constexpr double kStatusEvery_s = 2;

std::int64_t prompt_tokens_of(const RankLedger& ledger) {
    return tokens_of(ledger, TokenClass::uncached_input) + tokens_of(ledger, TokenClass::cached_input);
}
}  // namespace

JobProgress::JobProgress(const JobSetup& job, RunDirectory* directory, std::int64_t answered_before, bool quiet)
    : job_(job),
      directory_(directory),
      meter_(quiet ? nullptr : std::make_unique<ProgressMeter>(stderr)),
      total_(static_cast<std::int64_t>(job.input.lines.size())),
      before_(answered_before),
      start_ns_(monotonic_ns()) {}

double JobProgress::seconds() const { return static_cast<double>(monotonic_ns() - start_ns_) * 1e-9; }

Progress JobProgress::progress_of(std::int64_t done, std::int64_t prompt_tokens, std::int64_t output_tokens) const {
    return {.done = std::min(done, total_),
            .requests = total_,
            .done_before = before_,
            .prompt_tokens = prompt_tokens,
            .output_tokens = output_tokens,
            .seconds = seconds()};
}

JobStatus JobProgress::status_of(const Progress& progress, const char* state) const {
    JobStatus status;
    status.state = state;
    status.requests = progress.requests;
    status.done = progress.done;
    status.errors = static_cast<std::int64_t>(job_.input.errors.size());
    status.prompt_tokens = progress.prompt_tokens;
    status.output_tokens = progress.output_tokens;
    status.seconds = progress.seconds;
    status.tokens_per_second = tokens_per_second(progress);
    status.seconds_left = seconds_left(progress);
    return status;
}

void JobProgress::update(std::int64_t answered, const RankLedger& ledger) {
    const std::int64_t of_all =
        std::min(answered * job_.layout.replicas, static_cast<std::int64_t>(job_.input.entries.size()));
    const std::int64_t groups = job_.layout.groups();
    const Progress progress = progress_of(before_ + of_all, prompt_tokens_of(ledger) * groups,
                                          tokens_of(ledger, TokenClass::delivered_output) * groups);
    if (meter_) meter_->update(progress);
    if (directory_ != nullptr && progress.seconds - status_seconds_ >= kStatusEvery_s) {
        status_seconds_ = progress.seconds;
        directory_->write_status(status_of(progress, "running"));
    }
}

void JobProgress::finish(std::span<const RankLedger> ledgers, std::int64_t answered, bool finished) {
    std::int64_t prompt_tokens = 0, output_tokens = 0;
    for (const RankLedger& ledger : ledgers) {
        prompt_tokens += prompt_tokens_of(ledger);
        output_tokens += tokens_of(ledger, TokenClass::delivered_output);
    }
    const Progress progress = progress_of(answered, prompt_tokens, output_tokens);
    if (meter_) meter_->finish(progress);
    if (directory_ != nullptr) directory_->write_status(status_of(progress, finished ? "done" : "stopped"));
}

}  // namespace argosy
