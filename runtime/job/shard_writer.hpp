// Sealing shards: finished requests gather in memory until a shard is due, and then stand on the disk as one file that
// never changes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "runtime/job/manifest.hpp"
#include "runtime/job/shard_table.hpp"

namespace argosy {

inline constexpr std::int64_t kShardRowsMax = 4096;
inline constexpr std::int64_t kShardBytesMax = 8 << 20;  // of its columns, before packing

// How long a finished request waits for its shard at most, when the run has that age: a sixteenth of the age, but at
// least 0.5 s and at most 30 s. A death then costs no more than a sixteenth of the work done, and long jobs write few
// files.
std::int64_t seal_interval_ns(std::int64_t age_ns);

// Makes shards/START-RANK-NUMBER.h5. Start numbers keep apart the files of a run and of processes of an earlier one
// that have not ended yet.
class ShardWriter {
  public:
    // now_ns: any monotonic clock, the same in every call.
    ShardWriter(std::filesystem::path folder, int start, int rank, std::int64_t now_ns);
    void add(const StoredAnswer& answer, std::int64_t now_ns);
    bool due(std::int64_t now_ns) const;
    std::int64_t rows() const { return static_cast<std::int64_t>(table_.rows()); }

    // Writes the rows as FILE.tmp, flushes it to the disk, renames it and flushes the folder. When it returns, the
    // file is whole and stays as it is; it exists once the manifest lists it. Nothing when there are no rows.
    std::optional<ShardEntry> seal();

  private:
    std::filesystem::path folder_;
    int start_;
    int rank_;
    std::int64_t began_ns_;
    std::int64_t oldest_ns_ = 0;  // when the first row came
    std::int64_t number_ = 0;
    std::int64_t errors_ = 0;
    ShardTable table_;
};

// A listed shard's columns, or the sentence that says how it is damaged.
struct ShardRead {
    std::optional<ShardTable> table{};
    std::string damage{};
};
ShardRead read_shard(const std::filesystem::path& folder, const ShardEntry& entry);

}  // namespace argosy
