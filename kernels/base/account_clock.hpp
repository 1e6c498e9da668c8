// The ledger's clock: at any moment a rank is in exactly one account, and switching adds the integer nanoseconds since
// the last switch to the old one.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace argosy {

// Every account a rank's life can be in. One row of the report each; the name table is in account_clock.cpp.
enum class Account : std::uint8_t {
    launch,            // from process start to the first work: MPI start-up, options, request reading
    load_read,         // checkpoint bytes from the file system
    load_exchange,     // weights between ranks
    load_pack,         // weights into the layout that the kernels want
    tokenize,          // text to tokens
    schedule,          // deciding what a step does
    attention,         // norms, qkv, rope, attention, output projection
    dense_block,       // gate, up and down of dense layers
    router,            // router and top-k
    experts,           // grouped expert products and their local joins
    logits,            // final norm and vocabulary projection
    sample,            // choosing tokens
    leaf_sum,          // partial sums and rows between tensor-parallel ranks
    dispatch_combine,  // rows to experts and back
    step_control,      // the small word every rank tells all others before a step
    wait_exchange,     // in dispatch and combine: waiting for a rank that came later, so far as it can be told
    wait_leaf_sum,     // the same between tensor-parallel ranks
    wait_step,         // the same for the step words
    wait_load,         // the same while weights are read and exchanged
    barrier,           // the same outside all of these: at the start, between parts of a job, at its end
    output,            // text, files, reports
    no_work,           // nothing left to do while others work
    shutdown,          // closing files, MPI_Finalize
    other,             // everything not named above
};
inline constexpr int kAccountCount = static_cast<int>(Account::other) + 1;

// "dispatch+combine" and so on; the word used in every table and file.
std::string_view name_of(Account account);

// Where the part of a collective that was waiting is booked, by the account that the collective was called in.
Account waiting_account(Account during);
bool is_waiting(Account account);

// Work is billed by what a step was mostly for: accounts inside a step are counted once for prefill rows and once for
// decode rows.
enum class Phase : std::uint8_t { none, prefill, decode };
inline constexpr int kPhaseCount = 3;
std::string_view name_of(Phase phase);

// Monotonic nanoseconds since an arbitrary start.
std::int64_t monotonic_ns();

// Partitions one rank's life. Not thread-safe: it belongs to the rank's main thread.
class AccountClock {
  public:
    // Starts in `first` at start_ns, which may lie in the past: a process's start, read before this object could exist.
    explicit AccountClock(std::int64_t start_ns, Account first = Account::launch)
        : start_ns_(start_ns), since_ns_(start_ns), current_(first) {}

    // Ends the current account at now_ns and begins `next`; returns the account that ended.
    Account switch_to(Account next, std::int64_t now_ns);
    Account switch_to(Account next) { return switch_to(next, ticking_ ? monotonic_ns() : since_ns_); }

    // Work from here on is for prefill, decode or neither.
    void set_phase(Phase phase, std::int64_t now_ns);
    void set_phase(Phase phase) { set_phase(phase, ticking_ ? monotonic_ns() : since_ns_); }

    // From now on switches read no time, and all of it goes to `other`: to see what the ledger itself costs.
    void stand_still(std::int64_t now_ns) {
        settle(now_ns);
        ticking_ = false;
    }
    // Ends that.
    void tick(std::int64_t now_ns) {
        settle(now_ns);
        ticking_ = true;
    }

    bool ticking() const { return ticking_; }
    Account current() const { return current_; }
    Phase phase() const { return phase_; }
    std::int64_t start_ns() const { return start_ns_; }

    // Books wait_ns of the time that was just spent in the current account as waiting instead. wait_ns is at most the
    // time since the last switch.
    void book_wait(std::int64_t wait_ns, std::int64_t now_ns);

    // The longest unbroken stretch in one account since the last call of begin_stretches(), with its account: what a
    // rank was busy with that made it come late.
    struct Stretch {
        std::int64_t ns = 0;
        Account account = Account::other;
    };
    Stretch longest_stretch(std::int64_t now_ns);
    void begin_stretches() { longest_ = {}; }

    // The expert with the most rows in the last round of expert products on this rank; -1: none. Blame names it.
    void note_expert(int expert) { expert_ = expert; }
    int noted_expert() const { return expert_; }

    // Brings the current account up to now_ns, so that the sum of all accounts is exactly now_ns - start_ns.
    void settle(std::int64_t now_ns);

    // ns[phase][account]; settle() first.
    using Totals = std::array<std::array<std::int64_t, kAccountCount>, kPhaseCount>;
    const Totals& totals_ns() const { return totals_ns_; }
    std::int64_t life_ns() const { return since_ns_ - start_ns_; }

  private:
    std::int64_t start_ns_;
    std::int64_t since_ns_;
    Account current_;
    Phase phase_ = Phase::none;
    bool ticking_ = true;
    int expert_ = -1;
    Stretch longest_;
    Totals totals_ns_{};
};

// Puts the clock into an account for a scope and back into the former one at its end.
class InAccount {
  public:
    InAccount(AccountClock& clock, Account account) : clock_(clock), former_(clock.switch_to(account)) {}
    ~InAccount() { clock_.switch_to(former_); }
    InAccount(const InAccount&) = delete;
    InAccount& operator=(const InAccount&) = delete;

  private:
    AccountClock& clock_;
    Account former_;
};

}  // namespace argosy
