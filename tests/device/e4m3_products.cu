// Products of fp8 E4M3 in every way that is built.
#include "tests/device/mma_products.cuh"
#include "tests/device/wgmma_products.cuh"

namespace argosy::device {

void multiply(const Problems<std::uint8_t>& problems, const Way& way) {
    if (way.unit == Unit::mma) return multiply_mma<std::uint8_t, 2>(problems);
    if (way.unit == Unit::mma_half_k)
        throw std::runtime_error("A product was asked for in a way that is not built: see products.hpp.");
    multiply_wgmma(problems, way);
}

}  // namespace argosy::device
