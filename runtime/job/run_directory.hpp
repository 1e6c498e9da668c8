// The run directory: made or opened for one job, kept from others by a lease, holding manifest, settings, status, log
// and error records.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/job/manifest_file.hpp"
#include "runtime/job/request_file.hpp"

namespace argosy {

// What must be equal before anything is appended to what an earlier run left. Digests as hexadecimal text.
struct JobIdentity {
    std::string model_digest{};  // of the weights
    std::string model_files{};   // digest of the model's other files
    std::string input_digest{};
    std::string numerics_id{};
    std::uint64_t seed = 0;
    // What else decides the answers (slice, limit, format, ...): "NAME VALUE, NAME VALUE".
    std::string settings{};
    // Stored, never compared: which weight files the digest was made of (ModelFiles::weights).
    std::string weights_seen{};
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
// The same, when more is known of the job: that it is another job's directory, or in use. An empty model_digest is not
// known yet and not compared.
void check_run_directory(const std::filesystem::path& path, const JobIdentity& identity);
// Whether the directory holds this very job, finished: then there is no need to read weights whose files are those that
// it was finished with. False where that is not certain.
bool holds_finished(const std::filesystem::path& path, const JobIdentity& identity);

// Held by one process of the job (rank 0); the others use the paths. Files: argosy_run.json (identity), lease,
// effective.cfg, status.json, log.txt, manifest.jsonl, shards/, errors.jsonl, responses.jsonl.
class RunDirectory {
  public:
    // Makes the directory, or opens what an earlier run of the same job left. Refused with a sentence and untouched: a
    // non-empty directory without argosy_run.json, another job's (the sentence says everything in which the
    // identities differ), one that another process holds (ErrorKind::usage); one that cannot be written
    // (ErrorKind::system).
    RunDirectory(const std::filesystem::path& path, const JobIdentity& identity);
    ~RunDirectory();  // gives the lease back
    RunDirectory(const RunDirectory&) = delete;
    RunDirectory& operator=(const RunDirectory&) = delete;

    const std::filesystem::path& path() const { return path_; }
    std::filesystem::path shards() const { return path_ / "shards"; }
    std::filesystem::path responses() const { return path_ / "responses.jsonl"; }
    bool resumed() const { return resumed_; }  // an earlier run was here
    bool finished() const;  // the manifest says so, and responses.jsonl is there: nothing is left to do

    // What the manifest said when the directory was opened, and what was appended since.
    const Manifest& manifest() const { return manifest_; }
    // A run begins: everything in shards/ that is not listed is removed (what a crash left between a shard's first byte
    // and its line in the manifest), and the manifest gets a start line. Returns the number of the start.
    int start(std::int64_t requests);
    // Lists sealed shards, given as shard_line() wrote them: a line that is none is ErrorKind::internal. They are on
    // the disk when it returns.
    void list_shards(const std::vector<std::string>& lines);
    // Takes a damaged shard off the list and puts the file aside as FILE.damaged.
    void withdraw_shard(const std::string& name, const std::string& reason);
    void finish();  // everything else is written

    void write_settings(std::string_view text);  // effective.cfg
    void write_status(const JobStatus& status);  // status.json, replaced in one step; also renews the lease
    void log(std::string_view sentence);         // appends a line with the time (UTC) to log.txt
    void write_errors(const std::vector<LineError>& errors);  // errors.jsonl, replaced: by rising line

  private:
    void append(const std::vector<std::string>& lines);

    std::filesystem::path path_;
    int lease_ = -1;
    bool resumed_ = false;
    Manifest manifest_;
    std::unique_ptr<ManifestWriter> writer_;
};

}  // namespace argosy
