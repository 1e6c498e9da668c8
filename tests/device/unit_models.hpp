// Which model is meant to say what each unit computes.
#pragma once

#include "kernels/cuda/mma_model.hpp"
#include "tests/device/products.hpp"

namespace argosy::device {

inline MmaModel unit_model(int code_bytes, Unit unit) {
    if (code_bytes == 1) return kHopperE4m3;
    MmaModel model = kHopperBf16;
    if (unit == Unit::mma_half_k) model.products = 8;
    return model;
}

}  // namespace argosy::device
