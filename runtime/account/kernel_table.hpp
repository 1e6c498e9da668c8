// Where the time of steps went, kernel by kernel: the ledger's accounts with the kernels that ran in them taken out, so
// that the rows add up to the whole.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/account/ledger.hpp"

namespace argosy {

// One row, over all ranks. A row without a kernel is what an account took beside its kernels.
struct KernelRow {
    std::string label;  // "decode experts: gate-up", "schedule", "between kernels"
    KernelTotals totals;
    std::optional<Kernel> kernel;
    double share = 0;  // of the time in steps of all ranks
};

struct KernelTable {
    std::int64_t steps_ns = 0;  // of all ranks: accounts of steps, and what is in no account
    std::vector<KernelRow> rows;
};
KernelTable kernel_table(std::span<const RankLedger> ranks);

// As text; empty when no kernel was timed. Rates are per rank, while the kernel ran.
std::string describe(const KernelTable& table);

}  // namespace argosy
