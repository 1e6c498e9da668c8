// Joining shards in input order, streaming.
#include "runtime/job/result_join.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <limits>
#include <optional>

#include "kernels/base/error.hpp"
#include "runtime/job/file_writer.hpp"
#include "runtime/job/result_sorter.hpp"
#include "runtime/job/shard_hdf5.hpp"
#include "runtime/job/shard_writer.hpp"

namespace argosy {

namespace fs = std::filesystem;

namespace {

fs::path folder_of(const fs::path& file) { return file.has_parent_path() ? file.parent_path() : fs::path("."); }

[[noreturn]] void fail_damaged(const std::string& sentence) {
    fail(ErrorKind::system,
         "{} Start the same `argosy run` again: it sets the shard aside and runs its requests again.", sentence);
}

// One character that says what it is, then its line of responses.jsonl.
std::string text_record(const StoredAnswer& answer) {
    return (std::holds_alternative<LineError>(answer) ? 'e' : 'a') + text_of(answer);
}

bool is_error(std::string_view record) { return record.front() == 'e'; }

void count_record(JoinCounts& counts, bool error) { ++(error ? counts.errors : counts.answers); }

// A file that is removed again unless it was published.
class Draft {
  public:
    explicit Draft(fs::path path)
        : path_(std::move(path)), temporary_(path_.string() + ".tmp"), file_(temporary_, FileWriter::Mode::truncate) {}
    ~Draft() {
        if (!published_) ::unlink(temporary_.c_str());
    }
    FileWriter& file() { return file_; }
    void publish() {
        publish_file(temporary_, path_);
        published_ = true;
    }

  private:
    fs::path path_;
    fs::path temporary_;
    FileWriter file_;
    bool published_ = false;
};

}  // namespace

void for_each_answer(const fs::path& shards, const std::vector<ShardEntry>& entries,
                     const std::function<void(const StoredAnswer&)>& visit,
                     const std::function<void(const std::string&)>& damaged) {
    for (const ShardEntry& entry : entries) {
        const ShardRead read = read_shard(shards, entry);
        if (!read.table) {
            damaged(read.damage);
            continue;
        }
        for (std::size_t i = 0; i < read.table->rows(); ++i) visit(answer_at(*read.table, i));
    }
}

JoinCounts join_results(const fs::path& shards, const std::vector<ShardEntry>& entries,
                        const std::vector<std::int64_t>& lines, const fs::path& responses, const fs::path& errors) {
    ResultSorter sorter(folder_of(responses));
    for_each_answer(
        shards, entries, [&](const StoredAnswer& answer) { sorter.add(line_of(answer), text_record(answer)); },
        fail_damaged);
    Draft answers_file(responses), errors_file(errors);
    JoinCounts counts;
    auto next = lines.begin();
    const auto check_next = [&](std::int64_t line) {
        if (next == lines.end() || *next >= line) return;
        fail(ErrorKind::internal,
             "Line {} has no answer in the shards; {} was not written. Start the same command again: it finishes what "
             "is missing.",
             *next, responses.string());
    };
    sorter.drain([&](std::int64_t line, std::string_view record) {
        check_next(line);
        if (next == lines.end() || *next != line) return;  // not this job's: it is not in the input
        ++next;
        const bool error = is_error(record);
        record.remove_prefix(1);
        for (FileWriter* file : {&answers_file.file(), error ? &errors_file.file() : nullptr}) {
            if (file == nullptr) continue;
            file->write(record);
            file->write("\n");
        }
        count_record(counts, error);
    });
    check_next(std::numeric_limits<std::int64_t>::max());
    answers_file.file().close();
    errors_file.file().close();
    errors_file.publish();
    answers_file.publish();
    return counts;
}

namespace {

// What an export reads: the manifest, or a sentence why not.
Manifest manifest_to_export(const ExportRequest& request) {
    const std::string path = request.run_dir.string();
    std::error_code error;
    if (!fs::is_directory(request.run_dir, error))
        fail(ErrorKind::usage, "There is no run directory {}. Name the folder that `argosy run --run-dir` was given.",
             path);
    const auto manifest = read_manifest(request.run_dir);
    if (!manifest) {
        fail(ErrorKind::usage,
             "The folder {} has no manifest.jsonl: no Argosy run has begun to work there. Name the folder that `argosy "
             "run --run-dir` was given.",
             path);
    }
    const std::int64_t stored = manifest->stored();
    if (!request.partial && (manifest->starts == 0 || stored < manifest->requests)) {
        fail(ErrorKind::usage,
             "The run in {} is not finished: {} of {} requests are stored. Wait for it, or start the same `argosy run` "
             "again; --partial exports what is there.",
             path, stored, manifest->requests);
    }
    return *manifest;
}

// Requests as records of a fixed form, for the sorter: a shard of one row would cost kilobytes each. Numbers stand as
// 8 bytes, lists after their length.
class Packer {
  public:
    template <class Number>
    void number(Number value) {
        const auto wide = static_cast<std::int64_t>(value);
        bytes.append(reinterpret_cast<const char*>(&wide), sizeof wide);
    }
    template <class T>
    void column(const std::vector<T>& values) {
        number(values.size());
        bytes.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
    }
    std::string bytes;
};

std::string packed_record(const StoredAnswer& answer) {
    ShardTable table;
    append(table, answer);
    Packer packer;
    for_each_column(table, [&](const std::string&, const auto& column, bool) { packer.column(column); });
    return std::move(packer.bytes);
}

StoredAnswer unpacked_record(std::string_view bytes) {
    ShardTable table;
    for_each_column(table, [&]<class T>(const std::string&, std::vector<T>& column, bool) {
        std::int64_t count = 0;
        std::memcpy(&count, bytes.data(), sizeof count);
        bytes.remove_prefix(sizeof count);
        column.resize(static_cast<std::size_t>(count));
        if (count > 0) std::memcpy(column.data(), bytes.data(), column.size() * sizeof(T));
        bytes.remove_prefix(column.size() * sizeof(T));
    });
    return answer_at(table, 0);
}

void write_stdout(std::string_view bytes) {
    if (std::fwrite(bytes.data(), 1, bytes.size(), stdout) == bytes.size()) return;
    fail(ErrorKind::system, "The export cannot be written to stdout: {}.", std::strerror(errno));
}

void export_jsonl(const ExportRequest& request, ResultSorter& sorter, JoinCounts& counts) {
    std::optional<Draft> draft;
    if (!request.output.empty()) draft.emplace(request.output);
    const auto write = [&](std::string_view bytes) { draft ? draft->file().write(bytes) : write_stdout(bytes); };
    sorter.drain([&](std::int64_t, std::string_view record) {
        count_record(counts, is_error(record));
        write(record.substr(1));
        write("\n");
    });
    if (draft) {
        draft->file().close();
        draft->publish();
    } else if (std::fflush(stdout) != 0) {
        fail(ErrorKind::system, "The export cannot be written to stdout: {}.", std::strerror(errno));
    }
}

void sync_file(const fs::path& path) {
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    const bool good = descriptor >= 0 && (::fsync(descriptor) == 0 || errno == EINVAL);
    const int code = errno;
    if (descriptor >= 0) ::close(descriptor);
    if (!good) fail(ErrorKind::system, "{} cannot be flushed to the disk: {}.", path.string(), std::strerror(code));
}

void export_hdf5(const ExportRequest& request, ResultSorter& sorter, JoinCounts& counts) {
    const fs::path temporary = request.output.string() + ".tmp";
    try {
        ShardFile file(temporary);
        ShardTable table;
        sorter.drain([&](std::int64_t, std::string_view record) {
            const StoredAnswer answer = unpacked_record(record);
            count_record(counts, std::holds_alternative<LineError>(answer));
            append(table, answer);
            if (bytes_of(table) < kShardBytesMax) return;
            file.append(table);
            table = {};
        });
        file.append(table);
        file.close();
        sync_file(temporary);
        publish_file(temporary, request.output);
    } catch (...) {
        ::unlink(temporary.c_str());
        throw;
    }
}

}  // namespace

ExportOutcome export_results(const ExportRequest& request) {
    if (request.format == ExportFormat::hdf5 && request.output.empty())
        fail(ErrorKind::usage, "An HDF5 file cannot go to stdout. Name it with --output FILE.");
    const Manifest manifest = manifest_to_export(request);
    ExportOutcome outcome{.written = {}, .requests = manifest.requests, .damaged = {}};
    ResultSorter sorter(request.output.empty() ? fs::temp_directory_path() : folder_of(request.output));
    const bool text = request.format == ExportFormat::jsonl;
    for_each_answer(
        request.run_dir / "shards", manifest.shards,
        [&](const StoredAnswer& answer) {
            sorter.add(line_of(answer), text ? text_record(answer) : packed_record(answer));
        },
        [&](const std::string& sentence) {
            if (!request.partial) fail_damaged(sentence);
            outcome.damaged.push_back(sentence);
        });
    if (text)
        export_jsonl(request, sorter, outcome.written);
    else
        export_hdf5(request, sorter, outcome.written);
    return outcome;
}

}  // namespace argosy
