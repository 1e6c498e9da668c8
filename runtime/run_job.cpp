// The order of a job: decide, load, open the run directory, step, join, report.
#include "runtime/run_job.hpp"

#include <algorithm>
#include <cstdio>
#include <sstream>

#include "kernels/base/error.hpp"
#include "parallel/node_waits.hpp"
#include "runtime/account/ledger_pairs.hpp"
#include "runtime/job/file_writer.hpp"
#include "runtime/job/model_files.hpp"
#include "runtime/job_costs.hpp"
#include "runtime/job_loop.hpp"
#include "runtime/job_progress.hpp"
#include "runtime/job_report.hpp"
#include "runtime/job_results.hpp"
#include "runtime/job_setup.hpp"
#include "runtime/model/kv_groups.hpp"

namespace argosy {

namespace {

// What an answer depends on beside model, input, numerics and seed.
std::string settings_identity(const JobSettings& settings) {
    return fmt::format("kv-dtype {}, input-format {}, limit {}, slice {}/{}{}", name_of(settings.kv_dtype),
                       settings.input_format, settings.limit, settings.slice, settings.slices,
                       settings.weights_as ? fmt::format(", weights-as {}", name_of(*settings.weights_as)) : "");
}

RecordWhat record_what(const std::vector<std::string>& words) {
    RecordWhat what;
    for (const std::string& word : words) {
        what.logits = what.logits || word == "logits";
        what.hidden = what.hidden || word == "hidden";
        what.router = what.router || word == "router";
        what.mtp = what.mtp || word == "mtp";
    }
    return what;
}

// Figures of which arithmetic bound the products. Where there is no instruction for bf16, FMAs of f32 do them.
std::string_view arithmetic_kind(const Ops& ops) {
    if (ops.products == Products::int8) return "int8";
    if (ops.products == Products::bf16_tiles) return ops.name == "cpu-amx" ? "bf16" : "f32";
    return ops.products == Products::bf16 && ops.name == "cpu-avx512" ? "bf16" : "f32";
}

// What this rank can do by the profile. Loops in plain C++ count as portable.
MachineSpeeds speeds_of_rank(const ClusterProfile& cluster, const JobSetup& setup, const MpiSession& session) {
    const RankSpot& mine = setup.spots[static_cast<std::size_t>(session.rank())];
    int node_threads = 0;
    for (const RankSpot& spot : setup.spots) node_threads += spot.leader == mine.leader ? spot.threads : 0;
    std::string_view isa = setup.ops->name;
    isa = isa.rfind("cpu-", 0) == 0 ? isa.substr(4) : "portable";
    return machine_speeds(cluster, isa, mine.threads, node_threads, session.node_count() > 1,
                          arithmetic_kind(*setup.ops));
}

// What one rank owns while a job runs. Members end in reverse order: the engine before the memory its weights stand in.
class Job {
  public:
    Job(MpiSession& session, const JobSettings& settings, const std::optional<SyntheticWork>& synthetic,
        const JobFolders& folders, const StopSignals& signals, AccountClock& clock)
        : session_(session),
          settings_(settings),
          synthetic_(synthetic),
          folders_(folders),
          signals_(signals),
          clock_(clock),
          kernel_meter_(clock),
          started_utc_(utc_now()),
          results_(session, settings.run_dir) {}

    int run() {
        read_profile();
        if (!settings_.dry_run) results_.check_folder();
        setup_ = set_up_job(session_, settings_, synthetic_, clock_);
        setup_.stream.meter = &kernel_meter_;
        if (cluster_) session_.run_agreed([&] { machine_ = speeds_of_rank(*cluster_, setup_, session_); });
        if (settings_.dry_run) {
            if (first()) std::fputs(describe(setup_, session_).c_str(), stdout);
            session_.run_agreed([&] {
                if (!setup_.fit.fits) fail(ErrorKind::usage, "{}", setup_.fit.sentence);
            });
            return kExitDone;
        }
        if (first()) say_warnings();
        JobIdentity identity = identity_before_weights();
        if (!results_.check_job(identity)) return kExitDone;
        load();
        identity.model_digest = loaded_.digest;
        const std::string note = fmt::format("on {} ranks, {}", session_.size(), describe(setup_.layout));
        if (!results_.open(identity, settings_.effective, note, setup_.place.leads_group(), setup_.input))
            return kExitDone;
        log_placement();
        drop_answered(setup_.input, results_.answered_before());
        return close(step());
    }

  private:
    bool first() const { return session_.rank() == 0; }

    // All but the digest of the weights, which takes reading them. World rank 0 alone looks at files.
    JobIdentity identity_before_weights() {
        JobIdentity identity{.model_digest = {},
                             .model_files = {},
                             .input_digest = setup_.input.digest,
                             .numerics_id = std::string(setup_.ops->numerics_id),
                             .seed = settings_.seed,
                             .settings = settings_identity(settings_),
                             .weights_seen = {}};
        session_.run_agreed([&] {
            if (!first() || !results_.kept()) return;
            std::vector<std::filesystem::path> weights;
            for (const Checkpoint::File& file : setup_.source.files) weights.push_back(file.path);
            ModelFiles files = look_at_model_files(setup_.config, weights);
            identity.model_files = std::move(files.digest);
            identity.weights_seen = std::move(files.weights);
        });
        return identity;
    }

    // The map and what is wrong with it, for whoever asks later why a job was slow.
    void log_placement() {
        RunDirectory* directory = results_.directory();
        if (directory == nullptr) return;
        std::istringstream map(describe(setup_.spots));
        for (std::string line; std::getline(map, line);) directory->log("placement" + line);
        for (const std::string& warning : placement_warnings(setup_.spots)) directory->log("warning: " + warning);
        directory->log(setup_.fit.sentence);
    }

    void say_warnings() const {
        for (const std::string& warning : placement_warnings(setup_.spots))
            std::fprintf(stderr, "argosy: warning: %s\n", warning.c_str());
        if (!setup_.fit.fits) std::fprintf(stderr, "argosy: warning: %s\n", setup_.fit.sentence.c_str());
    }

    // A profile that cannot price this job is refused before anything is computed.
    void read_profile() {
        if (!settings_.cluster.empty()) {
            session_.run_agreed([&] { cluster_ = load_cluster_profile(settings_.cluster, folders_.cluster_profiles); });
        }
        if (settings_.cost_profile.empty()) return;
        session_.run_agreed([&] {
            profile_ = load_cost_profile(settings_.cost_profile, folders_.cost_profiles);
            if (const auto mismatch = profile_mismatch(*profile_, 1000, 0)) fail(ErrorKind::usage, "{}", *mismatch);
        });
    }

    void load() {
        groups_ = make_groups(session_, setup_.layout);
        memory_ = std::make_unique<NodeMemory>(session_);
        if (settings_.ledger != LedgerUse::off)
            waits_ = std::make_unique<NodeWaits>(session_, groups_, *memory_, clock_);
        else
            clock_.stand_still(monotonic_ns());
        start_watchdog();
        loaded_ = load_weights(session_, setup_.layout, *memory_, setup_.plan, setup_.source, *setup_.ops, clock_);
    }

    void start_watchdog() {
        const int ranks = session_.node().ranks;
        const SharedBlock heartbeat = memory_->allocate_for_node(Watchdog::bytes_for(ranks));
        constexpr std::int64_t kNever_ns = std::int64_t{1} << 62;
        Watchdog::Options options;
        options.limit_ns = settings_.watchdog_s == 0 ? kNever_ns : std::int64_t{settings_.watchdog_s} * 1'000'000'000;
        options.node = session_.node_name();
        options.end_process = [](const std::string& sentence) {
            std::fprintf(stderr, "argosy: %s\n", sentence.c_str());
            std::_Exit(exit_status(ErrorKind::system));
        };
        watchdog_ = std::make_unique<Watchdog>(Watchdog::slots_in(heartbeat.data, ranks), session_.node().rank,
                                               session_.rank(), options);
    }

    EngineConfig engine_config() const {
        EngineConfig config;
        config.scheduler = {.pool_blocks = static_cast<int>(setup_.kv_blocks),
                            .prefix_cache = settings_.prefix_cache && settings_.record.empty(),
                            .cache_seed = 0,
                            .max_running = 0,
                            .windows = kv_groups(setup_.plan).windows};
        config.max_rows = setup_.max_rows;
        config.eos_ids = setup_.plan.eos_ids;
        config.leader = setup_.place.leads_group();
        config.model_name = setup_.model_name;
        config.record = !settings_.record.empty();
        return config;
    }

    bool step() {
        runner_ = std::make_unique<ModelRunner>(setup_.plan, loaded_.weights, *setup_.ops, setup_.stream, setup_.layout,
                                                setup_.place, groups_, clock_,
                                                RunnerConfig{.rows_max = setup_.max_rows,
                                                             .exchange_rows = setup_.exchange_rows,
                                                             .kv_blocks = static_cast<int>(setup_.kv_blocks),
                                                             .kv_dtype = settings_.kv_dtype,
                                                             .positions = setup_.positions});
        if (cluster_) {
            runner_->meter().compare_with(machine_);
            kernel_meter_.compare_with(machine_, loaded_.private_bytes + loaded_.shared_bytes + runner_->kv_bytes());
        }
        engine_ = std::make_unique<Engine>(engine_config(), setup_.tokenizer, *runner_, clock_, ledger_);
        if (!settings_.record.empty()) {
            recorder_ = std::make_unique<Recorder>(setup_.plan, record_what(settings_.record));
            runner_->record_to(recorder_.get(), [this](int row) { return engine_->recorded_row(row); });
        }
        if (first()) {
            progress_ = std::make_unique<JobProgress>(setup_, results_.directory(),
                                                      results_.settled_before(setup_.input), synthetic_.has_value());
        }
        LoopEvents events;
        events.answers = [&](const std::vector<RequestResult>& results, const std::vector<LineError>& refused) {
            count(ledger_, Witness::requests_done, static_cast<std::int64_t>(results.size()));
            count(ledger_, Witness::requests_failed, static_cast<std::int64_t>(refused.size()));
            for (const RequestResult& result : results) uses_.push_back(use_of(result));
            results_.store(results, refused);
        };
        events.tend = [&] { results_.tend(); };
        events.progress = [&](std::int64_t answered) { progress_->update(answered, ledger_); };
        events.stop_asked = [&] { return signals_.asked(); };
        events.step_begins = [&](std::uint64_t step) { switch_ledger(LedgerPairs::keeps(step)); };
        events.step_ends = [&](std::uint64_t step, std::int64_t rows) {
            if (settings_.ledger == LedgerUse::measure) ledger_pairs_.add(step, rows, monotonic_ns() - step_start_ns_);
        };
        const std::int64_t start_ns = monotonic_ns();
        const bool finished =
            run_steps(session_, groups_, setup_, setup_.input, *engine_, clock_, ledger_, *watchdog_, events);
        work_ns_ = monotonic_ns() - start_ns;
        switch_ledger(true);
        clock_.switch_to(Account::output);
        results_.seal();  // others may work on for long: what is finished must not wait for them
        clock_.switch_to(Account::no_work);
        return all_finished(finished);
    }

    // Where its cost is measured, the ledger is kept or not by step.
    void switch_ledger(bool keep) {
        if (settings_.ledger != LedgerUse::measure) return;
        step_start_ns_ = monotonic_ns();
        if (keep) {
            clock_.tick(step_start_ns_);
            waits_->listen();
        } else {
            clock_.stand_still(step_start_ns_);
            waits_->ignore();
        }
    }

    // Replicas exchange nothing while they step: one may have been stopped when the others had nothing left to do.
    bool all_finished(bool mine) {
        std::vector<std::uint8_t> each(static_cast<std::size_t>(session_.size()));
        const std::uint8_t own = mine ? 1 : 0;
        session_.world().all_gather(&own, sizeof own, each.data());
        return std::find(each.begin(), each.end(), 0) == each.end();
    }

    int close(bool finished) {
        clock_.switch_to(Account::output);
        if (recorder_) recorder_->write(settings_.run_dir / "record", session_.rank());
        results_.close(setup_.input, finished);
        if (first()) count(ledger_, Witness::requests_failed, static_cast<std::int64_t>(setup_.input.errors.size()));
        take_kernels(ledger_, kernel_meter_);
        close_ledger(ledger_, session_, groups_, setup_, loaded_, *runner_, *engine_, waits_.get(), clock_);
        std::vector<RankLedger> ledgers = gather_ledgers(session_, ledger_);
        std::vector<RequestUse> uses = collect_uses(session_.world(), uses_);
        leave();
        extend_to_end(ledgers, session_.rank(), monotonic_ns());
        if (first()) report(std::move(ledgers), std::move(uses), finished);
        return finished ? kExitDone : kExitResumable;
    }

    // Gives back memory and groups and ends MPI, so that the report can say what that took.
    void leave() {
        recorder_.reset();
        engine_.reset();
        runner_.reset();
        results_.leave();
        watchdog_.reset();
        waits_.reset();
        loaded_.weights = {};
        memory_.reset();
        groups_ = {};
        session_.end();
    }

    void report(std::vector<RankLedger> ledgers, std::vector<RequestUse> uses, bool finished) {
        Provenance provenance = provenance_of(session_, setup_, loaded_.digest, folders_.version, started_utc_);
        if (results_.kept()) provenance.settings_path = (results_.folder() / "effective.cfg").string();
        if (!finished) add_unanswered(uses, ledgers);
        const std::vector<RequestTokens> used = tokens_of(uses);
        RunReport report = make_report(std::move(provenance), std::move(ledgers), profile_, used);
        report.requests_total = static_cast<std::int64_t>(setup_.input.lines.size());
        report.requests_failed = static_cast<std::int64_t>(setup_.input.errors.size()) + results_.refused();
        report.requests_done = joined(report.ranks, Witness::requests_done) + results_.answers_before();
        const std::int64_t answered = report.requests_done + report.requests_failed;
        progress_->finish(report.ranks, answered, finished);
        const std::string text =
            report_text(report) + (cluster_ ? limit_line(report, work_ns_, *cluster_) : std::string());
        std::fputs(text.c_str(), stdout);
        if (synthetic_) std::fputs(bench_line(report, work_ns_).c_str(), stdout);
        if (settings_.ledger == LedgerUse::measure) std::fputs(ledger_line(ledger_pairs_.cost()).c_str(), stdout);
        if (RunDirectory* directory = results_.directory()) {
            replace_file(directory->path() / "report.txt", text, true);
            replace_file(directory->path() / "report.json", report_json(report), true);
            replace_file(next_costs_path(directory->path()), costs_csv(report, uses), true);
            if (finished) results_.finish();
            directory->log(finished ? "done" : "stopped by a signal; the same command goes on");
        }
        if (!finished) {
            std::fprintf(stderr,
                         "argosy: stopped by a signal; what is finished is kept, and the same command goes on.\n");
        }
    }

    MpiSession& session_;
    const JobSettings& settings_;
    const std::optional<SyntheticWork>& synthetic_;
    const JobFolders& folders_;
    const StopSignals& signals_;
    AccountClock& clock_;
    KernelMeter kernel_meter_;
    std::string started_utc_;
    std::optional<CostProfile> profile_;
    std::optional<ClusterProfile> cluster_;
    MachineSpeeds machine_;  // of this rank, by the cluster profile
    RankLedger ledger_;
    LedgerPairs ledger_pairs_;
    std::int64_t step_start_ns_ = 0;
    std::vector<RequestUse> uses_;  // of the requests that this rank answered
    JobSetup setup_;
    std::unique_ptr<NodeMemory> memory_;
    std::unique_ptr<Watchdog> watchdog_;
    Groups groups_;
    std::unique_ptr<NodeWaits> waits_;
    LoadedWeights loaded_;
    JobResults results_;
    std::unique_ptr<ModelRunner> runner_;
    std::unique_ptr<Engine> engine_;
    std::unique_ptr<Recorder> recorder_;
    std::unique_ptr<JobProgress> progress_;  // world rank 0
    std::int64_t work_ns_ = 0;
};

}  // namespace

int run_job(MpiSession& session, const JobSettings& settings, const std::optional<SyntheticWork>& synthetic,
            const JobFolders& folders, const StopSignals& signals, AccountClock& clock) {
    Job job(session, settings, synthetic, folders, signals, clock);
    return job.run();
}

}  // namespace argosy
