// The order of a job: decide, open the run directory, load, step, join, report.
#include "runtime/run_job.hpp"

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <iterator>

#include "kernels/base/error.hpp"
#include "runtime/job/progress.hpp"
#include "runtime/job/result_parts.hpp"
#include "runtime/job/run_directory.hpp"
#include "runtime/job_loop.hpp"
#include "runtime/job_report.hpp"
#include "runtime/job_setup.hpp"
#include "runtime/schedule/token_hash.hpp"

namespace argosy {

namespace {

// Set by a signal, read once a step. A handler may touch nothing else.
volatile std::sig_atomic_t stop_signal = 0;
void on_signal(int number) { stop_signal = number; }

// Signals ask for a stop while this object lives; a second one ends the process at once.
class StopSignals {
  public:
    StopSignals() {
        struct sigaction action {};
        action.sa_handler = on_signal;
        action.sa_flags = static_cast<int>(SA_RESETHAND);
        for (std::size_t i = 0; i < std::size(kSignals); ++i) sigaction(kSignals[i], &action, &former_[i]);
    }
    ~StopSignals() {
        for (std::size_t i = 0; i < std::size(kSignals); ++i) sigaction(kSignals[i], &former_[i], nullptr);
    }
    StopSignals(const StopSignals&) = delete;
    StopSignals& operator=(const StopSignals&) = delete;

  private:
    static constexpr int kSignals[] = {SIGINT, SIGTERM, SIGUSR1};
    struct sigaction former_[std::size(kSignals)]{};
};

// What an answer depends on beside model, input, numerics and seed.
std::string settings_identity(const JobSettings& settings) {
    return fmt::format("kv-dtype {}, input-format {}, limit {}", name_of(settings.kv_dtype), settings.input_format,
                       settings.limit);
}

// Drops the lines that an earlier run answered.
void drop_answered(JobInput& input, const std::vector<std::int64_t>& answered) {
    if (answered.empty()) return;
    const auto is_answered = [&](std::int64_t line) {
        return std::binary_search(answered.begin(), answered.end(), line);
    };
    std::vector<Request> requests;
    std::vector<std::string> metadata;
    for (std::size_t i = 0; i < input.requests.size(); ++i) {
        if (is_answered(input.requests[i].line)) continue;
        requests.push_back(std::move(input.requests[i]));
        metadata.push_back(std::move(input.metadata[i]));
    }
    input.requests = std::move(requests);
    input.metadata = std::move(metadata);
}

// World rank 0 finds what is stored; all hear of it. Collective.
std::vector<std::int64_t> answered_before(MpiSession& session, const RunDirectory* directory) {
    std::vector<std::int64_t> lines;
    session.run_agreed([&] {
        if (directory != nullptr && directory->resumed()) lines = stored_lines(index_parts(directory->parts()));
    });
    auto count = static_cast<std::int64_t>(lines.size());
    session.world().broadcast(&count, sizeof count, 0);
    lines.resize(static_cast<std::size_t>(count));
    session.world().broadcast(lines.data(), count * static_cast<std::int64_t>(sizeof(std::int64_t)), 0);
    return lines;
}

std::string read_file(const std::filesystem::path& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// Errors that leaders met while stepping, on world rank 0: as text "line TAB id TAB code TAB sentence", one a line.
std::vector<LineError> gather_errors(MpiSession& session, const std::vector<LineError>& mine) {
    std::string flat;
    for (const LineError& error : mine)
        flat += fmt::format("{}\t{}\t{}\t{}\n", error.line, error.id, error.code, error.sentence);
    auto bytes = static_cast<std::int64_t>(flat.size());
    std::vector<std::int64_t> counts(static_cast<std::size_t>(session.size()));
    session.world().all_gather(&bytes, sizeof bytes, counts.data());
    std::int64_t total = 0;
    for (const std::int64_t count : counts) total += count;
    std::string all(static_cast<std::size_t>(total), '\0');
    session.world().all_gather_v(flat.data(), all.data(), counts);
    std::vector<LineError> errors;
    for (std::size_t at = 0; at < all.size();) {
        const std::size_t end = all.find('\n', at);
        std::string fields[4];
        for (int f = 0; f < 4; ++f) {
            const std::size_t stop = f == 3 ? end : all.find('\t', at);
            fields[f] = all.substr(at, stop - at);
            at = stop + 1;
        }
        errors.push_back(
            {.line = std::stoll(fields[0]), .id = fields[1], .code = fields[2], .sentence = fields[3], .metadata = {}});
    }
    return errors;
}

// What one rank owns while a job runs. Members are destroyed in reverse: the engine before the memory its weights stand
// in.
class Job {
  public:
    Job(MpiSession& session, const JobSettings& settings, const std::optional<SyntheticWork>& synthetic,
        const JobFolders& folders, AccountClock& clock)
        : session_(session),
          settings_(settings),
          synthetic_(synthetic),
          folders_(folders),
          clock_(clock),
          started_utc_(utc_now()) {}

    int run() {
        if (!settings_.cost_profile.empty()) {
            session_.run_agreed([&] { profile_ = load_cost_profile(settings_.cost_profile, folders_.cost_profiles); });
        }
        setup_ = set_up_job(session_, settings_, synthetic_, clock_);
        if (settings_.dry_run) {
            if (first()) std::fputs(describe(setup_, session_).c_str(), stdout);
            return kExitDone;
        }
        load();
        if (!open_directory()) return kExitDone;
        drop_answered(setup_.input, answered_);
        const bool finished = step();
        return close(finished);
    }

  private:
    bool first() const { return session_.rank() == 0; }
    bool keeps_results() const { return !settings_.run_dir.empty(); }

    void load() {
        groups_ = make_groups(session_, setup_.layout);
        memory_ = std::make_unique<NodeMemory>(session_);
        heartbeat_ = memory_->allocate_for_node(Watchdog::bytes_for(session_.node().ranks));
        Watchdog::Options options;
        options.limit_ns = std::int64_t{settings_.watchdog_s} * 1'000'000'000;
        options.node = session_.node_name();
        options.end_process = [](const std::string& sentence) {
            std::fprintf(stderr, "argosy: %s\n", sentence.c_str());
            std::_Exit(exit_status(ErrorKind::system));
        };
        if (settings_.watchdog_s == 0) options.limit_ns = std::int64_t{1} << 62;
        watchdog_ = std::make_unique<Watchdog>(Watchdog::slots_in(heartbeat_.data, session_.node().ranks),
                                               session_.node().rank, session_.rank(), options);
        loaded_ = load_weights(session_, setup_.layout, *memory_, setup_.plan, setup_.source, *setup_.ops, clock_);
    }

    // False: an earlier run has finished here; its report was printed.
    bool open_directory() {
        if (!keeps_results()) return true;
        bool finished = false;
        session_.run_agreed([&] {
            if (!first()) return;
            const JobIdentity identity{.model_digest = loaded_.digest,
                                       .input_digest = setup_.input.digest,
                                       .numerics_id = std::string(setup_.ops->numerics_id),
                                       .seed = settings_.seed,
                                       .settings = settings_identity(settings_)};
            directory_ = std::make_unique<RunDirectory>(settings_.run_dir, identity);
            finished = directory_->finished();
            if (finished) {
                std::fputs(read_file(directory_->path() / "report.txt").c_str(), stdout);
                return;
            }
            directory_->write_settings(settings_.effective);
            directory_->log(fmt::format("{} on {} ranks, {}", directory_->resumed() ? "resumed" : "started",
                                        session_.size(), describe(setup_.layout)));
        });
        session_.world().broadcast(&finished, sizeof finished, 0);
        if (finished) return false;
        answered_ = answered_before(session_, directory_.get());
        if (setup_.place.leads_group()) {
            session_.run_agreed(
                [&] { parts_ = std::make_unique<PartWriter>(settings_.run_dir / "parts", session_.rank()); });
        } else {
            session_.run_agreed([] {});
        }
        return true;
    }

    EngineConfig engine_config() const {
        EngineConfig config;
        config.scheduler = {.pool_blocks = static_cast<int>(setup_.kv_blocks),
                            .prefix_cache = settings_.prefix_cache && settings_.record.empty(),
                            .cache_seed = 0,
                            .max_running = 0};
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
        engine_ = std::make_unique<Engine>(engine_config(), setup_.tokenizer, *runner_, clock_, ledger_);
        if (engine_config().record) start_recording();
        const StopSignals signals;
        const ProgressState before = start_progress();
        LoopEvents events;
        events.answers = [&](const std::vector<RequestResult>& results, const std::vector<LineError>& refused) {
            store(results, refused);
        };
        events.progress = [&](std::int64_t answered) { show_progress(before, answered); };
        events.stop_asked = [] { return stop_signal != 0; };
        work_start_ns_ = monotonic_ns();
        const bool mine_finished =
            run_steps(session_, groups_, setup_, setup_.input, *engine_, clock_, ledger_, *watchdog_, events);
        work_ns_ = monotonic_ns() - work_start_ns_;
        const bool finished = all_finished(mine_finished);
        if (meter_) meter_->finish(progress_of(before, last_answered_));
        return finished;
    }

    // Replicas exchange nothing while they step: one may have been stopped when the others had nothing left to do.
    bool all_finished(bool mine) {
        std::vector<std::uint8_t> each(static_cast<std::size_t>(session_.size()));
        const std::uint8_t own = mine ? 1 : 0;
        session_.world().all_gather(&own, sizeof own, each.data());
        return std::find(each.begin(), each.end(), 0) == each.end();
    }

    void start_recording() {
        RecordWhat what;
        for (const std::string& word : settings_.record) {
            what.logits = what.logits || word == "logits";
            what.hidden = what.hidden || word == "hidden";
            what.router = what.router || word == "router";
        }
        recorder_ = std::make_unique<Recorder>(setup_.plan, what);
        runner_->record_to(recorder_.get(), [this](int row) { return engine_->recorded_row(row); });
    }

    struct ProgressState {
        std::int64_t total = 0;
        std::int64_t before = 0;
    };

    ProgressState start_progress() {
        if (first() && !synthetic_) meter_ = std::make_unique<ProgressMeter>(stderr);
        const auto total = static_cast<std::int64_t>(setup_.input.lines.size());
        return {total, static_cast<std::int64_t>(answered_.size())};
    }

    // Rank 0 sees its own stage; with replicas the others are taken to be as far.
    Progress progress_of(const ProgressState& state, std::int64_t answered) const {
        Progress progress;
        const auto errors = static_cast<std::int64_t>(setup_.input.errors.size());
        const std::int64_t of_all =
            std::min(answered * setup_.layout.replicas, static_cast<std::int64_t>(setup_.input.requests.size()));
        progress.done = std::min(state.total, state.before + of_all + (state.before == 0 ? errors : 0));
        progress.requests = state.total;
        progress.done_before = state.before;
        const std::int64_t groups = setup_.layout.groups();
        progress.prompt_tokens =
            (tokens_of(ledger_, TokenClass::uncached_input) + tokens_of(ledger_, TokenClass::cached_input)) * groups;
        progress.output_tokens = tokens_of(ledger_, TokenClass::delivered_output) * groups;
        progress.seconds = static_cast<double>(monotonic_ns() - work_start_ns_) * 1e-9;
        return progress;
    }

    JobStatus status_of(const Progress& progress, const char* state) const {
        JobStatus status;
        status.state = state;
        status.requests = progress.requests;
        status.done = progress.done;
        status.errors = static_cast<std::int64_t>(setup_.input.errors.size());
        status.prompt_tokens = progress.prompt_tokens;
        status.output_tokens = progress.output_tokens;
        status.seconds = progress.seconds;
        status.tokens_per_second = tokens_per_second(progress);
        status.seconds_left = seconds_left(progress);
        return status;
    }

    void show_progress(const ProgressState& state, std::int64_t answered) {
        last_answered_ = answered;
        if (!meter_) return;
        const Progress progress = progress_of(state, answered);
        meter_->update(progress);
        constexpr double kStatusEvery_s = 2;
        if (directory_ && progress.seconds - status_seconds_ >= kStatusEvery_s) {
            status_seconds_ = progress.seconds;
            directory_->write_status(status_of(progress, "running"));
        }
    }

    void store(const std::vector<RequestResult>& results, const std::vector<LineError>& refused) {
        count(ledger_, Witness::requests_done, static_cast<std::int64_t>(results.size()));
        count(ledger_, Witness::requests_failed, static_cast<std::int64_t>(refused.size()));
        refused_.insert(refused_.end(), refused.begin(), refused.end());
        if (!parts_) return;
        for (const RequestResult& result : results) parts_->append(result.line, response_line(result));
        for (const LineError& error : refused) parts_->append(error.line, error_line(error));
        if (parts_->appended() > synced_ && monotonic_ns() - synced_at_ns_ > kSyncEvery_ns) sync_parts();
    }

    // A rank may be killed at any moment: what was finished a moment ago is then on the disk.
    void sync_parts() {
        parts_->sync();
        synced_ = parts_->appended();
        synced_at_ns_ = monotonic_ns();
    }

    int close(bool finished) {
        clock_.switch_to(Account::output);
        if (recorder_) recorder_->write(settings_.run_dir / "record", session_.rank());
        const std::vector<LineError> refused = gather_errors(session_, refused_);
        session_.run_agreed([&] {
            if (first() && parts_) {
                for (const LineError& error : setup_.input.errors) {
                    if (!std::binary_search(answered_.begin(), answered_.end(), error.line))
                        parts_->append(error.line, error_line(error));
                }
                count(ledger_, Witness::requests_failed, static_cast<std::int64_t>(setup_.input.errors.size()));
            }
            if (parts_) parts_->close();
        });
        session_.world().barrier();
        session_.run_agreed([&] {
            if (!first() || !directory_) return;
            std::vector<LineError> errors = setup_.input.errors;
            errors.insert(errors.end(), refused.begin(), refused.end());
            std::sort(errors.begin(), errors.end(),
                      [](const LineError& a, const LineError& b) { return a.line < b.line; });
            directory_->write_errors(errors);
            if (finished)
                join_responses(index_parts(directory_->parts()), setup_.input.lines,
                               directory_->path() / "responses.jsonl");
        });
        close_ledger(ledger_, session_, groups_, setup_, loaded_, *runner_, *engine_, clock_);
        report(gather_ledgers(session_, ledger_), finished, refused.size());
        return finished ? kExitDone : kExitResumable;
    }

    void report(std::vector<RankLedger> ledgers, bool finished, std::size_t refused) {
        if (!first()) return;
        Provenance provenance = provenance_of(session_, setup_, loaded_.digest, folders_.version, started_utc_);
        if (directory_) provenance.settings_path = (directory_->path() / "effective.cfg").string();
        RunReport report = make_report(std::move(provenance), std::move(ledgers), profile_);
        report.requests_total = static_cast<std::int64_t>(setup_.input.lines.size());
        report.requests_failed = static_cast<std::int64_t>(setup_.input.errors.size() + refused);
        report.requests_done =
            joined(report.ranks, Witness::requests_done) + static_cast<std::int64_t>(answered_.size());
        const std::string text = report_text(report);
        std::fputs(text.c_str(), stdout);
        if (synthetic_) std::fputs(bench_line(report).c_str(), stdout);
        if (!directory_) return;
        replace_file(directory_->path() / "report.txt", text, true);
        replace_file(directory_->path() / "report.json", report_json(report), true);
        Progress progress =
            progress_of({report.requests_total, static_cast<std::int64_t>(answered_.size())}, last_answered_);
        if (finished) progress.done = report.requests_total;
        directory_->write_status(status_of(progress, finished ? "done" : "stopped"));
        directory_->log(finished ? "done" : "stopped by a signal; the same command goes on");
        if (!finished)
            std::fprintf(stderr,
                         "argosy: stopped by a signal; what is finished is kept, and the same command goes on.\n");
    }

    // The last line of a benchmark: rates over the time of the steps, prefill and decode by the time of their phases.
    std::string bench_line(const RunReport& report) const {
        double seconds[kPhaseCount] = {};
        std::int64_t tokens_in = 0, tokens_cached = 0, tokens_out = 0;
        for (const RankLedger& rank : report.ranks) {
            for (int phase = 0; phase < kPhaseCount; ++phase) {
                std::int64_t ns = 0;
                for (const std::int64_t account : rank.totals_ns[static_cast<std::size_t>(phase)]) ns += account;
                seconds[phase] += static_cast<double>(ns) * 1e-9 / static_cast<double>(report.ranks.size());
            }
            tokens_in += tokens_of(rank, TokenClass::uncached_input);
            tokens_cached += tokens_of(rank, TokenClass::cached_input);
            tokens_out += tokens_of(rank, TokenClass::delivered_output);
        }
        const double wall = static_cast<double>(work_ns_) * 1e-9;
        const auto rate = [](std::int64_t tokens, double s) { return s > 0 ? static_cast<double>(tokens) / s : 0.0; };
        return fmt::format("prefill {:.1f} tok/s  decode {:.1f} tok/s  total {:.1f} tok/s\n",
                           rate(tokens_in + tokens_cached, seconds[static_cast<int>(Phase::prefill)]),
                           rate(tokens_out, seconds[static_cast<int>(Phase::decode)]),
                           rate(tokens_in + tokens_cached + tokens_out, wall));
    }

    MpiSession& session_;
    const JobSettings& settings_;
    const std::optional<SyntheticWork>& synthetic_;
    const JobFolders& folders_;
    AccountClock& clock_;
    std::string started_utc_;
    std::optional<CostProfile> profile_;
    RankLedger ledger_;
    JobSetup setup_;
    std::unique_ptr<NodeMemory> memory_;
    SharedBlock heartbeat_;
    std::unique_ptr<Watchdog> watchdog_;
    Groups groups_;
    LoadedWeights loaded_;
    std::unique_ptr<RunDirectory> directory_;  // world rank 0
    std::unique_ptr<PartWriter> parts_;        // leaders
    std::vector<std::int64_t> answered_;       // by earlier runs
    std::unique_ptr<ModelRunner> runner_;
    std::unique_ptr<Engine> engine_;
    std::unique_ptr<Recorder> recorder_;
    std::unique_ptr<ProgressMeter> meter_;
    std::vector<LineError> refused_;
    std::int64_t work_start_ns_ = 0;
    std::int64_t work_ns_ = 0;
    std::int64_t last_answered_ = 0;
    double status_seconds_ = 0;
    static constexpr std::int64_t kSyncEvery_ns = 1'000'000'000;
    std::int64_t synced_ = 0;  // answers on the disk, and when they came there
    std::int64_t synced_at_ns_ = 0;
};

}  // namespace

int run_job(MpiSession& session, const JobSettings& settings, const std::optional<SyntheticWork>& synthetic,
            const JobFolders& folders, AccountClock& clock) {
    Job job(session, settings, synthetic, folders, clock);
    return job.run();
}

}  // namespace argosy
