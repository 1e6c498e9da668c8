// Part files: every group leader appends finished answers to its own, and at the end they are joined in input order
// into responses.jsonl.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>
#include <vector>

#include "runtime/job/file_writer.hpp"

namespace argosy {

// Appends answers to parts/part-RANK.jsonl. A line is {"line":7,"xxh3":"16 hex digits","result":...}: the checksum
// tells a whole line from one that a crash or a full disk cut. What a crash left unfinished at the end of the file is
// cut off when it is opened again.
class PartWriter {
  public:
    PartWriter(const std::filesystem::path& parts, int rank);
    void append(std::int64_t line, std::string_view result);
    void sync();  // everything appended so far is on the disk when it returns
    void close();
    std::int64_t appended() const { return appended_; }

  private:
    FileWriter file_;
    std::int64_t appended_ = 0;
};

// Where a stored answer stands.
struct StoredResult {
    std::int64_t line = 0;
    std::int64_t offset = 0;  // of the answer's first byte
    std::int32_t bytes = 0;   // of the answer, without line end
    std::int32_t part = 0;    // index into PartIndex::files
    bool operator==(const StoredResult&) const = default;
};

// The answers in all part files, by rising line. Of several for one line (a run that was cut and resumed) the first is
// taken: files by name, then by offset. Damaged lines are counted and left out; their requests count as not done.
struct PartIndex {
    std::vector<std::filesystem::path> files{};
    std::vector<StoredResult> results{};
    std::int64_t damaged = 0;
    std::int64_t repeated = 0;
};
PartIndex index_parts(const std::filesystem::path& parts);

// Lines that have a stored answer, ascending: what a resumed run need not do again.
std::vector<std::int64_t> stored_lines(const PartIndex& index);

// Writes the answers for `lines` (ascending) to `out`, one per line, through out.tmp, fsync, rename and fsync of the
// folder; restartable at any moment. A line without an answer: ErrorKind::internal, and nothing is published, unless
// `partial` (then it is left out). Memory: 24 bytes per answer and a copy buffer. Returns the number of lines written.
std::int64_t join_responses(const PartIndex& index, const std::vector<std::int64_t>& lines,
                            const std::filesystem::path& out, bool partial = false);

}  // namespace argosy
