// What making a bill and checking it share: the price of the ranks' time, and sums that cannot overflow.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "runtime/account/bill.hpp"

namespace argosy::account_detail {

using Wide = __int128;

inline std::int64_t at_least_0(std::int64_t value) { return value > 0 ? value : 0; }

// False, and value clamped, if the wide sum does not fit.
bool narrow(Wide wide, std::int64_t& value);

Wide sum_of(const AccountAmounts& amounts);
Wide life_sum_ns(std::span<const RankLedger> ranks);  // negative lives count as 0
Wide core_sum_ns(std::span<const RankLedger> ranks);  // life x cores, rounded once

// What a rank's charge is proportional to under a rank, core or gpu price: life x units in thousandths.
Wide charge_weight(const RankLedger& rank, PriceBasis basis);

// The bill of all ranks. Without an amount, `problem` says in a full sentence why there is none.
struct PricedTime {
    BillUnit unit = BillUnit::rank_ns;
    std::int64_t total = 0;
    std::string problem;
};
PricedTime price_time(std::span<const RankLedger> ranks, const std::optional<CostProfile>& profile);

// One node's part of a node-priced job: its ranks and the time from their first start to their last end.
struct NodeTime {
    std::vector<std::size_t> ranks;
    std::int64_t ns = 0;
};
std::vector<NodeTime> node_times(std::span<const RankLedger> ranks);

}  // namespace argosy::account_detail
