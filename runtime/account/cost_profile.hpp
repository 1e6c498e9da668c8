// Cost profiles: what an hour of a resource costs, by whose word and from when. Facts in small text files, read
// strictly.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace argosy {

// What the price is per hour of.
enum class PriceBasis : std::uint8_t { core, gpu, node, rank };
std::string_view name_of(PriceBasis basis);

struct CostProfile {
    std::string name;      // "own-hyperscaler"
    std::string resource;  // "H100", the section of the file; empty for a file without sections
    std::string source;    // who says so
    std::string date;      // "2026-04-03", "2026-04", "2024" or "undated"
    std::string currency;  // "USD"
    PriceBasis basis = PriceBasis::rank;
    std::int64_t price_nano_per_hour = 0;  // 1e-9 of the currency
    bool placeholder = false;              // the source itself calls the number temporary, or it is an example
    std::string note;
    std::string path;  // the file it was read from

    bool operator==(const CostProfile&) const = default;
};

// All profiles of one file: one per [section], or one if there are none. Lines are `key = value`, `[section]`, `#
// comment` or empty; keys before the first section hold for every section, which may replace them. Keys: name, source,
// date, currency, placeholder (yes or no), note and one of price_per_core_hour, price_per_gpu_hour,
// price_per_node_hour, price_per_rank_hour. `origin` stands in errors and in path. Throws Error(input) with the line
// number; an unknown key names the nearest valid one.
std::vector<CostProfile> parse_cost_profiles(std::string_view text, const std::string& origin);

// Finds "NAME", "NAME:RESOURCE", "FILE.ini" or "FILE.ini:RESOURCE": a NAME is NAME.ini in the first of `folders` that
// has it. RESOURCE may be left out where the file has one only; it is compared without regard to case. Throws
// Error(usage) with the nearest name, or with the resources to choose from.
CostProfile load_cost_profile(const std::string& wanted, std::span<const std::filesystem::path> folders);

// Names of the profiles in the folders, sorted, each once.
std::vector<std::string> cost_profile_names(std::span<const std::filesystem::path> folders);

// Why the profile cannot price a job with these resources (a GPU price where no rank has a GPU), as a full sentence;
// nothing if it can.
std::optional<std::string> profile_mismatch(const CostProfile& profile, std::int64_t cores_milli,
                                            std::int64_t gpus_milli);

// True if the price is undated or more than twelve months older than `today` ("2026-11-23" or longer; empty = unknown:
// not stale).
bool is_stale(const CostProfile& profile, std::string_view today);

// "own-hyperscaler 2026-04-03 (H100 $1.30/gpu-h)"
std::string describe(const CostProfile& profile);

}  // namespace argosy
