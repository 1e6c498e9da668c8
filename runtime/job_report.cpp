// Ledgers and provenance of a finished job.
#include "runtime/job_report.hpp"

#include <algorithm>
#include <ctime>
#include <fstream>

namespace argosy {

namespace {

void add_traffic(RankLedger& ledger, const Communicator& communicator) {
    const TrafficCounters& traffic = communicator.traffic();
    count_sent(ledger, SentVerb::broadcast, traffic.of(Verb::broadcast).bytes_sent);
    count_sent(ledger, SentVerb::all_gather,
               traffic.of(Verb::all_gather).bytes_sent + traffic.of(Verb::all_gather_v).bytes_sent);
    count_sent(ledger, SentVerb::all_to_all,
               traffic.of(Verb::all_to_all).bytes_sent + traffic.of(Verb::all_to_all_v).bytes_sent);
}

std::vector<BlameEntry> entries_of(const std::vector<Blame>& blames) {
    std::vector<BlameEntry> entries;
    for (const Blame& blame : blames) {
        entries.push_back({.ns = blame.ns,
                           .longest_ns = blame.longest_ns,
                           .waits = blame.waits,
                           .rank = blame.cause.rank,
                           .expert = blame.cause.expert,
                           .waiting = blame.waiting,
                           .account = blame.cause.account});
    }
    return entries;
}

// Names of instruction sets as the witness counter numbers them.
std::int64_t isa_id(std::string_view ops_name) {
    if (ops_name.find("amx") != std::string_view::npos) return 1024;
    if (ops_name.find("avx512") != std::string_view::npos) return 512;
    if (ops_name.find("avx2") != std::string_view::npos) return 2;
    return ops_name.find("portable") != std::string_view::npos ? 1 : 0;
}

std::string cpu_name() {
    std::ifstream file("/proc/cpuinfo");
    for (std::string line; std::getline(file, line);) {
        if (line.rfind("model name", 0) == 0) return line.substr(line.find(':') + 2);
    }
    return "unknown CPU";
}

}  // namespace

void close_ledger(RankLedger& ledger, MpiSession& session, const Groups& groups, const JobSetup& job,
                  const LoadedWeights& loaded, const ModelRunner& runner, const Engine& engine, const NodeWaits* waits,
                  AccountClock& clock) {
    ledger.rank = session.rank();
    ledger.threads = job.stream.threads;
    measure_process(ledger);
    set_node(ledger, session.node_name());
    ledger.bytes_read = loaded.bytes_read;
    ledger.weight_bytes_private = loaded.private_bytes;
    ledger.weight_bytes_shared = loaded.shared_bytes;
    ledger.kv_bytes = runner.kv_bytes();
    add_traffic(ledger, session.world());
    if (groups.stage) add_traffic(ledger, *groups.stage);
    if (groups.tp) add_traffic(ledger, *groups.tp);
    if (groups.etp) add_traffic(ledger, *groups.etp);

    const SchedulerCounters counters = engine.counters();
    const auto set = [&](Witness witness, std::int64_t value) {
        ledger.witness[static_cast<std::size_t>(witness)] = value;
    };
    // All ranks of a group run the same schedule: its leader counts.
    if (job.place.leads_group()) {
        set(Witness::prefill_rows, counters.prefill_rows);
        set(Witness::decode_rows, counters.decode_rows);
        set(Witness::mixed_steps, counters.mixed_steps);
        set(Witness::prefill_chunks, counters.prefill_chunks);
        set(Witness::preemptions, counters.preemptions);
        set(Witness::prefix_hit_tokens, counters.prefix_hit_tokens);
        set(Witness::blocks_evicted, counters.evictions);
        set(Witness::window_blocks_freed, counters.window_blocks_freed);
        set(Witness::window_blocks_max, counters.window_blocks_max);
    }
    const ExpertExchange::PlannedTraffic exchange = runner.exchange_traffic();
    set(Witness::exchange_rounds, exchange.rounds);
    set(Witness::exchange_rows, exchange.rows_sent);
    set(Witness::exchange_planned_bytes, exchange.stage_bytes() + exchange.etp_bytes);
    if (groups.stage && groups.etp) {
        set(Witness::exchange_group_bytes, groups.stage->traffic().bytes_sent() + groups.etp->traffic().bytes_sent());
    }
    if (groups.tp) set(Witness::leaf_sums, groups.tp->traffic().of(Verb::all_to_all_v).calls);
    const StepMeter& meter = runner.meter();
    set(Witness::step_sent_bytes, meter.sent_bytes());
    set(Witness::step_cost_bytes, meter.cost().sent.total());
    set(Witness::step_megaflops, meter.cost().total().flops / 1'000'000);
    set(Witness::limit_prefill_us, static_cast<std::int64_t>(meter.limit_ns(Phase::prefill) / 1e3));
    set(Witness::limit_decode_us, static_cast<std::int64_t>(meter.limit_ns(Phase::decode) / 1e3));
    set(Witness::kernels_isa, isa_id(job.ops->name));
    set(Witness::threads, job.stream.threads);
    if (waits != nullptr) set_blame(ledger, entries_of(waits->blames()));
    take_clock(ledger, clock, monotonic_ns());
}

std::vector<RankLedger> gather_ledgers(MpiSession& session, const RankLedger& mine) {
    std::vector<RankLedger> all(static_cast<std::size_t>(session.size()));
    session.world().all_gather(&mine, sizeof mine, all.data());
    share_cores(all);
    return all;
}

void extend_to_end(std::vector<RankLedger>& ledgers, int own, std::int64_t now_ns) {
    const RankLedger& mine = ledgers.at(static_cast<std::size_t>(own));
    const std::string node = node_of(mine);
    const std::int64_t longer_ns = now_ns - mine.end_ns;
    for (RankLedger& ledger : ledgers) {
        const std::int64_t ns = node_of(ledger) == node ? now_ns - ledger.end_ns : longer_ns;
        ledger.end_ns += ns;
        ledger.totals_ns[static_cast<std::size_t>(Phase::none)][static_cast<std::size_t>(Account::shutdown)] += ns;
    }
}

std::string utc_now() {
    const std::time_t now = std::time(nullptr);
    std::tm parts{};
    gmtime_r(&now, &parts);
    char text[32];
    std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    return text;
}

Provenance provenance_of(const MpiSession& session, const JobSetup& job, const std::string& model_digest,
                         const std::string& version, const std::string& started_utc) {
    Provenance p;
    p.version = version;
    p.numerics_id = std::string(job.ops->numerics_id);
    p.model = job.model_name;
    p.model_digest = model_digest;
    p.input_digest = job.input.digest;
    p.layout = describe(job.layout);
    p.host = fmt::format("{} ranks on {} nodes; {}; {}", session.size(), session.node_count(), cpu_name(),
                         session.mpi_version());
    p.isa = std::string(job.ops->name);
    p.same_bits = job.same_bits;
    p.started_utc = started_utc;
    return p;
}

namespace {

// Mean over ranks of the time in steps that are billed as `phase`.
double phase_seconds(const RunReport& report, Phase phase) {
    std::int64_t ns = 0;
    for (const RankLedger& rank : report.ranks) {
        for (const std::int64_t account : rank.totals_ns[static_cast<std::size_t>(phase)]) ns += account;
    }
    return static_cast<double>(ns) * 1e-9 / static_cast<double>(report.ranks.size());
}

// Mean over ranks of the least time of such steps; 0 without a cluster profile.
double limit_seconds(const RunReport& report, Phase phase) {
    const Witness witness = phase == Phase::prefill ? Witness::limit_prefill_us : Witness::limit_decode_us;
    std::int64_t us = 0;
    for (const RankLedger& rank : report.ranks) us += rank.witness[static_cast<std::size_t>(witness)];
    return static_cast<double>(us) * 1e-6 / static_cast<double>(report.ranks.size());
}

// The job cannot take less than its slowest rank's steps.
double limit_seconds(const RunReport& report) {
    std::int64_t most_us = 0;
    for (const RankLedger& rank : report.ranks) {
        most_us = std::max(most_us, rank.witness[static_cast<std::size_t>(Witness::limit_prefill_us)] +
                                        rank.witness[static_cast<std::size_t>(Witness::limit_decode_us)]);
    }
    return static_cast<double>(most_us) * 1e-6;
}

}  // namespace

std::string limit_line(const RunReport& report, std::int64_t work_ns, const ClusterProfile& cluster) {
    const auto percent = [](double limit_s, double taken_s) { return taken_s > 0 ? 100.0 * limit_s / taken_s : 0.0; };
    std::string text = " limits   ";
    for (const Phase phase : {Phase::prefill, Phase::decode}) {
        const double taken = phase_seconds(report, phase);
        if (taken > 0)
            text += fmt::format(" {} {:.1f} %  ", name_of(phase), percent(limit_seconds(report, phase), taken));
    }
    text += fmt::format(" all work {:.1f} % of what this machine can do at most ({}, measured {}{})\n",
                        percent(limit_seconds(report), static_cast<double>(work_ns) * 1e-9), cluster.host,
                        cluster.measured_utc, cluster.shared_cores ? ", with more threads than cores" : "");
    return text;
}

std::string bench_line(const RunReport& report, std::int64_t work_ns) {
    std::int64_t tokens_in = 0, tokens_out = 0;
    for (const RankLedger& rank : report.ranks) {
        tokens_in += tokens_of(rank, TokenClass::uncached_input) + tokens_of(rank, TokenClass::cached_input);
        tokens_out += tokens_of(rank, TokenClass::delivered_output);
    }
    const double wall = static_cast<double>(work_ns) * 1e-9;
    const auto rate = [](std::int64_t tokens, double s) { return s > 0 ? static_cast<double>(tokens) / s : 0.0; };
    const double limit = limit_seconds(report);
    return fmt::format("prefill {:.1f} tok/s  decode {:.1f} tok/s  total {:.1f} tok/s{}\n",
                       rate(tokens_in, phase_seconds(report, Phase::prefill)),
                       rate(tokens_out, phase_seconds(report, Phase::decode)), rate(tokens_in + tokens_out, wall),
                       limit > 0 && wall > 0 ? fmt::format("  ({:.1f} % of limit)", 100.0 * limit / wall) : "");
}

std::string ledger_line(const std::optional<LedgerCost>& cost) {
    if (!cost) return "ledger  no two steps in a row had equally many rows: its cost is not known\n";
    return fmt::format(
        "ledger  costs {:+.2f} % of a step (median of {} pairs of steps with and without it; middle half {:+.1f} to "
        "{:+.1f} %)\n",
        100 * cost->median, cost->pairs, 100 * cost->lower_quartile, 100 * cost->upper_quartile);
}

}  // namespace argosy
