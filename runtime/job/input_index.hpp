// Where every line of the input begins: several files, plain or gzip, read by line number in any order.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/schedule/token_hash.hpp"

namespace argosy {

inline constexpr std::int64_t kLineBytesMax =
    64LL << 20;  // a longer line is refused by read_line's caller (see InputLine::too_long)

struct InputLine {
    std::string text;       // without line end (LF or CR LF) and, in a file's first line, without a byte-order mark
    bool too_long = false;  // the line has more than kLineBytesMax bytes; text is empty
};

// Lines are numbered from 1 through all files in the order given. Costs 8 bytes of memory per line. Files must not
// change meanwhile.
class InputIndex {
  public:
    // Scans the files. Gzip files (known by their first bytes) are unpacked into an unnamed file in `scratch`, which
    // disappears by itself. Missing, unreadable or damaged files: ErrorKind::input; a full disk: ErrorKind::system.
    InputIndex(const std::vector<std::filesystem::path>& files, const std::filesystem::path& scratch);
    ~InputIndex();
    InputIndex(InputIndex&& other) noexcept;
    InputIndex& operator=(InputIndex&&) = delete;
    InputIndex(const InputIndex&) = delete;

    std::int64_t line_count() const { return line_count_; }
    InputLine read_line(std::int64_t line) const;  // 1 .. line_count(), else ErrorKind::internal

    // "requests.jsonl line 17": where a person finds it.
    std::string place(std::int64_t line) const;

    // Digest of all bytes after unpacking and of the files' boundaries; part of the job's identity.
    Digest128 digest() const { return digest_; }
    std::int64_t byte_count() const { return byte_count_; }

  private:
    struct File {
        std::string name;
        int descriptor = -1;
        std::int64_t first_line = 1;      // number of its first line
        std::vector<std::int64_t> begin;  // [lines + 1] offsets; the last is the file's size
    };
    void scan(File& file);
    const File& file_of(std::int64_t line) const;

    std::vector<File> files_;
    std::int64_t line_count_ = 0;
    std::int64_t byte_count_ = 0;
    Digest128 digest_;
};

// The lines that --slice i/n and --limit leave: [begin, end), line numbers of the whole input.
struct LineRange {
    std::int64_t begin = 1;
    std::int64_t end = 1;
    bool operator==(const LineRange&) const = default;
    std::int64_t size() const { return end - begin; }
};

// Slice `index` (counted from 0) of `slices` equal parts, then at most `limit` lines of it (-1: all).
LineRange select_lines(std::int64_t line_count, int index, int slices, std::int64_t limit);

}  // namespace argosy
