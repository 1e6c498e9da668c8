// Products of bf16 in every way that is built.
#include "tests/device/mma_products.cuh"
#include "tests/device/wgmma_products.cuh"

namespace argosy::device {

void multiply(const Problems<std::uint16_t>& problems, const Way& way) {
    if (way.unit == Unit::mma) return multiply_mma<std::uint16_t, 2>(problems);
    if (way.unit == Unit::mma_half_k) return multiply_mma<std::uint16_t, 1>(problems);
    multiply_wgmma(problems, way);
}

}  // namespace argosy::device
