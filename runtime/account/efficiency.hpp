// Parallel efficiency as the POP project defines it, from the ledgers' accounts.
#pragma once

#include <cstdint>
#include <span>

#include "runtime/account/bill.hpp"
#include "runtime/account/ledger.hpp"

namespace argosy {

// Over the stepping part of the run (start-up, files and shutdown are no matter of parallel efficiency): C = useful
// compute of a rank, T = the longest time that a rank spent stepping, N ranks.
//   load balance = <C> / max C, communication = max C / T, parallel = their product = <C> / T
// and in rank-time N T = sum C (useful) + N (max C - <C>) (imbalance) + N (T - max C) (communication). With I = the
// longest stepping time of a rank less its transfers, which an ideal network would take no time for:
//   communication = serialisation x transfer, serialisation = max C / I (waiting, serial parts), transfer = I / T
// Source: POP metrics, https://pop-coe.eu/node/69.
struct Efficiency {
    bool known = false;  // false if no rank computed anything
    double load_balance = 0;
    double communication = 0;
    double serialisation = 0;
    double transfer = 0;
    double parallel = 0;
    std::int64_t useful_ns = 0;
    std::int64_t imbalance_ns = 0;
    std::int64_t communication_ns = 0;  // serialisation_ns + transfer_ns
    std::int64_t serialisation_ns = 0;
    std::int64_t transfer_ns = 0;
    std::int64_t cpu_ns = 0;     // of all ranks
    double cpu_utilisation = 0;  // cpu_ns over core-ns; 0 where cores are unknown
};

bool is_useful(Account account);    // arithmetic on tokens
bool is_transfer(Account account);  // moving bytes within steps
bool is_stepping(Account account);  // anything that belongs to steps, useful or not

// What rank-time costs at the bill's mean price of a rank-nanosecond: prices imbalance_ns and communication_ns.
std::int64_t amount_of(std::int64_t ns, const Bill& bill);

Efficiency efficiency_of(std::span<const RankLedger> ranks);

}  // namespace argosy
