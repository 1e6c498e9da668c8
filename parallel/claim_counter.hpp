// How dp groups share one job: each group's leader begins with a run of the job's global request order and claims
// further ones from world rank 0, one run ahead.
//
// Runs get shorter towards the end, and none gets a group beyond its fair share of all that is unfinished: where every
// request can be under way at once, groups would otherwise be as unequal as they are quick at asking. A group that has
// its share is told to ask later.
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

// What has been handed out, and who holds how much of it.
struct ClaimBook {
    std::int64_t total = 0;
    std::int64_t minimum = 1;              // of a run, but where fewer are left or a group's share is reached
    std::int64_t next = 0;                 // first request that nobody has
    std::vector<std::int64_t> unfinished;  // by leader: requests without an answer, when it last asked
};

// The next run for leader `leader`, which holds `unfinished` requests; empty: nothing is left; none: ask later. Pure
// but for the book. Example: 2 leaders, 30 requests left, both hold 20: a share is 35, so 15 more at most.
std::optional<ClaimRun> hand_out(ClaimBook& book, int leader, std::int64_t unfinished);

class ClaimCounter {
  public:
    // Collective over the world. `leaders`: world ranks that claim (group_leaders in rank_layout.hpp); `total`
    // requests, in runs of at least `minimum`. All ranks give the same values.
    ClaimCounter(MpiSession& session, std::vector<int> leaders, std::int64_t total, std::int64_t minimum);
    ~ClaimCounter();
    ClaimCounter(const ClaimCounter&) = delete;
    ClaimCounter& operator=(const ClaimCounter&) = delete;

    // Leaders: sends the request for one run and returns at once; `unfinished`: requests it holds without an answer.
    // Does nothing while one is under way or after 'nothing left'. A leader's first run counts as asked for.
    void ask(std::int64_t unfinished);
    // Leaders: the run asked for, once it has come; nothing too where the answer was to ask later. An empty run means
    // that nothing is left; then exhausted() stays true.
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
