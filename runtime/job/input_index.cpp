// Scanning input files for line ends, and reading single lines back.
#include "runtime/job/input_index.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "kernels/base/error.hpp"
#include "runtime/job/gzip_file.hpp"

namespace argosy {

namespace {

constexpr std::size_t kScanBytes =
    1 << 20;  // also the length of the pieces that the digest is chained over: never change it

// Reads until `size` bytes are there or the file ends.
std::size_t read_at(int descriptor, char* to, std::size_t size, std::int64_t offset, const std::string& name) {
    std::size_t have = 0;
    while (have < size) {
        const ssize_t got = ::pread(descriptor, to + have, size - have, offset + static_cast<std::int64_t>(have));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) fail(ErrorKind::input, "{} cannot be read at byte {}: {}.", name, offset, std::strerror(errno));
        if (got == 0) break;
        have += static_cast<std::size_t>(got);
    }
    return have;
}

int open_input(const std::filesystem::path& path) {
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        fail(ErrorKind::input, "The input {} cannot be opened: {}.", path.string(), std::strerror(errno));
    struct stat facts {};
    if (::fstat(descriptor, &facts) != 0 || !S_ISREG(facts.st_mode)) {
        ::close(descriptor);
        fail(ErrorKind::input, "The input {} is no regular file; lines are read by their place, so give a file.",
             path.string());
    }
    return descriptor;
}

// An open file without a name, which takes its space with it when it is closed.
int unnamed_file(const std::filesystem::path& folder) {
    std::string name = (folder / "unpacked-XXXXXX").string();
    const int descriptor = ::mkostemp(name.data(), O_CLOEXEC);
    if (descriptor < 0)
        fail(ErrorKind::system, "No file can be made in {}: {}.", folder.string(), std::strerror(errno));
    ::unlink(name.c_str());
    return descriptor;
}

bool has_byte_order_mark(std::string_view text) { return text.substr(0, 3) == "\xEF\xBB\xBF"; }

}  // namespace

InputIndex::InputIndex(const std::vector<std::filesystem::path>& files, const std::filesystem::path& scratch) {
    if (files.empty()) fail(ErrorKind::usage, "No input was given; name at least one file with --input.");
    try {
        for (const auto& path : files) {
            File& file = files_.emplace_back();
            file.name = path.string();
            file.first_line = line_count_ + 1;
            file.descriptor = open_input(path);
            if (is_gzip(file.descriptor)) {
                const int packed = file.descriptor;
                file.descriptor = -1;
                try {
                    file.descriptor = unnamed_file(scratch);
                    unpack_gzip(packed, file.descriptor, path);
                } catch (...) {
                    ::close(packed);
                    throw;
                }
                ::close(packed);
            }
            scan(file);
        }
    } catch (...) {
        for (const File& file : files_) {
            if (file.descriptor >= 0) ::close(file.descriptor);
        }
        throw;
    }
}

InputIndex::~InputIndex() {
    for (const File& file : files_) {
        if (file.descriptor >= 0) ::close(file.descriptor);
    }
}

InputIndex::InputIndex(InputIndex&& other) noexcept
    : files_(std::move(other.files_)),
      line_count_(other.line_count_),
      byte_count_(other.byte_count_),
      digest_(other.digest_) {
    other.files_.clear();
    other.line_count_ = 0;
}

void InputIndex::scan(File& file) {
    std::vector<char> buffer(kScanBytes);
    std::int64_t offset = 0;
    file.begin.push_back(0);
    while (true) {
        const std::size_t size = read_at(file.descriptor, buffer.data(), buffer.size(), offset, file.name);
        digest_ = chain_digest_bytes(
            digest_, std::string_view(buffer.data(), size));  // an empty last piece marks the file's end
        if (size == 0) break;
        const char* end = buffer.data() + size;
        for (const char* place = buffer.data();
             (place = static_cast<const char*>(std::memchr(place, '\n', static_cast<std::size_t>(end - place))));) {
            ++place;
            file.begin.push_back(offset + (place - buffer.data()));
        }
        offset += static_cast<std::int64_t>(size);
    }
    if (file.begin.back() != offset) file.begin.push_back(offset);  // a last line without its end
    file.begin.shrink_to_fit();
    line_count_ += static_cast<std::int64_t>(file.begin.size()) - 1;
    byte_count_ += offset;
}

const InputIndex::File& InputIndex::file_of(std::int64_t line) const {
    if (line < 1 || line > line_count_)
        fail(ErrorKind::internal, "Line {} was asked for; the input has lines 1 to {}.", line, line_count_);
    // The last file that begins at or before the line; files without lines begin where the next does, and the last of
    // equals wins.
    const auto after = std::upper_bound(files_.begin(), files_.end(), line,
                                        [](std::int64_t value, const File& file) { return value < file.first_line; });
    return *std::prev(after);
}

InputLine InputIndex::read_line(std::int64_t line) const {
    const File& file = file_of(line);
    const auto index = static_cast<std::size_t>(line - file.first_line);
    const std::int64_t begin = file.begin[index];
    const std::int64_t size = file.begin[index + 1] - begin;
    InputLine result;
    if (size > kLineBytesMax) {
        result.too_long = true;
        return result;
    }
    result.text.resize(static_cast<std::size_t>(size));
    if (read_at(file.descriptor, result.text.data(), result.text.size(), begin, file.name) != result.text.size()) {
        fail(ErrorKind::input,
             "{} became shorter while it was being read. Leave input files alone until the job has ended.", file.name);
    }
    if (result.text.ends_with('\n')) result.text.pop_back();
    if (result.text.ends_with('\r')) result.text.pop_back();
    if (index == 0 && has_byte_order_mark(result.text)) result.text.erase(0, 3);
    return result;
}

std::string InputIndex::place(std::int64_t line) const {
    const File& file = file_of(line);
    return fmt::format("{} line {}", file.name, line - file.first_line + 1);
}

LineRange select_lines(std::int64_t line_count, int index, int slices, std::int64_t limit) {
    if (slices < 1 || index < 0 || index >= slices) {
        fail(ErrorKind::usage, "Slice {} of {} does not exist; with --slice i/n, i goes from 0 to n - 1.", index,
             slices);
    }
    const auto bound = [&](std::int64_t i) {
        return static_cast<std::int64_t>(static_cast<__int128>(line_count) * i / slices);
    };
    LineRange range{.begin = 1 + bound(index), .end = 1 + bound(index + 1)};
    if (limit >= 0) range.end = std::min(range.end, range.begin + limit);
    return range;
}

}  // namespace argosy
