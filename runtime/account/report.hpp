// The report of a run: one table that a stranger can read, and the same numbers as JSON.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/account/bill.hpp"
#include "runtime/account/cost_profile.hpp"
#include "runtime/account/ledger.hpp"

namespace argosy {

// Where the numbers come from. Empty fields are left out of the text and null in JSON.
struct Provenance {
    std::string version;      // of the program
    std::string numerics_id;  // DESIGN, same bits
    std::string model;        // its name or folder
    std::string model_digest;
    std::string input_digest;
    std::string layout;         // "replicas 1 x pp 1 x dp 2 x tp 2, ep 4 etp 1"
    std::string host;           // "4 ranks on 2 nodes; AMD EPYC ..."
    std::string isa;            // "avx512"
    std::string settings_path;  // effective settings of the run
    std::string started_utc;    // "2026-11-23T10:00:00Z"
    std::string same_bits;      // verdict of the self-test
};

struct RunReport {
    Provenance provenance;
    std::vector<RankLedger> ranks;
    std::optional<CostProfile> profile;
    Bill bill;
    std::int64_t requests_total = 0;
    std::int64_t requests_done = 0;
    std::int64_t requests_failed = 0;  // answered by an error record
    bool shared_cores = false;         // ranks shared cores: figures for correctness only
};

// Fills bill and shared_cores from ledgers and profile.
RunReport make_report(Provenance provenance, std::vector<RankLedger> ranks, std::optional<CostProfile> profile,
                      const std::optional<std::span<const RequestTokens>>& requests = {});

// Whom a row of waiting is blamed on most.
struct RowBlame {
    std::int32_t rank = -1;  // -1: nobody
    std::int32_t expert = -1;
    Account account = Account::other;
    std::int64_t ns = 0;  // of all ranks' waiting in the row
    double share = 0;     // of the row
};
std::string describe(const RowBlame& blame);  // "rank 2, expert 117", "rank 0, output"; empty: nobody

// One row of the table: a group of (phase, account) cells. Every cell is in exactly one row.
struct ReportRow {
    std::string label;
    std::int64_t min_ns = 0, sum_ns = 0, max_ns = 0;  // over ranks
    std::int64_t amount = 0;                          // in the bill's unit
    RowBlame blame = {};
};
std::vector<ReportRow> report_rows(const std::vector<RankLedger>& ranks, const Bill& bill);

std::string report_text(const RunReport& report);

// schema "argosy-report-1", described by configs/report.schema.json
inline constexpr const char* kReportSchema = "argosy-report-1";
std::string report_json(const RunReport& report);

}  // namespace argosy
