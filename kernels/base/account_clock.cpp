// The ledger's clock and the names of its accounts.
#include "kernels/base/account_clock.hpp"

#include <ctime>

namespace argosy {

std::string_view name_of(Account account) {
    switch (account) {
        case Account::launch:
            return "launch";
        case Account::load_read:
            return "load: read";
        case Account::load_exchange:
            return "load: exchange";
        case Account::load_pack:
            return "load: pack";
        case Account::tokenize:
            return "tokenize";
        case Account::schedule:
            return "schedule";
        case Account::attention:
            return "attention";
        case Account::dense_block:
            return "dense block";
        case Account::router:
            return "router";
        case Account::experts:
            return "experts";
        case Account::logits:
            return "logits";
        case Account::sample:
            return "sample";
        case Account::leaf_sum:
            return "leaf sum";
        case Account::dispatch_combine:
            return "dispatch+combine";
        case Account::step_control:
            return "step control";
        case Account::wait_exchange:
            return "wait: dispatch+combine";
        case Account::wait_leaf_sum:
            return "wait: leaf sum";
        case Account::wait_step:
            return "wait: step control";
        case Account::wait_load:
            return "wait: load";
        case Account::barrier:
            return "barrier";
        case Account::output:
            return "output";
        case Account::no_work:
            return "no work";
        case Account::shutdown:
            return "shutdown";
        case Account::other:
            return "other";
    }
    return "?";
}

Account waiting_account(Account during) {
    switch (during) {
        case Account::dispatch_combine:
            return Account::wait_exchange;
        case Account::leaf_sum:
            return Account::wait_leaf_sum;
        case Account::step_control:
            return Account::wait_step;
        case Account::load_read:
        case Account::load_exchange:
        case Account::load_pack:
            return Account::wait_load;
        default:
            return Account::barrier;
    }
}

bool is_waiting(Account account) { return account >= Account::wait_exchange && account <= Account::barrier; }

std::string_view name_of(Phase phase) {
    switch (phase) {
        case Phase::none:
            return "none";
        case Phase::prefill:
            return "prefill";
        case Phase::decode:
            return "decode";
    }
    return "?";
}

std::int64_t monotonic_ns() {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * std::int64_t{1000000000} + now.tv_nsec;
}

void AccountClock::settle(std::int64_t now_ns) {
    if (!ticking_) {
        totals_ns_[static_cast<int>(Phase::none)][static_cast<int>(Account::other)] += now_ns - since_ns_;
        since_ns_ = now_ns;
        return;
    }
    const std::int64_t stretch_ns = now_ns - since_ns_;
    totals_ns_[static_cast<int>(phase_)][static_cast<int>(current_)] += stretch_ns;
    if (stretch_ns > longest_.ns) longest_ = {stretch_ns, current_};
    since_ns_ = now_ns;
}

void AccountClock::book_wait(std::int64_t wait_ns, std::int64_t now_ns) {
    settle(now_ns);
    auto& phase = totals_ns_[static_cast<int>(phase_)];
    phase[static_cast<int>(current_)] -= wait_ns;
    phase[static_cast<int>(waiting_account(current_))] += wait_ns;
}

AccountClock::Stretch AccountClock::longest_stretch(std::int64_t now_ns) {
    settle(now_ns);
    return longest_;
}

Account AccountClock::switch_to(Account next, std::int64_t now_ns) {
    settle(now_ns);
    const Account ended = current_;
    current_ = next;
    return ended;
}

void AccountClock::set_phase(Phase phase, std::int64_t now_ns) {
    settle(now_ns);
    phase_ = phase;
}

}  // namespace argosy
