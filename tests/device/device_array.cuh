// Memory of the GPU with one owner, and CUDA calls whose errors become sentences.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace argosy::device {

inline void checked(cudaError_t status, const char* what) {
    if (status == cudaSuccess) return;
    throw std::runtime_error(std::string("The GPU could not ") + what + ": " + cudaGetErrorString(status) + ".");
}

// What a kernel launch just before this call reported, and what the kernel itself did.
inline void checked_launch(const char* what) {
    checked(cudaGetLastError(), what);
    checked(cudaDeviceSynchronize(), what);
}

template <class T>
class DeviceArray {
  public:
    explicit DeviceArray(std::size_t size) : size_(size) {
        checked(cudaMalloc(reinterpret_cast<void**>(&data_), size * sizeof(T)), "give memory for a test's arrays");
        poison();
    }
    explicit DeviceArray(const std::vector<T>& values) : DeviceArray(values.size()) {
        checked(cudaMemcpy(data_, values.data(), size_ * sizeof(T), cudaMemcpyHostToDevice), "take data");
    }
    DeviceArray(DeviceArray&& other) noexcept
        : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
    DeviceArray(const DeviceArray&) = delete;
    DeviceArray& operator=(const DeviceArray&) = delete;
    ~DeviceArray() { (void)cudaFree(data_); }

    // What nothing writes is neither zero nor what stood there before.
    void poison() const { checked(cudaMemset(data_, 0xa5, size_ * sizeof(T)), "fill memory"); }

    T* data() const { return data_; }
    std::size_t size() const { return size_; }
    std::vector<T> to_host() const { return to_host(size_); }
    std::vector<T> to_host(std::size_t first) const {
        std::vector<T> values(first);
        checked(cudaMemcpy(values.data(), data_, first * sizeof(T), cudaMemcpyDeviceToHost), "give back data");
        return values;
    }

  private:
    T* data_ = nullptr;
    std::size_t size_ = 0;
};

}  // namespace argosy::device
