// Reading, printing and judging placements.
#include "runtime/placement.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>

#include "parallel/numa.hpp"

namespace argosy {

namespace {

using CpuMask = std::array<std::uint64_t, kCpuMaskWords>;

int count_cpus(const CpuMask& mask) {
    int count = 0;
    for (const std::uint64_t word : mask) count += __builtin_popcountll(word);
    return count;
}

const char* plural(std::size_t count) { return count == 1 ? "" : "s"; }

// "Rank 3", "Ranks 0, 1 and 6 more".
std::string name_ranks(const std::vector<std::int32_t>& ranks) {
    if (ranks.size() == 1) return fmt::format("Rank {}", ranks[0]);
    if (ranks.size() == 2) return fmt::format("Ranks {} and {}", ranks[0], ranks[1]);
    return fmt::format("Ranks {}, {} and {} more", ranks[0], ranks[1], ranks.size() - 2);
}

std::string row_of(const RankSpot& spot) {
    const std::string numa = spot.numa_domain < 0 ? fmt::format("several of {}", spot.numa_domains)
                                                  : fmt::format("{} of {}", spot.numa_domain, spot.numa_domains);
    return fmt::format("  {:>5}  {:<20}  {:<20}  {:<12}  {:>7}  {:>6.1f} GiB\n", spot.rank, spot.node,
                       describe_cpus(spot.cpus), numa, spot.threads,
                       static_cast<double>(spot.memory_bytes) / 1073741824.0);
}

// Ranks with more threads than CPUs take turns with themselves: the usual result of binding each rank to one core.
void warn_of_bound_ranks(std::span<const RankSpot> spots, std::vector<std::string>& warnings) {
    std::map<std::pair<int, int>, std::vector<std::int32_t>> ranks;  // (threads, CPUs)
    for (const RankSpot& spot : spots) {
        const int cpus = count_cpus(spot.cpus);
        if (cpus > 0 && spot.threads > cpus) ranks[{spot.threads, cpus}].push_back(spot.rank);
    }
    for (const auto& [key, list] : ranks) {
        const auto& [threads, cpus] = key;
        warnings.push_back(fmt::format(
            "{} may run on {} core{} only and {} {} threads there, which take turns. Give each rank its cores: "
            "`mpirun --map-by slot:PE={} --bind-to core`, `mpirun --bind-to none`, or `srun --cpus-per-task={}`; or "
            "start with --threads {}.",
            name_ranks(list), cpus, cpus == 1 ? "" : "s", list.size() == 1 ? "has" : "have each", threads, threads,
            threads, cpus));
    }
}

void warn_of_full_nodes(std::span<const RankSpot> spots, std::vector<std::string>& warnings) {
    struct Node {
        std::string name;
        int threads = 0;
        int ranks = 0;
        CpuMask cpus = {};
    };
    std::map<std::int32_t, Node> nodes;
    for (const RankSpot& spot : spots) {
        Node& node = nodes[spot.leader];
        node.name = spot.node;
        node.threads += spot.threads;
        ++node.ranks;
        for (std::size_t i = 0; i < spot.cpus.size(); ++i) node.cpus[i] |= spot.cpus[i];
    }
    std::vector<const Node*> full;
    for (const auto& [leader, node] : nodes) {
        const int cpus = count_cpus(node.cpus);
        if (cpus > 0 && node.threads > cpus) full.push_back(&node);
    }
    if (full.empty()) return;
    const Node& first = *full[0];
    const int cpus = count_cpus(first.cpus);
    const std::string more =
        full.size() == 1 ? "" : fmt::format(", as on {} more node{}", full.size() - 1, plural(full.size() - 1));
    warnings.push_back(fmt::format(
        "{} rank{} on {} run{} {} threads on {} core{}{}: answers are the same, but times, rates and costs say nothing "
        "(correctness only). Start at most {} threads there.",
        first.ranks, plural(static_cast<std::size_t>(first.ranks)), first.name, first.ranks == 1 ? "s" : "",
        first.threads, cpus, cpus == 1 ? "" : "s", more, cpus));
}

}  // namespace

int choose_threads(const NodeCensus& node, int asked) {
    if (asked > 0) return asked;
    if (const char* text = std::getenv("OMP_NUM_THREADS")) {
        const int threads = std::atoi(text);  // OpenMP itself accepts lists here; their first number is ours
        if (threads > 0) return threads;
    }
    return std::max(1, node.shared_cores ? node.cores_all / node.ranks : node.cores);
}

RankSpot spot_of_this_rank(const MpiSession& session, int threads, std::int64_t memory_bytes) {
    RankSpot spot;
    spot.rank = session.rank();
    spot.leader = session.node().leader;
    std::strncpy(spot.node, session.node_name().c_str(), kNodeNameBytes - 1);
    RankLedger process;
    measure_process(process);  // the ledger's own view of the mask, which its report will judge by
    spot.cpus = process.cpus;
    const NumaPlace numa = numa_place();
    spot.numa_domain = numa.domain;
    spot.numa_domains = numa.domains;
    spot.threads = threads;
    spot.memory_bytes = memory_bytes;
    return spot;
}

std::vector<RankSpot> gather_spots(MpiSession& session, const RankSpot& mine) {
    std::vector<RankSpot> spots(static_cast<std::size_t>(session.size()));
    session.world().all_gather(&mine, sizeof mine, spots.data());
    return spots;
}

std::string describe_cpus(std::span<const std::uint64_t> mask) {
    std::string text;
    const int cpus = static_cast<int>(mask.size()) * 64;
    const auto has = [&](int cpu) { return (mask[static_cast<std::size_t>(cpu / 64)] >> (cpu % 64) & 1) != 0; };
    for (int first = 0; first < cpus; ++first) {
        if (!has(first)) continue;
        int last = first;
        while (last + 1 < cpus && has(last + 1)) ++last;
        text += fmt::format("{}{}", text.empty() ? "" : ",", first);
        if (last > first) text += fmt::format("-{}", last);
        first = last;
    }
    return text.empty() ? "unknown" : text;
}

std::string describe(std::span<const RankSpot> spots) {
    constexpr std::size_t kShown = 32;
    std::string text = fmt::format("  {:>5}  {:<20}  {:<20}  {:<12}  {:>7}  {:>10}\n", "rank", "node", "cores",
                                   "NUMA domain", "threads", "memory");
    for (std::size_t i = 0; i < spots.size(); ++i) {
        if (spots.size() > kShown && i == kShown / 2) {
            const std::size_t left_out = spots.size() - kShown;
            text += fmt::format("  and {} more rank{}\n", left_out, plural(left_out));
            i += left_out;
        }
        text += row_of(spots[i]);
    }
    return text;
}

std::vector<std::string> placement_warnings(std::span<const RankSpot> spots) {
    std::vector<std::string> warnings;
    warn_of_bound_ranks(spots, warnings);
    warn_of_full_nodes(spots, warnings);
    return warnings;
}

}  // namespace argosy
