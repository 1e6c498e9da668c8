// Times every call of an op and adds up its work, by the account of the ledger that it was called in: where the time
// of steps goes, kernel by kernel, so that it closes with the ledger.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "kernels/base/account_clock.hpp"
#include "kernels/base/step_cost.hpp"
#include "kernels/op_work.hpp"

namespace argosy {

struct KernelTotals {
    std::int64_t ns = 0;
    std::int64_t calls = 0;
    std::int64_t rows = 0;
    std::int64_t operations = 0;
    std::int64_t bytes = 0;
    std::int64_t limit_ns = 0;  // least time by the machine's speeds; 0 where these are not known
    bool operator==(const KernelTotals&) const = default;
};

// Not thread-safe: it belongs to the rank's main thread, like the clock whose account it books under. Where the clock
// stands still, nothing is timed.
class KernelMeter {
  public:
    explicit KernelMeter(const AccountClock& clock) : clock_(clock) {}

    // From now on each call's least time is added up too: the larger of operations / peak and bytes / bandwidth, that
    // of the smallest cache which holds all `resident_bytes` of weights and KV, else that of memory.
    void compare_with(const MachineSpeeds& machine, std::int64_t resident_bytes);

    bool counts() const { return clock_.ticking(); }
    void add(const OpWork& work, std::int64_t ns);

    const KernelTotals& of(Phase phase, Account account, Kernel kernel) const {
        return totals_[index(phase, account, kernel)];
    }

  private:
    static std::size_t index(Phase phase, Account account, Kernel kernel) {
        return (static_cast<std::size_t>(phase) * kAccountCount + static_cast<std::size_t>(account)) * kKernelCount +
               static_cast<std::size_t>(kernel);
    }

    const AccountClock& clock_;
    std::optional<MachineSpeeds> machine_;
    double bandwidth_ = 0.0;  // bytes per ns
    std::array<KernelTotals, std::size_t{kPhaseCount} * kAccountCount * kKernelCount> totals_{};
};

// Calls an op, timed where the stream has a meter. What an op of a GPU takes is not seen here: its call returns at
// once.
template <class Args>
void run_op(void (*op)(const Args&, const Stream&), const Args& args, const Stream& stream) {
    if (stream.meter == nullptr || !stream.meter->counts()) {
        op(args, stream);
        return;
    }
    const std::int64_t begin_ns = monotonic_ns();
    op(args, stream);
    stream.meter->add(work_of(args), monotonic_ns() - begin_ns);
}

}  // namespace argosy
