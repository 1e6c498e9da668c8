// Owned, aligned memory.
#include "kernels/base/buffer.hpp"

#include <sys/mman.h>

#include <cstdlib>

#include "kernels/base/error.hpp"

namespace argosy {

namespace {
constexpr std::size_t kVectorBytes = 64;
constexpr std::size_t kHugePageBytes = std::size_t{2} << 20;

std::size_t round_up(std::size_t value, std::size_t unit) { return (value + unit - 1) / unit * unit; }
}  // namespace

Buffer::Buffer(std::size_t bytes) : bytes_(bytes) {
    if (bytes == 0) return;
    const std::size_t alignment = bytes >= 2 * kHugePageBytes ? kHugePageBytes : kVectorBytes;
    data_ = std::aligned_alloc(alignment, round_up(bytes, alignment));
    if (data_ == nullptr) {
        fail(ErrorKind::system, "No memory for a block of {} bytes. Use more ranks, or a smaller --kv-memory.", bytes);
    }
    if (alignment == kHugePageBytes)
        madvise(data_, bytes, MADV_HUGEPAGE);  // advice: a kernel that declines changes nothing
}

Buffer::~Buffer() { std::free(data_); }

void Buffer::grow(std::size_t bytes) {
    if (bytes <= bytes_) return;
    *this = Buffer();  // free first: the old content is lost anyway, and both together might not fit
    *this = Buffer(bytes);
}

}  // namespace argosy
