// Figures that the text report and the JSON report share, computed once so that the two cannot differ.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "runtime/account/efficiency.hpp"
#include "runtime/account/kernel_table.hpp"
#include "runtime/account/report.hpp"

namespace argosy {

// The least, the mean and the largest of a number over ranks.
struct Spread {
    std::int64_t min = 0, avg = 0, max = 0;
};

struct ReportFigures {
    std::vector<ReportRow> rows;
    KernelTable kernels;
    BillPrices prices;
    Efficiency efficiency;
    Spread life_ns;
    Spread cpu_ns;
    Spread max_rss_bytes;
    Spread weight_bytes_private;
    Spread weight_bytes_shared;
    Spread kv_bytes;
    std::array<std::int64_t, kSentVerbCount> bytes_sent = {};  // over all ranks
    std::int64_t bytes_read = 0;
    std::int64_t input_tokens = 0;  // uncached and cached
    std::int64_t delivered_tokens = 0;
    double utilisation = 0;           // what is billed directly over the bill
    double delivered_per_second = 0;  // over the longest rank's life
    double all_per_second = 0;
    bool stale_price = false;
};
ReportFigures report_figures(const RunReport& report);

}  // namespace argosy
