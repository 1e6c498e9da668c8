// Arrival notes in node-shared memory, and what they say about a verb that is over.
#include "parallel/wait_meter.hpp"

#include <signal.h>

#include <algorithm>

#include "kernels/base/error.hpp"

namespace argosy {

namespace {

// The one thing the handler of SIGCONT may touch: where this rank notes that it goes on. A rank that is stopped inside
// a verb has long arrived; the moment it goes on is then its true arrival.
std::atomic<std::atomic<std::int64_t>*> resumed_note = nullptr;

void on_continue(int) {
    if (auto* note = resumed_note.load(std::memory_order_relaxed)) note->store(monotonic_ns());
}

bool names_expert(Account account) { return account == Account::experts; }

}  // namespace

WaitPart wait_part(std::int64_t enter_ns, std::int64_t leave_ns, std::span<const Arrival> others) {
    WaitPart part;
    std::int64_t last_ns = enter_ns;
    for (const Arrival& other : others) {
        if (other.ns <= last_ns) continue;
        last_ns = other.ns;
        part.last = other.member;
    }
    part.ns = std::max<std::int64_t>(std::min(last_ns, leave_ns) - enter_ns, 0);
    if (part.ns == 0) part.last = -1;
    return part;
}

struct WaitMeter::FormerHandler {
    struct sigaction action = {};
};

WaitMeter::WaitMeter(std::span<ArrivalBoard> boards, int own, int world_rank, AccountClock& clock)
    : boards_(boards), own_(own), world_rank_(world_rank), clock_(clock), former_(std::make_unique<FormerHandler>()) {
    if (own < 0 || static_cast<std::size_t>(own) >= boards.size()) {
        fail(ErrorKind::internal, "A wait meter cannot write board {} of {}.", own, boards.size());
    }
    resumed_note = &boards_[static_cast<std::size_t>(own)].resumed_ns;
    struct sigaction action = {};
    action.sa_handler = on_continue;
    action.sa_flags = SA_RESTART;
    sigaction(SIGCONT, &action, &former_->action);
}

WaitMeter::~WaitMeter() {
    sigaction(SIGCONT, &former_->action, nullptr);
    resumed_note = nullptr;
}

void WaitMeter::set_group(GroupKind kind, int own, std::vector<int> board, std::vector<int> world_rank) {
    Group& group = groups_[static_cast<std::size_t>(kind)];
    group.own = own;
    group.board = std::move(board);
    group.world_rank = std::move(world_rank);
    group.verbs = 0;
    group.left_ns = 0;
    group.waited_for = {};
    group.cause.assign(group.board.size(), {});
    arrivals_.reserve(std::max(arrivals_.capacity(), group.board.size()));
}

std::int64_t WaitMeter::resumed_ns(int board) const {
    return boards_[static_cast<std::size_t>(board)].resumed_ns.load(std::memory_order_acquire);
}

Cause WaitMeter::self(Account account) const {
    return {world_rank_, names_expert(account) ? clock_.noted_expert() : -1, account};
}

void WaitMeter::consider(const Lateness& lateness) {
    for (Lateness& late : late_) {
        if (lateness.ns > late.ns) late = lateness;
    }
}

void WaitMeter::enter(GroupKind kind, std::int64_t now_ns) {
    Group& group = groups_[static_cast<std::size_t>(kind)];
    const AccountClock::Stretch stretch = clock_.longest_stretch(now_ns);
    const Cause own = self(stretch.account);
    consider({stretch.ns, own});
    const Cause& culprit = late_[static_cast<std::size_t>(kind)].cause;
    const std::uint64_t verb = ++group.verbs;
    ArrivalNote& note =
        boards_[static_cast<std::size_t>(own_)].notes[static_cast<std::size_t>(kind)][verb % kArrivalNotes];
    note.verb.store(0, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_release);
    note.arrival_ns.store(now_ns, std::memory_order_relaxed);
    note.culprit.store(culprit.rank < 0 ? world_rank_ : culprit.rank, std::memory_order_relaxed);
    note.culprit_expert.store(culprit.expert, std::memory_order_relaxed);
    note.culprit_account.store(static_cast<std::uint8_t>(culprit.account), std::memory_order_relaxed);
    note.own_expert.store(own.expert, std::memory_order_relaxed);
    note.own_account.store(static_cast<std::uint8_t>(own.account), std::memory_order_relaxed);
    note.former_culprit.store(group.waited_for.rank, std::memory_order_relaxed);
    note.former_expert.store(group.waited_for.expert, std::memory_order_relaxed);
    note.former_account.store(static_cast<std::uint8_t>(group.waited_for.account), std::memory_order_relaxed);
    note.former_left_ns.store(group.left_ns, std::memory_order_relaxed);
    note.verb.store(verb, std::memory_order_release);
}

// False if the member's note of this verb cannot be read: it has not come yet, or is far ahead.
bool WaitMeter::read_note(const Group& group, GroupKind kind, int member, std::int64_t enter_ns, std::int64_t now_ns,
                          Arrival& arrival, Cause& cause) const {
    const int board = group.board[static_cast<std::size_t>(member)];
    const ArrivalNote& note =
        boards_[static_cast<std::size_t>(board)].notes[static_cast<std::size_t>(kind)][group.verbs % kArrivalNotes];
    if (note.verb.load(std::memory_order_acquire) != group.verbs) return false;
    arrival = {member, note.arrival_ns.load(std::memory_order_relaxed)};
    cause = {note.culprit.load(std::memory_order_relaxed), note.culprit_expert.load(std::memory_order_relaxed),
             static_cast<Account>(note.culprit_account.load(std::memory_order_relaxed))};
    const std::int64_t held_up_ns = note.former_left_ns.load(std::memory_order_relaxed) - enter_ns;
    const int former = note.former_culprit.load(std::memory_order_relaxed);
    if (former >= 0 && 2 * held_up_ns > arrival.ns - enter_ns) {  // it left the former verb long after this rank did
        cause = {former, note.former_expert.load(std::memory_order_relaxed),
                 static_cast<Account>(note.former_account.load(std::memory_order_relaxed))};
    }
    if (cause.rank == world_rank_) {  // it was late because it had waited for this very rank: an older story
        cause = {group.world_rank[static_cast<std::size_t>(member)], note.own_expert.load(std::memory_order_relaxed),
                 static_cast<Account>(note.own_account.load(std::memory_order_relaxed))};
    }
    std::atomic_thread_fence(std::memory_order_acquire);
    if (note.verb.load(std::memory_order_relaxed) != group.verbs) return false;
    const std::int64_t resumed = resumed_ns(board);
    if (resumed > arrival.ns && resumed > enter_ns && resumed <= now_ns) {
        arrival.ns = resumed;
        cause = {group.world_rank[static_cast<std::size_t>(member)], -1, clock_.current()};
    }
    return true;
}

void WaitMeter::leave(GroupKind kind, std::int64_t enter_ns, std::int64_t now_ns,
                      std::span<const std::uint8_t> partner) {
    Group& group = groups_[static_cast<std::size_t>(kind)];
    arrivals_.clear();
    for (int m = 0; m < static_cast<int>(group.board.size()); ++m) {
        const auto at = static_cast<std::size_t>(m);
        if (m == group.own || group.board[at] < 0 || (!partner.empty() && partner[at] == 0)) continue;
        Arrival arrival;
        if (read_note(group, kind, m, enter_ns, now_ns, arrival, group.cause[at])) arrivals_.push_back(arrival);
    }
    // A rank that was itself stopped in here waited for nobody until it went on.
    const std::int64_t resumed = resumed_ns(own_);
    const std::int64_t from_ns = resumed > enter_ns && resumed <= now_ns ? resumed : enter_ns;
    const WaitPart part = wait_part(from_ns, now_ns, arrivals_);
    const Account during = clock_.current();
    group.left_ns = now_ns;
    group.waited_for = {};
    if (part.ns > 0) {
        const Cause& cause = group.cause[static_cast<std::size_t>(part.last)];
        group.waited_for = cause;
        clock_.book_wait(part.ns, now_ns);
        book(waiting_account(during), cause, part.ns);
        consider({part.ns, cause});
    }
    consider({now_ns - enter_ns - part.ns, self(during)});
    late_[static_cast<std::size_t>(kind)] = {};
    clock_.longest_stretch(now_ns);
    clock_.begin_stretches();
}

void WaitMeter::book(Account waiting, const Cause& cause, std::int64_t ns) {
    Tally& tally = tallies_[{waiting, cause.rank, cause.account}];
    tally.ns += ns;
    tally.longest_ns = std::max(tally.longest_ns, ns);
    ++tally.waits;
    if (cause.expert >= 0) tally.expert_ns[cause.expert] += ns;
}

std::vector<Blame> WaitMeter::blames() const {
    std::vector<Blame> blames;
    for (const auto& [key, tally] : tallies_) {
        const auto& [waiting, rank, account] = key;
        int expert = -1;
        std::int64_t most_ns = 0;
        for (const auto& [e, ns] : tally.expert_ns) {
            if (ns > most_ns) most_ns = ns, expert = e;
        }
        blames.push_back({waiting, {rank, expert, account}, tally.ns, tally.longest_ns, tally.waits});
    }
    std::stable_sort(blames.begin(), blames.end(), [](const Blame& a, const Blame& b) { return a.ns > b.ns; });
    return blames;
}

std::span<ArrivalBoard> WaitMeter::boards_in(void* memory, int ranks) {
    // Shared and already zero: constructing the boards again would wipe what a quicker rank has noted.
    return {static_cast<ArrivalBoard*>(memory), static_cast<std::size_t>(ranks)};
}

}  // namespace argosy
