// The end of a job: every rank's ledger filled and gathered, and the report made of them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kernels/base/account_clock.hpp"
#include "parallel/mpi_session.hpp"
#include "parallel/node_waits.hpp"
#include "runtime/account/ledger.hpp"
#include "runtime/account/ledger_pairs.hpp"
#include "runtime/account/report.hpp"
#include "runtime/engine.hpp"
#include "runtime/job_setup.hpp"
#include "runtime/probe/cluster_profile.hpp"

namespace argosy {

// Fills what the ledger says beside time and tokens: traffic, memory, witnesses, whom the rank waited for (waits may be
// null). The clock is read last.
void close_ledger(RankLedger& ledger, MpiSession& session, const Groups& groups, const JobSetup& job,
                  const LoadedWeights& loaded, const ModelRunner& runner, const Engine& engine, const NodeWaits* waits,
                  AccountClock& clock);

// Ledgers of all ranks, on every rank. Collective.
std::vector<RankLedger> gather_ledgers(MpiSession& session, const RankLedger& mine);

// Brings every life up to now_ns of this rank's clock, in the account shutdown: all ranks leave MPI together, so that
// the end of one is the end of all. Ranks of other nodes have another clock; theirs goes on by as much as this rank's
// (`own`) did.
void extend_to_end(std::vector<RankLedger>& ledgers, int own, std::int64_t now_ns);

Provenance provenance_of(const MpiSession& session, const JobSetup& job, const std::string& model_digest,
                         const std::string& version, const std::string& started_utc);

// Which part of the machine's limits the job reached, for the end of the text report.
std::string limit_line(const RunReport& report, std::int64_t work_ns, const ClusterProfile& cluster);

// The last line of a benchmark: prompt tokens over the time of prefill steps, generated ones over that of decode steps,
// all over work_ns. With a cluster profile also the least time that the steps could have taken, as a part of work_ns.
std::string bench_line(const RunReport& report, std::int64_t work_ns);

// The last line of a run whose ledger was measured.
std::string ledger_line(const std::optional<LedgerCost>& cost);

// "2026-11-23T10:00:00Z"
std::string utc_now();

}  // namespace argosy
