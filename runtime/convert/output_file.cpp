// Writing at offsets, every error a sentence.
#include "runtime/convert/output_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "kernels/base/error.hpp"

namespace argosy {

OutputFile::OutputFile(const std::filesystem::path& path) : path_(path.string()) {
    descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (descriptor_ < 0) complain("opened");
}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)) {}

OutputFile::~OutputFile() {
    if (descriptor_ >= 0) ::close(descriptor_);
}

void OutputFile::write(std::int64_t offset, const void* from, std::size_t bytes) {
    const char* next = static_cast<const char*>(from);
    while (bytes > 0) {
        const ssize_t written = ::pwrite(descriptor_, next, bytes, offset);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) complain("written");
        next += written;
        offset += written;
        bytes -= static_cast<std::size_t>(written);
    }
}

void OutputFile::close() {
    if (::fsync(descriptor_) != 0) complain("flushed");
    if (::close(std::exchange(descriptor_, -1)) != 0) complain("closed");
}

void OutputFile::complain(const char* what) const {
    fail(ErrorKind::system, "{} cannot be {}: {}. Make room, or choose another --output.", path_, what,
         std::strerror(errno));
}

}  // namespace argosy
