// Adding up what kernels did.
#include "kernels/kernel_meter.hpp"

#include <algorithm>

namespace argosy {

void KernelMeter::compare_with(const MachineSpeeds& machine, std::int64_t resident_bytes) {
    machine_ = machine;
    bandwidth_ = read_bandwidth(machine, resident_bytes);
}

void KernelMeter::add(const OpWork& work, std::int64_t ns) {
    KernelTotals& totals = totals_[index(clock_.phase(), clock_.current(), work.kernel)];
    totals.ns += ns;
    ++totals.calls;
    totals.rows += work.rows;
    totals.operations += work.operations;
    totals.bytes += work.bytes;
    if (!machine_) return;
    const double peak = work.f32 ? machine_->gflops : machine_->product_gops;
    totals.limit_ns += static_cast<std::int64_t>(
        std::max(static_cast<double>(work.operations) / peak, static_cast<double>(work.bytes) / bandwidth_));
}

}  // namespace argosy
