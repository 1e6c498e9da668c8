// A block of memory with one owner, aligned for the widest vectors. Ops never allocate: they are handed views of these.
#pragma once

#include <cstddef>
#include <utility>

namespace argosy {

// Bytes are uninitialised after construction. Alignment is 64 bytes, 2 MiB for large blocks so that huge pages can
// serve them.
class Buffer {
  public:
    Buffer() = default;
    explicit Buffer(std::size_t bytes);  // throws Error(system) naming the size when memory is not to be had
    Buffer(Buffer&& other) noexcept
        : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
    Buffer& operator=(Buffer&& other) noexcept {
        std::swap(data_, other.data_);
        std::swap(bytes_, other.bytes_);  // `other` frees what this block held when it ends
        return *this;
    }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    ~Buffer();

    void* data() { return data_; }
    const void* data() const { return data_; }
    std::size_t bytes() const { return bytes_; }
    template <class T>
    T* as() {
        return static_cast<T*>(data_);
    }
    template <class T>
    const T* as() const {
        return static_cast<const T*>(data_);
    }

    // Makes the block at least `bytes` large; its content is lost when it has to grow.
    void grow(std::size_t bytes);

  private:
    void* data_ = nullptr;
    std::size_t bytes_ = 0;
};

}  // namespace argosy
