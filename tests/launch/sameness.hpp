// Runs of one job in several ways, whose answers must be the same bytes; each way with the witness counters that prove
// that what it is about has happened.
#pragma once

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/shared_data.hpp"

namespace argosy::test {

struct Way {
    std::string options;
    int ranks = 0;  // 0: the program alone
    std::function<bool(const nlohmann::json& witness)> happened;
    std::vector<std::string> before;
};

// Of a witness counter.
std::function<bool(const nlohmann::json&)> above(const char* key, std::int64_t least);
std::function<bool(const nlohmann::json&)> equals(const char* key, std::int64_t wanted);
std::int64_t value(const nlohmann::json& witness, const char* key);

// Runs the requests one way; returns responses.jsonl and checks the witness.
std::string run_way(const std::string& requests, const Way& way, const std::filesystem::path& model);
// With the demo model.
std::string run_way(const std::string& requests, const Way& way);

// Every way gives what `alone` gives, an answer without an error for every line.
void check_all_same(const std::string& requests, const Way& alone, const std::vector<Way>& ways,
                    const std::filesystem::path& model);
void check_all_same(const std::string& requests, const Way& alone, const std::vector<Way>& ways);

}  // namespace argosy::test
