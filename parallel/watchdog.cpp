// The watchdog's thread, its heartbeat, and the judgement over a node's pulses.
#include "parallel/watchdog.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <new>
#include <thread>
#include <tuple>

#include "kernels/base/error.hpp"

namespace argosy {

namespace {

enum SlotState : std::uint8_t { kNotStarted = 0, kRunning = 1, kEnded = 2 };

// In these accounts a rank waits for others, so standing still in them is not its own fault.
bool communicates(Account account) {
    switch (account) {
        case Account::load_exchange:
        case Account::leaf_sum:
        case Account::dispatch_combine:
        case Account::step_control:
            return true;
        default:
            return false;
    }
}

// Nothing to do, and no need to say so: other nodes may work for hours.
bool may_rest(Account account) { return account == Account::no_work || account == Account::shutdown; }

Verdict verdict_on(const Pulse& pulse, bool silent, std::int64_t since_ns, std::int64_t now_ns) {
    return {pulse.world_rank, silent, now_ns - since_ns, pulse.account, pulse.step, pulse.pid};
}

void print_and_exit(const std::string& sentence) {
    if (!sentence.empty()) {
        std::fprintf(stderr, "%s\n", sentence.c_str());
        std::fflush(stderr);
    }
    _exit(exit_status(ErrorKind::system));
}

}  // namespace

std::vector<Pulse> read_pulses(std::span<HeartbeatSlot> slots) {
    std::vector<Pulse> pulses;
    for (const HeartbeatSlot& slot : slots) {
        Pulse pulse;
        pulse.running = slot.state.load(std::memory_order_acquire) == kRunning;
        pulse.world_rank = slot.world_rank.load(std::memory_order_relaxed);
        pulse.pid = slot.pid.load(std::memory_order_relaxed);
        pulse.beat_ns = slot.beat_ns.load(std::memory_order_relaxed);
        pulse.progress_ns = slot.progress_ns.load(std::memory_order_relaxed);
        pulse.step = slot.step.load(std::memory_order_relaxed);
        pulse.account = static_cast<Account>(slot.account.load(std::memory_order_relaxed));
        pulses.push_back(pulse);
    }
    return pulses;
}

std::optional<Verdict> judge(std::span<const Pulse> pulses, std::int64_t now_ns, std::int64_t limit_ns) {
    const Pulse* silent = nullptr;
    for (const Pulse& pulse : pulses) {
        if (!pulse.running || now_ns - pulse.beat_ns <= limit_ns) continue;
        if (silent == nullptr || pulse.beat_ns < silent->beat_ns) silent = &pulse;
    }
    if (silent != nullptr) return verdict_on(*silent, true, silent->beat_ns, now_ns);

    // Whoever waits for a rank may have stood still a moment longer than that rank, so all that stood for half the
    // limit are suspects once one has reached it.
    const Pulse* culprit = nullptr;
    bool limit_reached = false;
    bool someone_moves = false;
    for (const Pulse& pulse : pulses) {
        if (!pulse.running || may_rest(pulse.account)) continue;
        const std::int64_t still_ns = now_ns - pulse.progress_ns;
        if (still_ns <= limit_ns / 2) {
            someone_moves = true;
            continue;
        }
        // A wait is nobody's fault here as long as the culprit may be on another node, whose watchdogs speak after one
        // limit.
        const std::int64_t own_limit_ns = communicates(pulse.account) ? 2 * limit_ns : limit_ns;
        limit_reached = limit_reached || still_ns > own_limit_ns;
        const auto rank_of_blame = [](const Pulse& p) {
            return std::tuple(communicates(p.account), p.step, p.world_rank);
        };
        if (culprit == nullptr || rank_of_blame(pulse) < rank_of_blame(*culprit)) culprit = &pulse;
    }
    if (culprit == nullptr || !limit_reached) return std::nullopt;
    if (communicates(culprit->account) && someone_moves) return std::nullopt;  // it waits for one that works
    return verdict_on(*culprit, false, culprit->progress_ns, now_ns);
}

std::string describe(const Verdict& verdict, const std::string& node) {
    const std::int64_t seconds = verdict.for_ns / 1'000'000'000;
    const std::string what = verdict.silent
                                 ? fmt::format("has not been heard of for {} s; it was in account '{}' of step {}",
                                               seconds, name_of(verdict.account), verdict.step)
                                 : fmt::format("has stood still for {} s in account '{}' of step {}", seconds,
                                               name_of(verdict.account), verdict.step);
    return fmt::format(
        "Rank {} (process {} on {}) {}. The job ends here with status 70; what was finished is safe, and the same "
        "command resumes it.",
        verdict.world_rank, verdict.pid, node, what);
}

struct Watchdog::State {
    std::span<HeartbeatSlot> slots;
    HeartbeatSlot* own = nullptr;
    Options options;
    std::mutex mutex;
    std::condition_variable wake;
    bool ending = false;
    std::thread thread;

    // One of a node's watchdogs speaks; the others follow without a word, a moment later so that the sentence gets out
    // first.
    void end_with(const Verdict& verdict) {
        const bool first = slots.front().spoken.exchange(1) == 0;
        if (first) {
            options.end_process(describe(verdict, options.node));
        } else {
            std::this_thread::sleep_for(std::chrono::seconds(1));
            options.end_process("");
        }
    }

    void watch() {
        const std::int64_t interval_ns = std::clamp<std::int64_t>(options.limit_ns / 10, 1'000'000, 1'000'000'000);
        std::int64_t last_ns = monotonic_ns();
        std::int64_t judge_from_ns = last_ns;
        std::unique_lock lock(mutex);
        while (!wake.wait_for(lock, std::chrono::nanoseconds(interval_ns), [&] { return ending; })) {
            const std::int64_t now_ns = monotonic_ns();
            // When this very thread did not run, the whole node may have been put to sleep, and all slots are old:
            // begin anew.
            if (now_ns - last_ns > options.limit_ns / 2 + interval_ns) judge_from_ns = now_ns + options.limit_ns;
            last_ns = now_ns;
            own->beat_ns.store(now_ns, std::memory_order_relaxed);
            if (now_ns < judge_from_ns) continue;
            const std::optional<Verdict> verdict = judge(read_pulses(slots), now_ns, options.limit_ns);
            if (!verdict) continue;
            lock.unlock();
            end_with(*verdict);
            return;  // only a replaced end_process comes back
        }
    }
};

Watchdog::Watchdog(std::span<HeartbeatSlot> slots, int own, int world_rank, Options options)
    : state_(std::make_unique<State>()) {
    if (own < 0 || static_cast<std::size_t>(own) >= slots.size() || options.limit_ns < 1'000'000) {
        fail(ErrorKind::internal, "A watchdog cannot watch {} slots from place {} with a limit of {} ns.", slots.size(),
             own, options.limit_ns);
    }
    state_->slots = slots;
    state_->own = &slots[static_cast<std::size_t>(own)];
    state_->options = std::move(options);
    if (!state_->options.end_process) state_->options.end_process = print_and_exit;
    HeartbeatSlot& slot = *state_->own;
    slot.world_rank.store(world_rank, std::memory_order_relaxed);
    slot.pid.store(static_cast<std::int32_t>(getpid()), std::memory_order_relaxed);
    slot.beat_ns.store(monotonic_ns(), std::memory_order_relaxed);
    progress(Account::launch, 0);
    slot.state.store(kRunning, std::memory_order_release);
    state_->thread = std::thread([s = state_.get()] { s->watch(); });
}

Watchdog::~Watchdog() {
    {
        const std::lock_guard lock(state_->mutex);
        state_->ending = true;
    }
    state_->wake.notify_all();
    state_->thread.join();
    state_->own->state.store(kEnded, std::memory_order_release);
}

void Watchdog::progress(Account doing, std::uint64_t step) {
    HeartbeatSlot& slot = *state_->own;
    slot.account.store(static_cast<std::uint8_t>(doing), std::memory_order_relaxed);
    slot.step.store(step, std::memory_order_relaxed);
    slot.progress_ns.store(monotonic_ns(), std::memory_order_relaxed);
}

std::span<HeartbeatSlot> Watchdog::slots_in(void* memory, int ranks) {
    // The block is shared and already zero: constructing the slots again would wipe what a quicker rank has written.
    return {static_cast<HeartbeatSlot*>(memory), static_cast<std::size_t>(ranks)};
}

}  // namespace argosy
