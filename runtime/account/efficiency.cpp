// POP efficiencies from the accounts of all ranks.
#include "runtime/account/efficiency.hpp"

#include <algorithm>

#include "runtime/account/money.hpp"

namespace argosy {

bool is_useful(Account account) {
    switch (account) {
        case Account::attention:
        case Account::dense_block:
        case Account::router:
        case Account::experts:
        case Account::logits:
        case Account::sample:
            return true;
        default:
            return false;
    }
}

bool is_stepping(Account account) {
    switch (account) {
        case Account::schedule:
        case Account::leaf_sum:
        case Account::dispatch_combine:
        case Account::step_control:
        case Account::wait_exchange:
        case Account::wait_leaf_sum:
        case Account::wait_step:
        case Account::no_work:
            return true;
        default:
            return is_useful(account);
    }
}

bool is_transfer(Account account) {
    return account == Account::leaf_sum || account == Account::dispatch_combine || account == Account::step_control;
}

std::int64_t amount_of(std::int64_t ns, const Bill& bill) {
    if (bill.rank_ns <= 0) return 0;
    return static_cast<std::int64_t>(money::divide_rounded(__int128{bill.total} * ns, bill.rank_ns));
}

Efficiency efficiency_of(std::span<const RankLedger> ranks) {
    Efficiency e;
    std::int64_t useful_max_ns = 0;
    std::int64_t stepping_max_ns = 0;
    std::int64_t ideal_max_ns = 0;
    double core_ns = 0;
    for (const RankLedger& rank : ranks) {
        std::int64_t useful_ns = 0;
        std::int64_t stepping_ns = 0;
        std::int64_t transfer_ns = 0;
        for (const auto& phase : rank.totals_ns) {
            for (int a = 0; a < kAccountCount; ++a) {
                const std::int64_t ns = phase[static_cast<std::size_t>(a)];
                if (is_useful(static_cast<Account>(a))) useful_ns += ns;
                if (is_stepping(static_cast<Account>(a))) stepping_ns += ns;
                if (is_transfer(static_cast<Account>(a))) transfer_ns += ns;
            }
        }
        e.useful_ns += useful_ns;
        useful_max_ns = std::max(useful_max_ns, useful_ns);
        stepping_max_ns = std::max(stepping_max_ns, stepping_ns);
        ideal_max_ns = std::max(ideal_max_ns, stepping_ns - transfer_ns);
        e.cpu_ns += rank.cpu_ns;
        core_ns += static_cast<double>(rank.life_ns()) * static_cast<double>(rank.cores_milli) / 1000.0;
    }
    const auto n = static_cast<std::int64_t>(ranks.size());
    e.imbalance_ns = n * useful_max_ns - e.useful_ns;
    e.communication_ns = n * (stepping_max_ns - useful_max_ns);
    e.transfer_ns = n * (stepping_max_ns - ideal_max_ns);
    e.serialisation_ns = n * (ideal_max_ns - useful_max_ns);
    if (core_ns > 0) e.cpu_utilisation = static_cast<double>(e.cpu_ns) / core_ns;
    if (useful_max_ns <= 0) return e;
    e.known = true;
    e.load_balance = static_cast<double>(e.useful_ns) / (static_cast<double>(n) * static_cast<double>(useful_max_ns));
    e.communication = static_cast<double>(useful_max_ns) / static_cast<double>(stepping_max_ns);
    e.serialisation = static_cast<double>(useful_max_ns) / static_cast<double>(ideal_max_ns);
    e.transfer = static_cast<double>(ideal_max_ns) / static_cast<double>(stepping_max_ns);
    e.parallel = e.load_balance * e.communication;
    return e;
}

}  // namespace argosy
