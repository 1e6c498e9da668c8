// Unpacking through zlib. The only file that includes it.
#include "runtime/job/gzip_file.hpp"

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

#include "kernels/base/error.hpp"

namespace argosy {

namespace {

void write_all(int to, const unsigned char* bytes, std::size_t size, const std::filesystem::path& name) {
    while (size > 0) {
        const ssize_t written = ::write(to, bytes, size);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) {
            fail(ErrorKind::system,
                 "{} cannot be unpacked into the run directory: {}. Free space there, or unpack it yourself and give "
                 "the plain file.",
                 name.string(), std::strerror(errno));
        }
        bytes += written;
        size -= static_cast<std::size_t>(written);
    }
}

}  // namespace

bool is_gzip(int descriptor) {
    unsigned char head[2] = {0, 0};
    return ::pread(descriptor, head, 2, 0) == 2 && head[0] == 0x1f && head[1] == 0x8b;
}

void unpack_gzip(int descriptor, int to, const std::filesystem::path& name) {
    const int copy = ::dup(descriptor);
    if (copy < 0) fail(ErrorKind::system, "{} cannot be opened once more: {}.", name.string(), std::strerror(errno));
    if (::lseek(copy, 0, SEEK_SET) < 0) {
        ::close(copy);
        fail(ErrorKind::input, "{} cannot be read from its beginning; give a file, not a pipe.", name.string());
    }
    const std::unique_ptr<gzFile_s, int (*)(gzFile)> file(::gzdopen(copy, "rb"), ::gzclose_r);
    if (!file) {
        ::close(copy);
        fail(ErrorKind::system, "{} cannot be unpacked: no memory for it.", name.string());
    }
    ::gzbuffer(file.get(), 1 << 18);
    std::vector<unsigned char> buffer(1 << 20);
    while (true) {
        const int size = ::gzread(file.get(), buffer.data(), static_cast<unsigned>(buffer.size()));
        // A cut file reads to its end without an error; gzerror tells it afterwards.
        int code = Z_OK;
        const char* what = ::gzerror(file.get(), &code);
        if (size < 0 || (code != Z_OK && code != Z_STREAM_END)) {
            const bool cut = code == Z_BUF_ERROR;
            fail(ErrorKind::input, "{} is a damaged gzip file ({}). Fetch or pack it again.", name.string(),
                 cut ? "it ends too early" : what);
        }
        if (size == 0) return;
        write_all(to, buffer.data(), static_cast<std::size_t>(size), name);
    }
}

}  // namespace argosy
