// Opening the run directory, storing answers, joining them.
#include "runtime/job_results.hpp"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iterator>

#include "kernels/base/account_clock.hpp"

namespace argosy {

namespace {

constexpr std::int64_t kSyncEvery_ns = 1'000'000'000;

std::string read_file(const std::filesystem::path& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// Errors that leaders met while stepping, on every rank. They travel as text: "line TAB id TAB code TAB sentence", one
// a line.
std::vector<LineError> gather_errors(MpiSession& session, const std::vector<LineError>& mine) {
    std::string flat;
    for (const LineError& error : mine) {
        flat += fmt::format("{}\t{}\t{}\t{}\n", error.line, error.id, error.code, error.sentence);
    }
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

}  // namespace

void JobResults::check_folder() {
    session_.run_agreed([&] {
        if (kept() && session_.rank() == 0) check_run_directory(folder_);
    });
}

bool JobResults::open(const JobIdentity& identity, const std::string& settings, const std::string& start_note,
                      bool leader) {
    if (!kept()) return true;
    bool finished = false;
    session_.run_agreed([&] {
        if (session_.rank() != 0) return;
        directory_ = std::make_unique<RunDirectory>(folder_, identity);
        finished = directory_->finished();
        if (finished) {
            std::fputs(read_file(folder_ / "report.txt").c_str(), stdout);
            return;
        }
        directory_->write_settings(settings);
        directory_->log((directory_->resumed() ? "resumed " : "started ") + start_note);
    });
    session_.world().broadcast(&finished, sizeof finished, 0);
    if (finished) return false;
    find_answered();
    session_.run_agreed([&] {
        if (leader) parts_ = std::make_unique<PartWriter>(folder_ / "parts", session_.rank());
    });
    return true;
}

// World rank 0 finds what is stored; all hear of it.
void JobResults::find_answered() {
    session_.run_agreed([&] {
        if (directory_ && directory_->resumed()) answered_ = stored_lines(index_parts(directory_->parts()));
    });
    auto count = static_cast<std::int64_t>(answered_.size());
    session_.world().broadcast(&count, sizeof count, 0);
    answered_.resize(static_cast<std::size_t>(count));
    session_.world().broadcast(answered_.data(), count * static_cast<std::int64_t>(sizeof(std::int64_t)), 0);
}

void JobResults::store(const std::vector<RequestResult>& results, const std::vector<LineError>& refused) {
    refused_.insert(refused_.end(), refused.begin(), refused.end());
    if (!parts_) return;
    for (const RequestResult& result : results) parts_->append(result.line, response_line(result));
    for (const LineError& error : refused) parts_->append(error.line, error_line(error));
    // A rank may be killed at any moment: what was finished a moment ago is then on the disk.
    if (parts_->appended() > synced_ && monotonic_ns() - synced_at_ns_ > kSyncEvery_ns) {
        parts_->sync();
        synced_ = parts_->appended();
        synced_at_ns_ = monotonic_ns();
    }
}

std::vector<LineError> JobResults::close(const JobInput& input, bool finished) {
    const std::vector<LineError> refused = gather_errors(session_, refused_);
    session_.run_agreed([&] {
        if (session_.rank() == 0 && parts_) {
            for (const LineError& error : input.errors) {
                if (!std::binary_search(answered_.begin(), answered_.end(), error.line)) {
                    parts_->append(error.line, error_line(error));
                }
            }
        }
        if (parts_) parts_->close();
    });
    session_.run_agreed([&] {
        if (!directory_) return;
        std::vector<LineError> errors = input.errors;
        errors.insert(errors.end(), refused.begin(), refused.end());
        std::sort(errors.begin(), errors.end(), [](const LineError& a, const LineError& b) { return a.line < b.line; });
        directory_->write_errors(errors);
        if (finished) join_responses(index_parts(directory_->parts()), input.lines, directory_->responses());
    });
    return refused;
}

void drop_answered(JobInput& input, const std::vector<std::int64_t>& answered) {
    if (answered.empty()) return;
    std::vector<Request> requests;
    std::vector<std::string> metadata;
    for (std::size_t i = 0; i < input.requests.size(); ++i) {
        if (std::binary_search(answered.begin(), answered.end(), input.requests[i].line)) continue;
        requests.push_back(std::move(input.requests[i]));
        metadata.push_back(std::move(input.metadata[i]));
    }
    input.requests = std::move(requests);
    input.metadata = std::move(metadata);
}

}  // namespace argosy
