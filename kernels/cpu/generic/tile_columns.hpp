// The order in which AMX's tdpbf16ps sums (rule R12), from FMAs of lanes: of every 32 columns one chain over the even
// ones and one over the odd ones; their sum joins the chain of the 32 before.
//
// The instruction's documentation leaves the order open between two readings; this is the one that a Xeon (Emerald
// Rapids) agreed with on random tiles, denormals and sums near the smallest normal f32 among them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/quant/bf16.hpp"

namespace argosy {

// chain_columns in that order. Rows of x stand in blocks of 16 columns, [kRows][Weights::kBlockFloats], a float being a
// pair; columns is a multiple of 32 except where a leaf ends, and an odd last one stands beside zeros.
template <class V, class Weights, int kRows, int kPanels>
[[gnu::always_inline]] static inline void tile_columns(V (&acc)[kRows][kPanels], const float*& x,
                                                       const std::byte* (&pair)[kPanels], std::int64_t columns) {
    constexpr int kBlockPairs = Weights::kBlockFloats;
    for (std::int64_t left = (columns + 1) / 2; left > 0; left -= kTileColumns / 2) {
        const int pairs = left < kTileColumns / 2 ? static_cast<int>(left) : kTileColumns / 2;
        for (int r = 0; r < kRows; ++r) {
            V even[kPanels], odd[kPanels];
            for (int p = 0; p < kPanels; ++p) even[p] = odd[p] = V::zero();
            for (int i = 0; i < pairs; ++i) {
                const auto value =
                    Weights::broadcast(x + (i / kBlockPairs * kRows + r) * kBlockPairs + i % kBlockPairs);
                for (int p = 0; p < kPanels; ++p) {
                    const auto w = Weights::load(pair[p] + i * Weights::kPairBytes);
                    even[p] = Weights::flushed_fma(value.low, w.low, even[p]);
                    odd[p] = Weights::flushed_fma(value.high, w.high, odd[p]);
                }
            }
            for (int p = 0; p < kPanels; ++p)
                acc[r][p] = Weights::flushed_add(acc[r][p], Weights::flushed_add(even[p], odd[p]));
        }
        x += (pairs + kBlockPairs - 1) / kBlockPairs * kRows * kBlockPairs;
        for (int p = 0; p < kPanels; ++p) pair[p] += pairs * Weights::kPairBytes;
    }
}

}  // namespace argosy
