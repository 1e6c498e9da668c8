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
#include <nlohmann/json.hpp>

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
    return {{"model_digest", identity.model_digest},
            {"input_digest", identity.input_digest},
            {"numerics_id", identity.numerics_id},
            {"seed", std::to_string(identity.seed)},
            {"settings", identity.settings}};
}

std::string identity_json(const JobIdentity& identity) {
    std::string out = "{\"argosy_run\":\"1\"";
    for (const auto& [name, value] : members_of(identity)) {
        out += ",\n ";
        append_json_string(out, name);
        out += ':';
        append_json_string(out, value);
    }
    return out + "}\n";
}

void check_same_job(const fs::path& path, const JobIdentity& identity) {
    const auto known = nlohmann::json::parse(read_whole_file(path / kIdentityFile), nullptr, false);
    if (!known.is_object()) {
        fail(ErrorKind::usage, "{} cannot be read: it is damaged. Take another --run-dir.",
             (path / kIdentityFile).string());
    }
    for (const auto& [name, value] : members_of(identity)) {
        const auto found = known.find(name);
        const std::string before = found != known.end() && found->is_string() ? found->get<std::string>() : "";
        if (before == value) continue;
        fail(ErrorKind::usage,
             "The run directory {} holds another job: its {} is \"{}\", this job's is \"{}\". Nothing was touched. "
             "Take another "
             "--run-dir, or start the job as it was.",
             path.string(), name, before, value);
    }
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
        if (fs::create_directories(parts(), error); error) {
            fail(ErrorKind::system, "{} cannot be made: {}.", parts().string(), error.message());
        }
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

bool RunDirectory::finished() const { return fs::exists(responses()); }

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
