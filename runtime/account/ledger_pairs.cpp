// Pairs of steps and their ratios.
#include "runtime/account/ledger_pairs.hpp"

#include <algorithm>
#include <cstddef>

namespace argosy {

void LedgerPairs::add(std::uint64_t step, std::int64_t rows, std::int64_t ns) {
    if (step % 2 == 0) {
        first_step_ = step;
        first_rows_ = rows;
        first_ns_ = ns;
        return;
    }
    if (first_step_ + 1 != step || first_rows_ != rows || first_ns_ <= 0 || ns <= 0) return;
    const auto first = static_cast<double>(first_ns_), second = static_cast<double>(ns);
    ratios_.push_back(keeps(step) ? second / first : first / second);
}

std::optional<LedgerCost> LedgerPairs::cost() const {
    if (ratios_.empty()) return std::nullopt;
    std::vector<double> sorted = ratios_;
    std::sort(sorted.begin(), sorted.end());
    const auto at = [&](double part) {
        return sorted[static_cast<std::size_t>(part * static_cast<double>(sorted.size() - 1))] - 1;
    };
    return LedgerCost{static_cast<std::int64_t>(sorted.size()), at(0.5), at(0.25), at(0.75)};
}

}  // namespace argosy
