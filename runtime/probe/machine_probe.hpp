// Measuring a machine with the ranks of a job: arithmetic, caches, memory, messages, disk. Collective over all ranks.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "parallel/mpi_session.hpp"
#include "runtime/probe/cluster_profile.hpp"

namespace argosy {

struct ProbeOptions {
    int threads = 1;                // of this rank
    bool quick = false;             // few and short rounds
    std::filesystem::path path;     // folder whose disk is measured; empty: none
    std::int64_t memory_bytes = 0;  // that this node can give
    std::string program;            // version
};

// The same profile on every rank; some ten seconds, less than five when quick. Error(usage) on all ranks, before
// anything is measured, when a file cannot be made in options.path.
ClusterProfile probe_machine(MpiSession& session, const ProbeOptions& options);

// ---- the parts, for machine_probe.cpp ----

struct ProbePace {
    int rounds = 0;
    std::int64_t round_ns = 0;  // aimed at
    int pings = 0;              // round trips of a small message in a round
    std::int64_t disk_bytes = 0;
    int disk_rounds = 0;
};
ProbePace pace_of(bool quick);

// Fills links, step_word_us and barrier_us.
void probe_network(MpiSession& session, const ProbePace& pace, ClusterProfile& profile);

// Error(usage) on all ranks when no file can be made in `folder`.
void check_disk(MpiSession& session, const std::filesystem::path& folder);
DiskFigures probe_disk(MpiSession& session, const ProbePace& pace, const std::filesystem::path& folder);

// This rank's numbers of every round [rounds], of all ranks: [rank][round].
std::vector<std::vector<double>> gather_rounds(MpiSession& session, const std::vector<double>& mine);

}  // namespace argosy
