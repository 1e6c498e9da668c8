// Reading a checkpoint's files: bytes at offsets, and the headers of all files in one folder.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "kernels/base/error.hpp"
#include "runtime/model/checkpoint.hpp"
#include "runtime/model/json_file.hpp"
#include "runtime/model/safetensors.hpp"

namespace argosy {

namespace fs = std::filesystem;

CheckpointFile::CheckpointFile(const fs::path& path) : path_(path) {
    descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor_ < 0) fail(ErrorKind::input, "Cannot open {}: {}.", path.string(), std::strerror(errno));
    struct stat status {};
    if (::fstat(descriptor_, &status) != 0 || !S_ISREG(status.st_mode)) {
        ::close(descriptor_);
        fail(ErrorKind::input, "{} is not an ordinary file, so it cannot hold weights.", path.string());
    }
    bytes_ = status.st_size;
}

CheckpointFile::CheckpointFile(CheckpointFile&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      bytes_(other.bytes_),
      bytes_read_(other.bytes_read_) {}

CheckpointFile& CheckpointFile::operator=(CheckpointFile&& other) noexcept {
    std::swap(path_, other.path_);
    std::swap(descriptor_, other.descriptor_);  // `other` closes what this object held
    std::swap(bytes_, other.bytes_);
    std::swap(bytes_read_, other.bytes_read_);
    return *this;
}

CheckpointFile::~CheckpointFile() {
    if (descriptor_ >= 0) ::close(descriptor_);
}

void CheckpointFile::read(std::int64_t offset, std::span<std::byte> into) {
    const auto wanted = static_cast<std::int64_t>(into.size());
    if (offset < 0 || wanted > bytes_ - offset) {
        fail(ErrorKind::input, "{} has {} bytes; {} from offset {} on are wanted. Fetch the file again.",
             path_.string(), bytes_, wanted, offset);
    }
    for (std::int64_t done = 0; done < wanted;) {
        const ssize_t got =
            ::pread(descriptor_, into.data() + done, static_cast<std::size_t>(wanted - done), offset + done);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0)
            fail(ErrorKind::system, "Reading {} at offset {} failed: {}.", path_.string(), offset + done,
                 std::strerror(errno));
        if (got == 0)
            fail(ErrorKind::input, "{} became shorter while it was read: it ends at {}.", path_.string(),
                 offset + done);
        done += got;
        bytes_read_ += got;
    }
}

void CheckpointFile::expect(std::int64_t offset, std::int64_t bytes) const {
    (void)::posix_fadvise(descriptor_, offset, bytes, POSIX_FADV_WILLNEED);
}

namespace {

constexpr std::int64_t kIndexBytesMax = 256 << 20;

// The length word and the header, or as much of them as the file can have: what is wrong with a short one is said when
// it is parsed.
CheckpointHeaders::File read_prefix(const fs::path& folder, const std::string& name) {
    CheckpointFile file(folder / name);
    CheckpointHeaders::File result{name, file.bytes(), {}};
    result.prefix.resize(static_cast<std::size_t>(std::min<std::int64_t>(kSafetensorsLengthBytes, file.bytes())));
    file.read(0, std::as_writable_bytes(std::span(result.prefix)));
    const std::int64_t header_bytes = safetensors_header_bytes(result.prefix, file.bytes());
    if (header_bytes > 0) {
        result.prefix.resize(static_cast<std::size_t>(kSafetensorsLengthBytes + header_bytes));
        file.read(kSafetensorsLengthBytes,
                  std::as_writable_bytes(std::span(result.prefix).subspan(kSafetensorsLengthBytes)));
    }
    return result;
}

}  // namespace

CheckpointHeaders read_checkpoint_headers(const fs::path& folder) {
    CheckpointHeaders headers;
    headers.folder = folder.string();
    const fs::path index = folder / kCheckpointIndex;
    if (fs::exists(folder / kCheckpointSingle)) {
        headers.files.push_back(read_prefix(folder, std::string(kCheckpointSingle)));
    } else if (fs::exists(index)) {
        headers.index = read_text_file(index, kIndexBytesMax);
        for (const std::string& name : files_of_index(headers.index, index.string())) {
            if (!fs::exists(folder / name)) {
                fail(ErrorKind::input, "{} names the file {}, which is not in {}. Fetch the missing file.",
                     index.string(), name, folder.string());
            }
            headers.files.push_back(read_prefix(folder, name));
        }
    } else {
        fail(ErrorKind::input, "{} holds neither {} nor {}; weights must be in the safetensors format.",
             folder.string(), kCheckpointSingle, kCheckpointIndex);
    }
    return headers;
}

Checkpoint open_checkpoint(const fs::path& folder) { return parse_checkpoint(read_checkpoint_headers(folder)); }

namespace {

void put_number(std::string& wire, std::int64_t number) {
    for (int byte = 0; byte < 8; ++byte)
        wire += static_cast<char>(static_cast<std::uint64_t>(number) >> (8 * byte) & 0xff);
}

void put_text(std::string& wire, const std::string& text) {
    put_number(wire, static_cast<std::int64_t>(text.size()));
    wire += text;
}

// Takes values off the front of a wire string.
class WireReader {
  public:
    explicit WireReader(std::string_view wire) : rest_(wire) {}

    std::int64_t number() {
        const std::string_view bytes = take(8);
        std::uint64_t value = 0;
        for (int byte = 7; byte >= 0; --byte)
            value = value << 8 | static_cast<unsigned char>(bytes[static_cast<std::size_t>(byte)]);
        return static_cast<std::int64_t>(value);
    }
    std::string text() { return std::string(take(number())); }
    bool at_end() const { return rest_.empty(); }

  private:
    std::string_view take(std::int64_t bytes) {
        if (bytes < 0 || bytes > static_cast<std::int64_t>(rest_.size())) {
            fail(ErrorKind::internal, "A message with checkpoint headers ends {} bytes before it should.",
                 bytes - static_cast<std::int64_t>(rest_.size()));
        }
        const std::string_view taken = rest_.substr(0, static_cast<std::size_t>(bytes));
        rest_.remove_prefix(taken.size());
        return taken;
    }

    std::string_view rest_;
};

}  // namespace

std::string to_wire(const CheckpointHeaders& headers) {
    std::string wire;
    put_text(wire, headers.folder);
    put_text(wire, headers.index);
    for (const CheckpointHeaders::File& file : headers.files) {
        put_text(wire, file.name);
        put_number(wire, file.bytes);
        put_text(wire, file.prefix);
    }
    return wire;
}

CheckpointHeaders checkpoint_headers_from_wire(std::string_view wire) {
    WireReader reader(wire);
    CheckpointHeaders headers;
    headers.folder = reader.text();
    headers.index = reader.text();
    while (!reader.at_end()) {
        CheckpointHeaders::File file;
        file.name = reader.text();
        file.bytes = reader.number();
        file.prefix = reader.text();
        headers.files.push_back(std::move(file));
    }
    return headers;
}

}  // namespace argosy
