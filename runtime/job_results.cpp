// Opening the run directory, storing answers, joining them.
#include "runtime/job_results.hpp"

#include <algorithm>
#include <cstdio>
#include <numeric>

#include "kernels/base/account_clock.hpp"
#include "runtime/job/result_join.hpp"

namespace argosy {

namespace {

void broadcast_text(MpiSession& session, std::string& text) {
    auto bytes = static_cast<std::int64_t>(text.size());
    session.world().broadcast(&bytes, sizeof bytes, 0);
    text.resize(static_cast<std::size_t>(bytes));
    session.world().broadcast(text.data(), bytes, 0);
}

// Every rank's values, in rank order, on every rank.
template <class T>
std::vector<T> gather(MpiSession& session, const T* values, std::size_t count) {
    const auto bytes = static_cast<std::int64_t>(count * sizeof(T));
    std::vector<std::int64_t> counts(static_cast<std::size_t>(session.size()));
    session.world().all_gather(&bytes, sizeof bytes, counts.data());
    const std::int64_t total = std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
    std::vector<T> all(static_cast<std::size_t>(total) / sizeof(T));
    session.world().all_gather_v(values, all.data(), counts);
    return all;
}

// Shards as the manifest lists them, for all ranks.
std::vector<ShardEntry> share_entries(MpiSession& session, const std::vector<ShardEntry>& mine) {
    std::string lines;
    for (const ShardEntry& entry : mine) lines += shard_line(entry) + "\n";
    broadcast_text(session, lines);
    return parse_manifest(lines).shards;
}

void print_report(const std::filesystem::path& folder) {
    std::fputs(read_whole_file(folder / "report.txt").c_str(), stdout);
}

bool has_error_record(const JobInput& input, std::int64_t line) {
    const auto found = std::lower_bound(input.errors.begin(), input.errors.end(), line,
                                        [](const LineError& error, std::int64_t value) { return error.line < value; });
    return found != input.errors.end() && found->line == line;
}

}  // namespace

void JobResults::check_folder() {
    session_.run_agreed([&] {
        if (kept() && session_.rank() == 0) check_run_directory(folder_);
    });
}

bool JobResults::check_job(const JobIdentity& identity) {
    bool finished = false;
    session_.run_agreed([&] {
        if (!kept() || session_.rank() != 0) return;
        check_run_directory(folder_, identity);
        finished = holds_finished(folder_, identity);
        if (finished) print_report(folder_);
    });
    session_.world().broadcast(&finished, sizeof finished, 0);
    return !finished;
}

bool JobResults::open(const JobIdentity& identity, const std::string& settings, const std::string& start_note,
                      bool leader, const JobInput& input) {
    if (!kept()) return true;
    bool finished = false;
    session_.run_agreed([&] {
        if (session_.rank() != 0) return;
        directory_ = std::make_unique<RunDirectory>(folder_, identity);
        finished = directory_->finished();
        if (finished) {
            print_report(folder_);
            return;
        }
        directory_->write_settings(settings);
        directory_->log((directory_->resumed() ? "resumed " : "started ") + start_note);
    });
    session_.world().broadcast(&finished, sizeof finished, 0);
    if (finished) return false;
    verify_shards(input);
    int start = 0;
    session_.run_agreed([&] {
        if (!directory_) return;
        start = directory_->start(static_cast<std::int64_t>(input.lines.size()));
        directory_->write_errors(input.errors);
    });
    session_.world().broadcast(&start, sizeof start, 0);
    notices_ = std::make_unique<NoticeBox>(session_);
    if (leader) {
        shards_ = std::make_unique<ShardWriter>(folder_ / "shards", start, session_.rank(), monotonic_ns());
    }
    session_.run_agreed([&] {
        if (session_.rank() != 0) return;
        for (const LineError& error : input.errors) {
            if (std::binary_search(answered_.begin(), answered_.end(), error.line)) continue;
            shards_->add(error, monotonic_ns());
            tend();
        }
    });
    return true;
}

// Every rank reads its share of the listed shards, from their first byte to the last. World rank 0 takes the damaged
// ones off the list; all hear which lines are answered.
void JobResults::verify_shards(const JobInput& input) {
    const std::vector<ShardEntry> entries =
        share_entries(session_, directory_ ? directory_->manifest().shards : std::vector<ShardEntry>{});
    std::vector<std::int64_t> lines, failed;
    std::string damages;  // "NAME TAB sentence", one a line
    const auto ranks = static_cast<std::size_t>(session_.size());
    session_.run_agreed([&] {
        for (auto i = static_cast<std::size_t>(session_.rank()); i < entries.size(); i += ranks) {
            const ShardRead read = read_shard(folder_ / "shards", entries[i]);
            if (!read.table) {
                damages += fmt::format("{}\t{}\n", entries[i].name, read.damage);
                continue;
            }
            lines.insert(lines.end(), read.table->line.begin(), read.table->line.end());
            for (std::size_t row = 0; row < read.table->rows(); ++row) {
                if ((read.table->flags[row] & kShardFailed) != 0) failed.push_back(read.table->line[row]);
            }
        }
    });
    const auto sorted = [&](const std::vector<std::int64_t>& mine) {
        std::vector<std::int64_t> all = gather(session_, mine.data(), mine.size());
        std::sort(all.begin(), all.end());
        all.erase(std::unique(all.begin(), all.end()), all.end());
        return all;
    };
    answered_ = sorted(lines);
    const std::vector<std::int64_t> all_failed = sorted(failed);
    answers_before_ = static_cast<std::int64_t>(answered_.size() - all_failed.size());
    refused_before_ = std::count_if(all_failed.begin(), all_failed.end(),
                                    [&](std::int64_t line) { return !has_error_record(input, line); });
    const std::vector<char> all_damages = gather(session_, damages.data(), damages.size());
    session_.run_agreed([&] {
        if (!directory_) return;
        for (auto at = all_damages.begin(); at != all_damages.end();) {
            const auto tab = std::find(at, all_damages.end(), '\t');
            const auto end = std::find(tab, all_damages.end(), '\n');
            const std::string name(at, tab), sentence(tab + 1, end);
            at = end + 1;
            std::fprintf(stderr, "argosy: %s It is set aside, and its requests run again.\n", sentence.c_str());
            directory_->log(sentence);
            directory_->withdraw_shard(name, sentence);
        }
    });
}

void JobResults::store(const std::vector<RequestResult>& results, const std::vector<LineError>& refused) {
    refused_ += static_cast<std::int64_t>(refused.size());
    if (!shards_) return;
    const std::int64_t now_ns = monotonic_ns();
    for (const RequestResult& result : results) shards_->add(result, now_ns);
    for (const LineError& error : refused) shards_->add(error, now_ns);
    tend();
}

void JobResults::tend() {
    if (shards_ && shards_->due(monotonic_ns())) seal();
    if (directory_ && notices_) list(notices_->take());
}

void JobResults::seal() {
    if (!shards_) return;
    if (const auto entry = shards_->seal()) notices_->send(shard_line(*entry));
}

void JobResults::list(const std::vector<std::string>& notices) {
    if (!notices.empty()) directory_->list_shards(notices);
}

void JobResults::close(const JobInput& input, bool finished) {
    const std::vector<std::int64_t> refused = gather(session_, &refused_, 1);
    refused_ = std::accumulate(refused.begin(), refused.end(), std::int64_t{0}) + refused_before_;
    if (!kept()) return;
    session_.run_agreed([&] { seal(); });
    const std::vector<std::string> notices = notices_->take_all();
    session_.run_agreed([&] {
        if (!directory_) return;
        list(notices);
        if (!finished) return;
        join_results(directory_->shards(), directory_->manifest().shards, input.lines, directory_->responses(),
                     directory_->path() / "errors.jsonl");
    });
}

void JobResults::finish() {
    if (directory_) directory_->finish();
}

void drop_answered(JobInput& input, const std::vector<std::int64_t>& answered) {
    if (answered.empty()) return;
    std::erase_if(input.entries, [&](const RequestEntry& entry) {
        return std::binary_search(answered.begin(), answered.end(), entry.line);
    });
}

}  // namespace argosy
