// Tells waiting from transfer in every verb, and whom a rank waited for.
//
// The ranks of a node share one monotonic clock. Every rank notes in node-shared memory when it enters its n-th verb of
// a group; when the verb is over, each reads when the others came: the time from its own arrival to the last one's was
// waiting, the rest transfer. No message is added. Ranks of other nodes leave no note that this rank could read or
// compare; waiting for them stays in the verb's account.
//
// Blame goes to the last to arrive, with what kept it longest since its former verb of that group. If that was itself a
// wait, its culprit is handed on: rank 2 computes for long, rank 3 waits for it in a leaf sum and so comes late to the
// dispatch, where rank 0 waits for both; rank 0 blames rank 2. In the same way a rank that was held up in the former
// verb of the same group, which others could leave earlier, hands on whom it waited for there.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <tuple>
#include <vector>

#include "kernels/base/account_clock.hpp"

namespace argosy {

enum class GroupKind : std::uint8_t { world, stage, tp, etp };
inline constexpr int kGroupKinds = 4;

// What made a rank late.
struct Cause {
    std::int32_t rank = -1;    // world rank
    std::int32_t expert = -1;  // with the most rows in that rank's last expert products; -1: no such account
    Account account = Account::other;
    bool operator==(const Cause&) const = default;
};

// One rank's note of one arrival, a cache line to itself. Written by that rank only; `verb` last, and 0 while it is
// written.
struct alignas(64) ArrivalNote {
    std::atomic<std::uint64_t> verb;  // number of the verb in its group, from 1
    std::atomic<std::int64_t> arrival_ns;
    std::atomic<std::int32_t> culprit;  // handed on or the rank itself
    std::atomic<std::int32_t> culprit_expert;
    std::atomic<std::int32_t> own_expert;
    std::atomic<std::int32_t> former_culprit;  // whom it waited for in the former verb; -1: nobody
    std::atomic<std::int32_t> former_expert;
    std::atomic<std::uint8_t> culprit_account;
    std::atomic<std::uint8_t> own_account;
    std::atomic<std::uint8_t> former_account;
    std::atomic<std::int64_t> former_left_ns;  // when it left the former verb
};
static_assert(sizeof(ArrivalNote) == 64 && std::atomic<std::int64_t>::is_always_lock_free);

// A rank that sends without receiving may be ahead of its readers by this many verbs before its notes are lost to them.
inline constexpr int kArrivalNotes = 32;
struct alignas(64) ArrivalBoard {
    std::atomic<std::int64_t> resumed_ns;  // when the process last went on after being stopped
    alignas(64) ArrivalNote notes[kGroupKinds][kArrivalNotes];
};

// What one rank waited for one cause in one waiting account.
struct Blame {
    Account waiting = Account::barrier;
    Cause cause;
    std::int64_t ns = 0;
    std::int64_t longest_ns = 0;  // the longest single wait
    std::int64_t waits = 0;
    bool operator==(const Blame&) const = default;
};

// How long a verb was waiting, and for whom. Pure.
struct Arrival {
    int member = 0;  // group rank
    std::int64_t ns = 0;
    bool operator==(const Arrival&) const = default;
};
struct WaitPart {
    std::int64_t ns = 0;
    int last = -1;  // group rank of the last to arrive; -1: nobody came after this rank
    bool operator==(const WaitPart&) const = default;
};
// wait = min(leave, last arrival) - enter, if anybody came later. Source: POP metrics on wait per collective.
WaitPart wait_part(std::int64_t enter_ns, std::int64_t leave_ns, std::span<const Arrival> others);

// One rank's meter. Main thread only. At most one exists in a process at a time: it takes SIGCONT.
class WaitMeter {
  public:
    // boards: one per rank of the node, in shared memory that was zero at the start and outlives the meter; own: this
    // rank's index among them. The clock is the rank's.
    WaitMeter(std::span<ArrivalBoard> boards, int own, int world_rank, AccountClock& clock);
    ~WaitMeter();
    WaitMeter(const WaitMeter&) = delete;
    WaitMeter& operator=(const WaitMeter&) = delete;

    // Names a group's members: board [group size] is each member's index among the node's boards, -1 on another node;
    // world_rank [group size]. All members call it between the same verbs of the group.
    void set_group(GroupKind kind, int own, std::vector<int> board, std::vector<int> world_rank);

    // Around a verb. partner [group size] is 0 for members with whom the verb exchanges nothing that could be waited
    // for; empty: all matter.
    void enter(GroupKind kind, std::int64_t now_ns);
    void leave(GroupKind kind, std::int64_t enter_ns, std::int64_t now_ns, std::span<const std::uint8_t> partner);

    // Largest first. Their sum per waiting account is what the clock holds in it.
    std::vector<Blame> blames() const;

    static std::size_t bytes_for(int ranks) { return static_cast<std::size_t>(ranks) * sizeof(ArrivalBoard); }
    static std::span<ArrivalBoard> boards_in(void* memory, int ranks);

  private:
    struct Group {
        int own = 0;
        std::vector<int> board;
        std::vector<int> world_rank;
        std::uint64_t verbs = 0;
        std::int64_t left_ns = 0;  // the last verb
        Cause waited_for;          // in it
        std::vector<Cause> cause;  // [group size] of the notes read last
    };
    // What kept this rank longest since its last verb of a group.
    struct Lateness {
        std::int64_t ns = 0;
        Cause cause;
    };
    struct Tally {
        std::int64_t ns = 0;
        std::int64_t longest_ns = 0;
        std::int64_t waits = 0;
        std::map<int, std::int64_t> expert_ns;
    };

    std::int64_t resumed_ns(int board) const;
    Cause self(Account account) const;
    void consider(const Lateness& lateness);
    bool read_note(const Group& group, GroupKind kind, int member, std::int64_t enter_ns, std::int64_t now_ns,
                   Arrival& arrival, Cause& cause) const;
    void book(Account waiting, const Cause& cause, std::int64_t ns);

    std::span<ArrivalBoard> boards_;
    int own_;
    int world_rank_;
    AccountClock& clock_;
    Group groups_[kGroupKinds];
    Lateness late_[kGroupKinds];
    std::map<std::tuple<Account, int, Account>, Tally> tallies_;  // by waiting account, culprit, its account
    std::vector<Arrival> arrivals_;
    struct FormerHandler;
    std::unique_ptr<FormerHandler> former_;
};

}  // namespace argosy
