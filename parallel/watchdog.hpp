// Never a silent hang: a thread per rank that sees whether ranks on its node live and move, and ends the job with a
// sentence if not.
//
// Every rank's watchdog thread beats into a slot of node-shared memory; the rank's main thread notes its progress
// there. When a rank's beat stops (killed, stopped, swapped out), or nobody on the node has made progress for the
// limit, the first watchdog to see it prints one sentence and ends its process with status 70; the launcher then ends
// the rest. No MPI is called off the main thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kernels/base/account_clock.hpp"

namespace argosy {

// One rank's slot in shared memory: zero-filled at the start, written by its rank only.
struct alignas(64) HeartbeatSlot {
    std::atomic<std::int64_t> beat_ns;      // last beat of the watchdog thread
    std::atomic<std::int64_t> progress_ns;  // last progress of the main thread
    std::atomic<std::uint64_t> step;
    std::atomic<std::int32_t> world_rank;
    std::atomic<std::int32_t> pid;
    std::atomic<std::uint8_t> account;  // what the main thread does: Account
    std::atomic<std::uint8_t> state;    // 0: not started, 1: running, 2: ended in good order
    std::atomic<std::uint8_t> spoken;   // in slot 0: a rank of this node has printed a verdict
};
static_assert(sizeof(HeartbeatSlot) == 64 && std::atomic<std::int64_t>::is_always_lock_free);

// A slot's content as a value.
struct Pulse {
    int world_rank = 0;
    int pid = 0;
    std::int64_t beat_ns = 0;
    std::int64_t progress_ns = 0;
    std::uint64_t step = 0;
    Account account = Account::other;
    bool running = false;
    bool operator==(const Pulse&) const = default;
};
std::vector<Pulse> read_pulses(std::span<HeartbeatSlot> slots);

// Who is to blame, if anyone. Pure.
struct Verdict {
    int world_rank = 0;
    bool silent = false;      // its process does not run (else: it runs but its main thread stands still)
    std::int64_t for_ns = 0;  // since when
    Account account = Account::other;
    std::uint64_t step = 0;
    int pid = 0;
    bool operator==(const Verdict&) const = default;
};
// A silent rank first (the longest silent one). Else a rank that computes and has made no progress for the limit; else,
// when all ranks of the node wait in communication, for twice the limit (a culprit on another node is named by its own
// watchdogs before): the one with the fewest steps. Ranks in no_work or shutdown may rest for ever; all others call
// progress() more often than the limit.
std::optional<Verdict> judge(std::span<const Pulse> pulses, std::int64_t now_ns, std::int64_t limit_ns);
// "Rank 3 (process 4711 on node7) has not been heard of for 300 s; it was in account 'experts' of step 812. The job
// ends here; ..."
std::string describe(const Verdict& verdict, const std::string& node);

class Watchdog {
  public:
    struct Options {
        std::int64_t limit_ns = 300'000'000'000;
        std::string node = "this node";
        // Prints and ends the process; replaced in tests. Called on the watchdog's thread.
        std::function<void(const std::string& sentence)> end_process;
    };
    // slots: one per rank of the node, in shared memory that outlives the watchdog and was zero at the start; own: this
    // rank's index.
    Watchdog(std::span<HeartbeatSlot> slots, int own, int world_rank, Options options);
    ~Watchdog();  // says goodbye in the slot, so that others do not mourn
    Watchdog(const Watchdog&) = delete;
    Watchdog& operator=(const Watchdog&) = delete;

    // Main thread: I am moving. A few atomic stores; call at least once a step and around long work.
    void progress(Account doing, std::uint64_t step);

    static std::size_t bytes_for(int ranks) { return static_cast<std::size_t>(ranks) * sizeof(HeartbeatSlot); }
    // The slots in a block of node-shared memory.
    static std::span<HeartbeatSlot> slots_in(void* memory, int ranks);

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace argosy
