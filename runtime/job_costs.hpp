// What each request of a run used and cost: collected on the leaders, priced on world rank 0 when the bill is known.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "parallel/communicator.hpp"
#include "runtime/account/bill.hpp"
#include "runtime/account/report.hpp"
#include "runtime/job/response.hpp"

namespace argosy {

// One answered request. Travels as bytes.
struct RequestUse {
    std::int64_t line = 0;  // of the input
    RequestTokens tokens;
    bool operator==(const RequestUse&) const = default;
};
RequestUse use_of(const RequestResult& result);

// The uses of all ranks, by line, on rank 0; nothing on the others. Collective.
std::vector<RequestUse> collect_uses(Communicator& world, std::span<const RequestUse> mine);

// Tokens that ranks counted and no request answers for, as one more use of line -1: those of requests that a stopped
// run leaves unanswered. Appends nothing when all are accounted for; what requests hold too much stays for the bill's
// third check to find.
void add_unanswered(std::vector<RequestUse>& uses, std::span<const RankLedger> ranks);

std::vector<RequestTokens> tokens_of(std::span<const RequestUse> uses);

// One line per request after a heading: line, tokens by class, direct and loaded amount in the bill's unit (rank-ns, or
// 1e-9 of the currency). The line of what was not answered is empty.
std::string costs_csv(const RunReport& report, std::span<const RequestUse> uses);

// costs-1.csv, or the next number that no earlier run of this folder has taken.
std::filesystem::path next_costs_path(const std::filesystem::path& folder);

}  // namespace argosy
