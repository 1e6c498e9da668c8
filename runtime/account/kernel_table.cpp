// Taking kernels out of accounts.
#include "runtime/account/kernel_table.hpp"

#include <fmt/format.h>

#include <array>
#include <iterator>

#include "runtime/account/efficiency.hpp"

namespace argosy {

namespace {

using Cells = std::array<std::array<std::array<KernelTotals, kKernelCount>, kAccountCount>, kPhaseCount>;

KernelTotals& operator+=(KernelTotals& sum, const KernelTotals& other) {
    sum.ns += other.ns;
    sum.calls += other.calls;
    sum.rows += other.rows;
    sum.operations += other.operations;
    sum.bytes += other.bytes;
    sum.limit_ns += other.limit_ns;
    return sum;
}

Cells sum_of(std::span<const RankLedger> ranks) {
    Cells cells{};
    for (const RankLedger& rank : ranks) {
        for (const KernelEntry& entry : rank.kernels) {
            if (entry.totals.calls == 0) break;
            cells[static_cast<std::size_t>(entry.phase)][static_cast<std::size_t>(entry.account)]
                 [static_cast<std::size_t>(entry.kernel)] += entry.totals;
        }
    }
    return cells;
}

std::string label_of(Phase phase, Account account, Kernel kernel) {
    return fmt::format("{} {}: {}", name_of(phase), name_of(account), name_of(kernel));
}

}  // namespace

KernelTable kernel_table(std::span<const RankLedger> ranks) {
    const Cells cells = sum_of(ranks);
    KernelTable table;
    KernelTotals between;
    std::vector<KernelRow> rest;
    for (int a = 0; a < kAccountCount; ++a) {
        const auto account = static_cast<Account>(a);
        if (!is_stepping(account) && account != Account::other) continue;
        std::int64_t account_ns = 0;
        for (const RankLedger& rank : ranks) {
            for (const auto& phase : rank.totals_ns) account_ns += phase[static_cast<std::size_t>(a)];
        }
        table.steps_ns += account_ns;
        for (int p = 0; p < kPhaseCount; ++p) {
            for (int k = 0; k < kKernelCount; ++k) {
                const KernelTotals& totals =
                    cells[static_cast<std::size_t>(p)][static_cast<std::size_t>(a)][static_cast<std::size_t>(k)];
                if (totals.calls == 0) continue;
                account_ns -= totals.ns;
                const auto kernel = static_cast<Kernel>(k);
                table.rows.push_back({label_of(static_cast<Phase>(p), account, kernel), totals, kernel});
            }
        }
        if (is_useful(account)) {
            between.ns += account_ns;
        } else if (account_ns != 0) {
            rest.push_back({std::string(name_of(account)), {.ns = account_ns}, std::nullopt});
        }
    }
    if (table.rows.empty()) return {};
    rest.push_back({"between kernels", between, std::nullopt});
    table.rows.insert(table.rows.end(), rest.begin(), rest.end());
    for (KernelRow& row : table.rows)
        row.share = static_cast<double>(row.totals.ns) / static_cast<double>(table.steps_ns);
    return table;
}

std::string describe(const KernelTable& table) {
    if (table.rows.empty()) return "";
    std::string text = fmt::format(" {:<36}{:>10}{:>12}{:>9}{:>8}{:>10}{:>9}{:>9}\n", "kernel (all ranks)", "calls",
                                   "rows", "s", "%", "GFLOP/s", "GB/s", "% limit");
    const auto rate = [](std::int64_t amount, std::int64_t ns) {
        return amount > 0 && ns > 0 ? fmt::format("{:.1f}", static_cast<double>(amount) / static_cast<double>(ns))
                                    : std::string();
    };
    for (const KernelRow& row : table.rows) {
        const KernelTotals& t = row.totals;
        const std::string calls = row.kernel ? fmt::format("{}", t.calls) : "";
        const std::string rows = row.kernel ? fmt::format("{}", t.rows) : "";
        fmt::format_to(std::back_inserter(text), " {:<36}{:>10}{:>12}{:>9.3f}{:>8.2f}{:>10}{:>9}{:>9}\n", row.label,
                       calls, rows, static_cast<double>(t.ns) * 1e-9, 100 * row.share, rate(t.operations, t.ns),
                       rate(t.bytes, t.ns), rate(100 * t.limit_ns, t.ns));
    }
    fmt::format_to(std::back_inserter(text), " {:<36}{:>10}{:>12}{:>9.3f}{:>8.2f}\n", "all steps", "", "",
                   static_cast<double>(table.steps_ns) * 1e-9, 100.0);
    return text;
}

}  // namespace argosy
