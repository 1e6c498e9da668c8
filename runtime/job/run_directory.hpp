// The run directory: made or opened for one job, kept from others by a lease, holding settings, status, log and error
// records.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/job/request_file.hpp"

namespace argosy {

// What must be equal before anything is appended to what an earlier run left. Digests as hexadecimal text.
struct JobIdentity {
    std::string model_digest{};
    std::string input_digest{};
    std::string numerics_id{};
    std::uint64_t seed = 0;
    std::string settings{};  // what else decides the answers (slice, limit, format, ...), in the caller's fixed words
    bool operator==(const JobIdentity&) const = default;
};
std::string describe(const JobIdentity& identity);

// Content of status.json.
struct JobStatus {
    std::string state = "starting";  // starting, running, stopped, done, failed
    std::int64_t requests = 0;       // lines with work
    std::int64_t done = 0;           // answered, error records included
    std::int64_t errors = 0;         // error records among them
    std::int64_t prompt_tokens = 0;
    std::int64_t output_tokens = 0;
    double seconds = 0;  // since this run began
    double tokens_per_second = 0;
    std::optional<double> seconds_left{};
    std::optional<std::string> cost{};  // in words, when a profile is given
    bool operator==(const JobStatus&) const = default;
};
std::string status_json(const JobStatus& status);

// Says early what RunDirectory would say late: that `path` is a file, a folder of something else, or in a place where
// nothing can be written. Makes nothing.
void check_run_directory(const std::filesystem::path& path);

// Held by one process of the job (rank 0); the others use the paths. Files: argosy_run.json (identity), lease,
// effective.cfg, status.json, log.txt, errors.jsonl, parts/, responses.jsonl.
class RunDirectory {
  public:
    // Makes the directory, or opens what an earlier run of the same job left. Refused with a sentence and untouched: a
    // non-empty directory without argosy_run.json, another job's (the sentence says which part of the identity
    // differs), one that another process holds (ErrorKind::usage); one that cannot be written (ErrorKind::system).
    RunDirectory(const std::filesystem::path& path, const JobIdentity& identity);
    ~RunDirectory();  // gives the lease back
    RunDirectory(const RunDirectory&) = delete;
    RunDirectory& operator=(const RunDirectory&) = delete;

    const std::filesystem::path& path() const { return path_; }
    std::filesystem::path parts() const { return path_ / "parts"; }
    std::filesystem::path responses() const { return path_ / "responses.jsonl"; }
    bool resumed() const { return resumed_; }  // an earlier run was here
    bool finished() const;                     // responses.jsonl is there: nothing is left to do

    void write_settings(std::string_view text);  // effective.cfg
    void write_status(const JobStatus& status);  // status.json, replaced in one step; also renews the lease
    void log(std::string_view sentence);         // appends a line with the time (UTC) to log.txt
    void write_errors(const std::vector<LineError>& errors);  // errors.jsonl, replaced: by rising line

  private:
    std::filesystem::path path_;
    int lease_ = -1;
    bool resumed_ = false;
};

}  // namespace argosy
