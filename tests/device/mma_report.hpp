// What a run found: one JSON file, and a table for the eye.
#pragma once

#include <string>
#include <vector>

#include "tests/device/bit_checks.hpp"
#include "tests/device/mma_probes.hpp"
#include "tests/device/mma_rates.hpp"

namespace argosy::device {

struct UnitBits {
    std::string unit;
    std::vector<std::uint32_t> found, modelled;  // by probe
    std::vector<DepthRow> depths;
};

struct FormatFindings {
    std::string format;
    int code_bytes = 0;
    std::vector<Probe> probes;
    std::vector<UnitBits> units;
    std::vector<std::vector<BitCheck>> ways;  // by pattern of `way_patterns`
    std::vector<ModelCheck> models;
    std::vector<ModelFit> fits;
    std::vector<Promotion> promotions;
};
inline constexpr Pattern kWayPatterns[] = {Pattern::unit, Pattern::wide, Pattern::cancel};

struct Findings {
    std::string device, version, date;
    int driver = 0, runtime = 0, multiprocessors = 0;
    std::vector<FormatFindings> formats;
    CopyRates copy{};
    std::vector<WgmmaRate> rates;
    double seconds = 0;
};

// What must agree and does not, as sentences.
std::vector<std::string> failures(const Findings& findings);

void write_json(const Findings& findings, const std::string& path);
void print_table(const Findings& findings);

}  // namespace argosy::device
