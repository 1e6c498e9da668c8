// Where the ranks of a job run: nodes, cores, NUMA domains, threads and memory of each, as values that are gathered,
// printed and judged before work begins.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "parallel/mpi_session.hpp"
#include "runtime/account/ledger.hpp"

namespace argosy {

// Threads of a rank: what was asked for, else OMP_NUM_THREADS, else the cores of its affinity mask, shared evenly where
// several ranks of the node may run on the same ones.
int choose_threads(const NodeCensus& node, int asked);

// Plain and of fixed size: ranks gather it as bytes.
struct RankSpot {
    std::int32_t rank = 0;
    std::int32_t leader = 0;  // first rank of its node: tells nodes apart where names do not
    char node[kNodeNameBytes] = {};
    std::array<std::uint64_t, kCpuMaskWords> cpus = {};  // bit c: may run on logical CPU c of its node
    std::int32_t numa_domain = 0;                        // -1: its cores lie in several
    std::int32_t numa_domains = 1;
    std::int32_t threads = 1;
    std::int32_t spare = 0;
    std::int64_t memory_bytes = 0;  // its share of what the node can give
    bool operator==(const RankSpot&) const = default;
};
RankSpot spot_of_this_rank(const MpiSession& session, int threads, std::int64_t memory_bytes);
// Of all ranks, by rank. Collective.
std::vector<RankSpot> gather_spots(MpiSession& session, const RankSpot& mine);

// "0-3,8": the CPUs of a mask; "unknown" of none.
std::string describe_cpus(std::span<const std::uint64_t> mask);

// A table with a line per rank; of more than 32 ranks the first and the last ones.
std::string describe(std::span<const RankSpot> spots);

// What is wrong with a placement, as sentences that say what to do; none when all is well. A rank with more threads
// than CPUs in its mask is told first, then nodes on which all threads together exceed the CPUs of all masks.
std::vector<std::string> placement_warnings(std::span<const RankSpot> spots);

}  // namespace argosy
