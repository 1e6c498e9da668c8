// Checked writes. POSIX calls are used throughout: what matters here is which bytes are on the disk, and streams do not
// tell.
#include "runtime/job/file_writer.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "kernels/base/error.hpp"

namespace argosy {

namespace {

constexpr std::size_t kBufferBytes = 1 << 18;

[[noreturn]] void cannot(const char* verb, const std::string& path) {
    const int code = errno;
    const char* advice = code == ENOSPC || code == EDQUOT || code == EFBIG
                             ? "Free space or raise the quota, and start the same command again"
                             : "Check the folder and its permissions, and start the same command again";
    fail(ErrorKind::system, "{} cannot be {}: {}. {}; results that are on the disk stay.", path, verb,
         std::strerror(code), advice);
}

void sync_folder(const std::filesystem::path& file) {
    const std::filesystem::path folder = file.has_parent_path() ? file.parent_path() : ".";
    const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) cannot("opened", folder.string());
    // Some network file systems cannot flush a folder; the rename is then as durable as they make it.
    const bool failed = ::fsync(descriptor) != 0 && errno != EINVAL && errno != ENOTSUP;
    const int code = errno;
    ::close(descriptor);
    errno = code;
    if (failed) cannot("flushed", folder.string());
}

}  // namespace

FileWriter::FileWriter(const std::filesystem::path& path, Mode mode) : path_(path.string()) {
    const int flags = O_WRONLY | O_CREAT | O_CLOEXEC | (mode == Mode::append ? O_APPEND : O_TRUNC);
    descriptor_ = ::open(path_.c_str(), flags, 0644);
    if (descriptor_ < 0) cannot("opened for writing", path_);
}

FileWriter::~FileWriter() {
    if (descriptor_ >= 0) ::close(descriptor_);
}

FileWriter::FileWriter(FileWriter&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(other.descriptor_),
      buffer_(std::move(other.buffer_)),
      written_(other.written_) {
    other.descriptor_ = -1;
}

void FileWriter::write(std::string_view bytes) {
    if (buffer_.size() + bytes.size() > kBufferBytes) flush();
    buffer_ += bytes;
    written_ += static_cast<std::int64_t>(bytes.size());
}

void FileWriter::flush() {
    std::string_view rest = buffer_;
    while (!rest.empty()) {
        const ssize_t size = ::write(descriptor_, rest.data(), rest.size());
        if (size < 0 && errno == EINTR) continue;
        if (size < 0) {
            const int code = errno;
            buffer_.erase(0, buffer_.size() - rest.size());  // what did arrive is not written a second time
            errno = code;
            cannot("written", path_);
        }
        rest.remove_prefix(static_cast<std::size_t>(size));
    }
    buffer_.clear();
}

void FileWriter::sync() {
    flush();
    if (::fsync(descriptor_) != 0 && errno != EINVAL) cannot("flushed to the disk", path_);
}

void FileWriter::close() {
    sync();
    const int descriptor = descriptor_;
    descriptor_ = -1;
    if (::close(descriptor) != 0) cannot("closed", path_);
}

void publish_file(const std::filesystem::path& temporary, const std::filesystem::path& path) {
    if (::rename(temporary.c_str(), path.c_str()) != 0) cannot("put into place", path.string());
    sync_folder(path);
}

void replace_file(const std::filesystem::path& path, std::string_view bytes, bool durable) {
    const std::filesystem::path temporary = path.string() + ".tmp";
    FileWriter file(temporary, FileWriter::Mode::truncate);
    try {
        file.write(bytes);
        if (durable)
            file.close();
        else
            file.flush();
    } catch (...) {
        ::unlink(temporary.c_str());  // on a full disk it only takes room
        throw;
    }
    if (durable) {
        publish_file(temporary, path);
    } else if (::rename(temporary.c_str(), path.c_str()) != 0) {
        cannot("put into place", path.string());
    }
}

std::string read_whole_file(const std::filesystem::path& path) {
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) fail(ErrorKind::input, "{} cannot be opened: {}.", path.string(), std::strerror(errno));
    std::string bytes;
    char piece[1 << 16];
    ssize_t size = 0;
    while ((size = ::read(descriptor, piece, sizeof piece)) != 0) {
        if (size < 0 && errno == EINTR) continue;
        if (size < 0) break;
        bytes.append(piece, static_cast<std::size_t>(size));
    }
    const int code = errno;
    ::close(descriptor);
    if (size < 0) fail(ErrorKind::input, "{} cannot be read: {}.", path.string(), std::strerror(code));
    return bytes;
}

}  // namespace argosy
