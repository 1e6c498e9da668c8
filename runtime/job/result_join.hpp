// The join: shards in any order to responses.jsonl and errors.jsonl in input order, and `argosy export`.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "runtime/job/manifest_file.hpp"
#include "runtime/job/shard_table.hpp"

namespace argosy {

// Calls visit for every request in the shards, shard after shard. A damaged shard: damaged(sentence), and on with the
// next. Memory: one shard.
void for_each_answer(const std::filesystem::path& shards, const std::vector<ShardEntry>& entries,
                     const std::function<void(const StoredAnswer&)>& visit,
                     const std::function<void(const std::string&)>& damaged);

struct JoinCounts {
    std::int64_t answers = 0;
    std::int64_t errors = 0;
    bool operator==(const JoinCounts&) const = default;
};

// Writes the answers and error records for `lines` (ascending) to `responses`, and the error records also to `errors`,
// one a line. Both through FILE.tmp, fsync, rename and fsync of the folder, responses last: where responses is, errors
// is too. Restartable at any moment. A line that no shard has, or a damaged shard: an error that names it, and nothing
// is published. Memory: ResultSorter's, whatever the size of the job.
JoinCounts join_results(const std::filesystem::path& shards, const std::vector<ShardEntry>& entries,
                        const std::vector<std::int64_t>& lines, const std::filesystem::path& responses,
                        const std::filesystem::path& errors);

enum class ExportFormat { jsonl, hdf5 };

struct ExportRequest {
    std::filesystem::path run_dir{};
    ExportFormat format = ExportFormat::jsonl;
    std::filesystem::path output{};  // empty: stdout, for jsonl only
    bool partial = false;            // what is there, even if it is not all
};

struct ExportOutcome {
    JoinCounts written{};
    std::int64_t requests = 0;           // of the whole job
    std::vector<std::string> damaged{};  // sentences on shards that were left out
};

// Reads only what the manifest lists, so a job may run in the directory meanwhile. Error(usage): no run there, or
// without `partial` a run that is not finished (the sentence says how many of how many there are). Error(system): a
// damaged shard without `partial`; the disk. The output appears when it is whole.
ExportOutcome export_results(const ExportRequest& request);

}  // namespace argosy
