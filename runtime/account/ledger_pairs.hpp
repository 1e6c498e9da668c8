// What keeping the ledger costs, from steps that run with it and without it in turn.
//
// Two runs of one job differ by far more than a ledger costs, wherever a machine is shared. Two steps in a row differ
// by little, and thousands of such pairs by next to nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace argosy {

// Time with the ledger over time without it, less 1.
struct LedgerCost {
    std::int64_t pairs = 0;
    double median = 0;
    double lower_quartile = 0;
    double upper_quartile = 0;
};

class LedgerPairs {
  public:
    // Whether this step keeps the ledger: on, off, off, on, so that a drift (decode steps grow longer) falls on both.
    static bool keeps(std::uint64_t step) { return step % 4 == 0 || step % 4 == 3; }

    // A step that ran, steps in order. Steps 2 n and 2 n + 1 are a pair if they had equally many rows.
    void add(std::uint64_t step, std::int64_t rows, std::int64_t ns);

    // Absent without a pair.
    std::optional<LedgerCost> cost() const;

  private:
    std::uint64_t first_step_ = 1;  // odd: no step waits for its partner
    std::int64_t first_rows_ = 0;
    std::int64_t first_ns_ = 0;
    std::vector<double> ratios_;
};

}  // namespace argosy
