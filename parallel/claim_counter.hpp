// How dp groups share one job: each group's leader claims runs of the job's global request order from world rank 0, one
// run ahead.
//
// Claims are two small messages; there is no thread and no one-sided access. World rank 0 answers in serve(), which it
// calls once a step and, when its own work is done, until all_told(). A leader asks for its next run while it still
// works on the last, so it does not wait for a busy rank 0.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "parallel/mpi_session.hpp"

namespace argosy {

// Requests [begin, end) of the global order; empty: nothing is left.
struct ClaimRun {
    std::int64_t begin = 0;
    std::int64_t end = 0;
    bool empty() const { return begin >= end; }
    std::int64_t count() const { return empty() ? 0 : end - begin; }
    bool operator==(const ClaimRun&) const = default;
};

// Guided lengths: long runs first, short ones near the end, so that groups end together. Pure.
// max(minimum, remaining / (3 * groups)), at most remaining; 0 when nothing remains.
std::int64_t guided_run_length(std::int64_t remaining, int groups, std::int64_t minimum);

class ClaimCounter {
  public:
    // Collective over the world. `leaders`: world ranks that claim (group_leaders in rank_layout.hpp); `total`
    // requests, in runs of at least `minimum`. All ranks give the same values.
    ClaimCounter(MpiSession& session, std::vector<int> leaders, std::int64_t total, std::int64_t minimum);
    ~ClaimCounter();
    ClaimCounter(const ClaimCounter&) = delete;
    ClaimCounter& operator=(const ClaimCounter&) = delete;

    // Leaders: sends the request for one run and returns at once. Does nothing while one is under way or after 'nothing
    // left'.
    void ask();
    // Leaders: the run asked for, once it has come. An empty run means that nothing is left; then exhausted() stays
    // true.
    std::optional<ClaimRun> poll();
    bool asked() const;
    bool exhausted() const;

    // World rank 0: answers what has been asked; never waits. Nothing to do on other ranks.
    void serve();
    // World rank 0: every leader has been told 'nothing left' and all answers have left. True on other ranks.
    bool all_told() const;

    // World rank 0: from now on every answer is 'nothing left': the job is stopping.
    void stop();
    // World rank 0: first request that nobody has claimed.
    std::int64_t next() const;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace argosy
