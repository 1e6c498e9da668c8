// The arrays of a batch of problems.
#pragma once

#include "tests/device/device_array.cuh"
#include "tests/device/products.hpp"

namespace argosy::device {

template <class Code>
struct Batch {
    int problems, columns, k;
    DeviceArray<Code> a, b;
    DeviceArray<float> c, d;

    Batch(int problems_, int columns_, int k_)
        : problems(problems_),
          columns(columns_),
          k(k_),
          a(static_cast<std::size_t>(problems_) * kRows * k_),
          b(static_cast<std::size_t>(problems_) * columns_ * k_),
          c(outputs()),
          d(outputs()) {}

    std::size_t outputs() const { return static_cast<std::size_t>(problems) * kRows * columns; }
    Problems<Code> view() const { return {a.data(), b.data(), c.data(), d.data(), problems, columns, k, k}; }
};

}  // namespace argosy::device
