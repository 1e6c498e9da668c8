// Writing part files, finding the answers in them, and joining them.
#include "runtime/job/result_parts.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>
#include <optional>
#include <tuple>

#include "kernels/base/error.hpp"
#include "runtime/schedule/token_hash.hpp"

namespace argosy {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kLinePrefix = "{\"line\":";
constexpr std::string_view kSumPrefix = ",\"xxh3\":\"";
constexpr std::string_view kResultPrefix = "\",\"result\":";
constexpr std::size_t kPieceBytes = 1 << 20;

// A file open for reading at any place.
class ReadFile {
  public:
    explicit ReadFile(const fs::path& path)
        : name_(path.string()), descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
        if (descriptor_ < 0) fail(ErrorKind::system, "{} cannot be opened: {}.", name_, std::strerror(errno));
    }
    ~ReadFile() { ::close(descriptor_); }
    ReadFile(const ReadFile&) = delete;
    ReadFile& operator=(const ReadFile&) = delete;

    // Appends up to `size` bytes from `offset`; fewer at the end of the file.
    void read(std::string& to, std::int64_t offset, std::size_t size) const {
        const std::size_t before = to.size();
        to.resize(before + size);
        std::size_t have = 0;
        while (have < size) {
            const ssize_t got =
                ::pread(descriptor_, to.data() + before + have, size - have, offset + static_cast<std::int64_t>(have));
            if (got < 0 && errno == EINTR) continue;
            if (got < 0) fail(ErrorKind::system, "{} cannot be read: {}.", name_, std::strerror(errno));
            if (got == 0) break;
            have += static_cast<std::size_t>(got);
        }
        to.resize(before + have);
    }
    const std::string& name() const { return name_; }

  private:
    std::string name_;
    int descriptor_;
};

std::string envelope(std::int64_t line, std::string_view result) {
    return fmt::format("{}{}{}{:016x}{}{}}}\n", kLinePrefix, line, kSumPrefix,
                       hash64(result, static_cast<std::uint64_t>(line)), kResultPrefix, result);
}

struct Opened {
    std::int64_t line = 0;
    std::size_t begin = 0;  // of the answer within the stored line
    std::size_t size = 0;
};

// Takes a stored line (without its end) apart; nothing when it is damaged.
std::optional<Opened> open_envelope(std::string_view text) {
    if (!text.starts_with(kLinePrefix) || !text.ends_with('}')) return std::nullopt;
    Opened opened;
    const char* end = text.data() + text.size();
    const auto number = std::from_chars(text.data() + kLinePrefix.size(), end, opened.line);
    if (number.ec != std::errc() || opened.line < 1) return std::nullopt;
    std::string_view rest(number.ptr, static_cast<std::size_t>(end - number.ptr));
    if (!rest.starts_with(kSumPrefix)) return std::nullopt;
    rest.remove_prefix(kSumPrefix.size());
    std::uint64_t sum = 0;
    const auto digits = std::from_chars(rest.data(), rest.data() + std::min<std::size_t>(16, rest.size()), sum, 16);
    if (digits.ec != std::errc() || digits.ptr != rest.data() + 16) return std::nullopt;
    rest.remove_prefix(16);
    if (!rest.starts_with(kResultPrefix)) return std::nullopt;
    rest.remove_prefix(kResultPrefix.size());
    rest.remove_suffix(1);
    if (hash64(rest, static_cast<std::uint64_t>(opened.line)) != sum) return std::nullopt;
    opened.begin = static_cast<std::size_t>(rest.data() - text.data());
    opened.size = rest.size();
    return opened;
}

void index_file(PartIndex& index, std::int32_t part) {
    const ReadFile file(index.files[static_cast<std::size_t>(part)]);
    std::string held;         // bytes read and not yet taken apart
    std::int64_t offset = 0;  // of held[0] in the file
    while (true) {
        const std::size_t before = held.size();
        file.read(held, offset + static_cast<std::int64_t>(before), kPieceBytes);
        if (held.size() == before) break;
        std::size_t begin = 0;
        for (std::size_t end = held.find('\n', before); end != held.npos; end = held.find('\n', begin)) {
            if (const auto opened = open_envelope(std::string_view(held).substr(begin, end - begin))) {
                index.results.push_back({.line = opened->line,
                                         .offset = offset + static_cast<std::int64_t>(begin + opened->begin),
                                         .bytes = static_cast<std::int32_t>(opened->size),
                                         .part = part});
            } else {
                ++index.damaged;
            }
            begin = end + 1;
        }
        held.erase(0, begin);
        offset += static_cast<std::int64_t>(begin);
    }
    if (!held.empty()) ++index.damaged;  // a last line that was cut
}

fs::path part_path(const fs::path& parts, int rank) { return parts / fmt::format("part-{:05d}.jsonl", rank); }

// Cuts off what stands behind the last line end: the line that a crash left half written.
const fs::path& trimmed(const fs::path& path) {
    std::error_code error;
    const auto size = fs::file_size(path, error);
    if (error) return path;  // not there yet
    auto keep = static_cast<std::int64_t>(size);
    {
        const ReadFile file(path);
        while (keep > 0) {
            const std::int64_t begin = std::max<std::int64_t>(0, keep - static_cast<std::int64_t>(kPieceBytes));
            std::string piece;
            file.read(piece, begin, static_cast<std::size_t>(keep - begin));
            const auto end = piece.rfind('\n');
            keep = end == piece.npos ? begin : begin + static_cast<std::int64_t>(end) + 1;
            if (end != piece.npos) break;
        }
    }
    if (keep < static_cast<std::int64_t>(size) && ::truncate(path.c_str(), keep) != 0) {
        fail(ErrorKind::system, "The unfinished end of {} cannot be cut off: {}.", path.string(), std::strerror(errno));
    }
    return path;
}

}  // namespace

PartWriter::PartWriter(const fs::path& parts, int rank)
    : file_(trimmed(part_path(parts, rank)), FileWriter::Mode::append) {}

void PartWriter::append(std::int64_t line, std::string_view result) {
    if (line < 1 || result.find('\n') != result.npos || result.size() > (1U << 30)) {
        fail(ErrorKind::internal, "The answer of line {} cannot be stored: it has {} bytes or a line end.", line,
             result.size());
    }
    file_.write(envelope(line, result));
    ++appended_;
}

void PartWriter::sync() { file_.sync(); }

void PartWriter::close() { file_.close(); }

PartIndex index_parts(const fs::path& parts) {
    PartIndex index;
    std::error_code error;
    for (fs::directory_iterator entry(parts, error); !error && entry != fs::directory_iterator();
         entry.increment(error)) {
        const std::string name = entry->path().filename().string();
        if (name.starts_with("part-") && name.ends_with(".jsonl")) index.files.push_back(entry->path());
    }
    if (error) fail(ErrorKind::system, "The folder {} cannot be listed: {}.", parts.string(), error.message());
    std::sort(index.files.begin(), index.files.end());
    for (std::size_t part = 0; part < index.files.size(); ++part) index_file(index, static_cast<std::int32_t>(part));
    auto& results = index.results;
    std::sort(results.begin(), results.end(), [](const StoredResult& a, const StoredResult& b) {
        return std::tuple(a.line, a.part, a.offset) < std::tuple(b.line, b.part, b.offset);
    });
    const auto last = std::unique(results.begin(), results.end(),
                                  [](const StoredResult& a, const StoredResult& b) { return a.line == b.line; });
    index.repeated = results.end() - last;
    results.erase(last, results.end());
    return index;
}

std::vector<std::int64_t> stored_lines(const PartIndex& index) {
    std::vector<std::int64_t> lines;
    lines.reserve(index.results.size());
    for (const StoredResult& result : index.results) lines.push_back(result.line);
    return lines;
}

std::int64_t join_responses(const PartIndex& index, const std::vector<std::int64_t>& lines, const fs::path& out,
                            bool partial) {
    std::vector<std::unique_ptr<ReadFile>> parts;
    for (const fs::path& path : index.files) parts.push_back(std::make_unique<ReadFile>(path));
    const fs::path temporary = out.string() + ".tmp";
    FileWriter file(temporary, FileWriter::Mode::truncate);
    std::int64_t written = 0;
    std::string answer;
    auto next = index.results.begin();
    for (const std::int64_t line : lines) {
        next = std::lower_bound(next, index.results.end(), line,
                                [](const StoredResult& result, std::int64_t value) { return result.line < value; });
        if (next == index.results.end() || next->line != line) {
            if (partial) continue;
            fail(ErrorKind::internal,
                 "Line {} has no answer in the parts; {} was not written. Start the same command again: it finishes "
                 "what is missing.",
                 line, out.string());
        }
        answer.clear();
        const ReadFile& part = *parts[static_cast<std::size_t>(next->part)];
        part.read(answer, next->offset, static_cast<std::size_t>(next->bytes));
        if (static_cast<std::int32_t>(answer.size()) != next->bytes) {
            fail(ErrorKind::system, "{} became shorter while it was being joined. Start the same command again.",
                 part.name());
        }
        answer += '\n';
        file.write(answer);
        ++written;
    }
    file.close();
    publish_file(temporary, out);
    return written;
}

}  // namespace argosy
