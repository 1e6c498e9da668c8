// Opening a run directory and writing its small files.
#include "runtime/job/run_directory.hpp"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <ctime>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "kernels/base/error.hpp"
#include "runtime/job/file_writer.hpp"
#include "runtime/job/json_text.hpp"
#include "runtime/job/response.hpp"

namespace argosy {

namespace {

namespace fs = std::filesystem;

constexpr const char* kIdentityFile = "argosy_run.json";
constexpr const char* kLeaseFile = "lease";
constexpr int kLeaseSeconds = 120;  // where locks do not work: a lease younger than this is taken for held

// Members in the order in which they are told apart in a refusal.
std::vector<std::pair<const char*, std::string>> members_of(const JobIdentity& identity) {
    return {{"model_digest", identity.model_digest}, {"model_files", identity.model_files},
            {"input_digest", identity.input_digest}, {"numerics_id", identity.numerics_id},
            {"seed", std::to_string(identity.seed)}, {"settings", identity.settings}};
}

constexpr const char* kDirectoryVersion = "3";  // of the form of shards and manifest

std::string identity_json(const JobIdentity& identity) {
    std::string out = fmt::format("{{\"argosy_run\":\"{}\"", kDirectoryVersion);
    for (const auto& [name, value] : members_of(identity)) {
        out += ",\n ";
        append_json_string(out, name);
        out += ':';
        append_json_string(out, value);
    }
    out += ",\n \"weights_seen\":";
    append_json_string(out, identity.weights_seen);
    return out + "}\n";
}

// "kv-dtype bf16, limit 3" as {kv-dtype: bf16, limit: 3}.
std::map<std::string, std::string> parts_of_settings(const std::string& settings) {
    std::map<std::string, std::string> parts;
    for (std::size_t begin = 0; begin < settings.size();) {
        const std::size_t end = std::min(settings.find(", ", begin), settings.size());
        const std::string part = settings.substr(begin, end - begin);
        const std::size_t space = std::min(part.find(' '), part.size());
        parts[part.substr(0, space)] = part.substr(std::min(space + 1, part.size()));
        begin = end + 2;
    }
    return parts;
}

void add_difference(std::string& list, const std::string& name, const std::string& before, const std::string& now) {
    if (before == now) return;
    list += fmt::format("{}{} was \"{}\" and is \"{}\"", list.empty() ? "" : "; ", name, before, now);
}

// Everything in which two jobs differ, "" when they are the same. An empty model digest is not known yet.
std::string differences(const nlohmann::json& known, const JobIdentity& identity) {
    std::string list;
    for (const auto& [name, value] : members_of(identity)) {
        const auto found = known.find(name);
        const std::string before = found != known.end() && found->is_string() ? found->get<std::string>() : "";
        if (name == std::string_view("model_digest") && value.empty()) continue;
        if (name != std::string_view("settings")) {
            add_difference(list, name, before, value);
            continue;
        }
        auto parts_before = parts_of_settings(before), parts_now = parts_of_settings(value);
        for (const auto& [part, text] : parts_now) add_difference(list, part, parts_before[part], text);
        for (const auto& [part, text] : parts_before) {
            if (!parts_now.contains(part)) add_difference(list, part, text, "");
        }
    }
    return list;
}

void check_same_job(const fs::path& path, const JobIdentity& identity) {
    const auto known = nlohmann::json::parse(read_whole_file(path / kIdentityFile), nullptr, false);
    if (!known.is_object()) {
        fail(ErrorKind::usage, "{} cannot be read: it is damaged. Take another --run-dir.",
             (path / kIdentityFile).string());
    }
    const auto version = known.find("argosy_run");
    if (version == known.end() || *version != kDirectoryVersion) {
        fail(ErrorKind::usage,
             "The run directory {} was written by another version of Argosy, in a form that this one does not go on "
             "with. Nothing was touched. Take another --run-dir, or finish it with that version.",
             path.string());
    }
    const std::string list = differences(known, identity);
    if (list.empty()) return;
    fail(ErrorKind::usage,
         "The run directory {} holds another job: {}. Nothing was touched. Take another --run-dir, or start the job as "
         "it was.",
         path.string(), list);
}

std::string holder_text() {
    char host[256] = "unknown";
    ::gethostname(host, sizeof host - 1);
    return fmt::format("process {} on {}", ::getpid(), host);
}

[[noreturn]] void refuse_held(const fs::path& lease) {
    std::string holder = read_whole_file(lease);
    if (holder.empty()) holder = "another process";
    fail(ErrorKind::usage, "The run directory {} is in use by {}. Wait until it has ended, or take another --run-dir.",
         lease.parent_path().string(), holder);
}

// Takes the lease: a lock on the file, and its time, which write_status renews. Locks end with their process, however
// it ends; where the file system has none, the time stands in for them.
int take_lease(const fs::path& path) {
    const fs::path lease = path / kLeaseFile;
    struct stat before {};
    const bool existed = ::stat(lease.c_str(), &before) == 0;
    const int descriptor = ::open(lease.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (descriptor < 0) {
        fail(ErrorKind::system, "{} cannot be opened for writing: {}. Check the permissions of the run directory.",
             lease.string(), std::strerror(errno));
    }
    const bool locked = ::flock(descriptor, LOCK_EX | LOCK_NB) == 0;
    const bool held = !locked && errno == EWOULDBLOCK;
    const bool young =
        !locked && !held && existed && before.st_size > 0 && std::time(nullptr) - before.st_mtime < kLeaseSeconds;
    if (held || young) {
        ::close(descriptor);
        refuse_held(lease);
    }
    const std::string holder = holder_text();
    if (::ftruncate(descriptor, 0) != 0 ||
        ::pwrite(descriptor, holder.data(), holder.size(), 0) != static_cast<ssize_t>(holder.size())) {
        const int code = errno;
        ::close(descriptor);
        fail(ErrorKind::system, "{} cannot be written: {}. Free space or take another --run-dir.", lease.string(),
             std::strerror(code));
    }
    return descriptor;
}

// Whether another process holds the lease, without taking it.
void refuse_in_use(const fs::path& path) {
    const fs::path lease = path / kLeaseFile;
    const int descriptor = ::open(lease.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return;
    const bool held = ::flock(descriptor, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    ::close(descriptor);
    if (held) refuse_held(lease);
}

std::string optional_number(const std::optional<double>& value) {
    std::string out;
    if (value) append_json_number(out, *value);
    return value ? out : "null";
}

}  // namespace

std::string describe(const JobIdentity& identity) {
    std::string out;
    for (const auto& [name, value] : members_of(identity))
        out += fmt::format("{}{} {}", out.empty() ? "" : ", ", name, value);
    return out;
}

std::string status_json(const JobStatus& status) {
    std::string out = "{\"state\":";
    append_json_string(out, status.state);
    const auto integer = [&](const char* name, std::int64_t value) { out += fmt::format(",\"{}\":{}", name, value); };
    integer("requests", status.requests);
    integer("done", status.done);
    integer("errors", status.errors);
    integer("prompt_tokens", status.prompt_tokens);
    integer("output_tokens", status.output_tokens);
    out += ",\"seconds\":";
    append_json_number(out, status.seconds);
    out += ",\"tokens_per_second\":";
    append_json_number(out, status.tokens_per_second);
    out += ",\"seconds_left\":" + optional_number(status.seconds_left) + ",\"cost\":";
    if (status.cost)
        append_json_string(out, *status.cost);
    else
        out += "null";
    return out + "}\n";
}

namespace {

// Error(usage) when an existing path is a file, or a folder with something else in it.
void refuse_foreign(const fs::path& path) {
    std::error_code error;
    if (!fs::exists(path, error)) return;
    if (!fs::is_directory(path, error)) {
        fail(ErrorKind::usage, "--run-dir {} is a file; name a folder, or one that does not exist yet.", path.string());
    }
    if (fs::exists(path / kIdentityFile, error)) return;
    // What a start leaves that was cut before it wrote its identity is a lease alone.
    for (fs::directory_iterator entry(path, error); !error && entry != fs::directory_iterator();
         entry.increment(error)) {
        if (entry->path().filename() == kLeaseFile || entry->path().filename() == "argosy_run.json.tmp") continue;
        fail(ErrorKind::usage,
             "The folder {} is not empty and holds no Argosy run. Nothing was touched. Take another --run-dir.",
             path.string());
    }
    if (error) {
        fail(ErrorKind::system, "The run directory {} cannot be listed: {}. Check its permissions.", path.string(),
             error.message());
    }
}

}  // namespace

void check_run_directory(const fs::path& path) {
    refuse_foreign(path);
    // The nearest folder that exists is where something would be made.
    fs::path nearest_folder = fs::absolute(path).lexically_normal();
    std::error_code error;
    while (!fs::exists(nearest_folder, error) && nearest_folder.has_relative_path()) {
        nearest_folder = nearest_folder.parent_path();
    }
    if (::access(nearest_folder.c_str(), W_OK | X_OK) != 0) {
        fail(ErrorKind::system,
             "The run directory {} cannot be made: {} cannot be written ({}). Take another --run-dir.", path.string(),
             nearest_folder.string(), std::strerror(errno));
    }
}

void check_run_directory(const fs::path& path, const JobIdentity& identity) {
    std::error_code error;
    if (!fs::exists(path / kIdentityFile, error)) return;
    check_same_job(path, identity);
    refuse_in_use(path);
}

bool holds_finished(const fs::path& path, const JobIdentity& identity) {
    std::error_code error;
    if (identity.weights_seen.empty() || !fs::exists(path / kIdentityFile, error)) return false;
    const auto known = nlohmann::json::parse(read_whole_file(path / kIdentityFile), nullptr, false);
    const auto seen = known.is_object() ? known.find("weights_seen") : known.end();
    if (seen == known.end() || *seen != identity.weights_seen || !differences(known, identity).empty()) return false;
    const auto manifest = read_manifest(path);
    return manifest && manifest->finished && fs::exists(path / "responses.jsonl", error) &&
           fs::exists(path / "report.txt", error);
}

RunDirectory::RunDirectory(const fs::path& path, const JobIdentity& identity) : path_(path) {
    refuse_foreign(path);
    std::error_code error;
    if (fs::exists(path / kIdentityFile, error)) {
        check_same_job(path, identity);
        resumed_ = true;
    } else if (fs::create_directories(path, error); error) {
        fail(ErrorKind::system, "The run directory {} cannot be made: {}. Take another --run-dir.", path.string(),
             error.message());
    }
    lease_ = take_lease(path);
    try {
        if (!resumed_ && fs::exists(path / kIdentityFile)) {  // somebody was quicker, and has ended
            check_same_job(path, identity);
            resumed_ = true;
        }
        if (!resumed_) replace_file(path / kIdentityFile, identity_json(identity), true);
        if (fs::create_directories(shards(), error); error) {
            fail(ErrorKind::system, "{} cannot be made: {}.", shards().string(), error.message());
        }
        if (const auto manifest = read_manifest(path)) manifest_ = *manifest;
    } catch (...) {
        ::close(lease_);
        throw;
    }
}

RunDirectory::~RunDirectory() {
    // Emptied, so that where locks do not work the next start need not wait for the lease to grow old.
    if (::ftruncate(lease_, 0) != 0) static_cast<void>(0);
    ::close(lease_);
}

bool RunDirectory::finished() const {
    std::error_code error;
    return manifest_.finished && fs::exists(responses(), error);
}

int RunDirectory::start(std::int64_t requests) {
    std::set<std::string> listed;
    for (const ShardEntry& entry : manifest_.shards) listed.insert(entry.name);
    std::error_code error;
    for (fs::directory_iterator entry(shards(), error); !error && entry != fs::directory_iterator();
         entry.increment(error)) {
        const std::string name = entry->path().filename();
        const bool ours = name.ends_with(".h5") || name.ends_with(".h5.tmp");
        if (ours && !listed.contains(name)) ::unlink(entry->path().c_str());
    }
    if (error) fail(ErrorKind::system, "{} cannot be listed: {}.", shards().string(), error.message());
    const int number = manifest_.starts + 1;
    append({start_line(number, requests, fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr))))});
    return number;
}

void RunDirectory::append(const std::vector<std::string>& lines) {
    if (!writer_) writer_ = std::make_unique<ManifestWriter>(path_ / "manifest.jsonl");
    writer_->append(lines);
    for (const std::string& line : lines) {
        take_manifest_line(manifest_, line);
        manifest_.whole_bytes += static_cast<std::int64_t>(line.size()) + 1;
    }
}

void RunDirectory::list_shards(const std::vector<std::string>& lines) {
    for (const std::string& line : lines) {
        Manifest one;
        take_manifest_line(one, line);
        if (one.shards.size() != 1) fail(ErrorKind::internal, "A rank told of a shard in other words: {}", line);
    }
    append(lines);
}

void RunDirectory::withdraw_shard(const std::string& name, const std::string& reason) {
    append({withdrawn_line(name, reason)});
    std::error_code error;  // the list is the truth, whether the file can be moved or not
    fs::rename(shards() / name, shards() / (name + ".damaged"), error);
}

void RunDirectory::finish() { append({finished_line()}); }

void RunDirectory::write_settings(std::string_view text) { replace_file(path_ / "effective.cfg", text, false); }

void RunDirectory::write_status(const JobStatus& status) {
    replace_file(path_ / "status.json", status_json(status), false);
    ::futimens(lease_, nullptr);
}

void RunDirectory::log(std::string_view sentence) {
    FileWriter file(path_ / "log.txt", FileWriter::Mode::append);
    std::string line(sentence);
    for (char& c : line) c = c == '\n' || c == '\r' ? ' ' : c;  // one entry, one line
    file.write(fmt::format("{:%Y-%m-%dT%H:%M:%SZ} {}\n", fmt::gmtime(std::time(nullptr)), line));
    file.flush();
}

void RunDirectory::write_errors(const std::vector<LineError>& errors) {
    std::string lines;
    for (const LineError& error : errors) lines += error_line(error) + '\n';
    replace_file(path_ / "errors.jsonl", lines, true);
}

}  // namespace argosy
