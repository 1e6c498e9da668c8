// Rule R7: random numbers as a function of (seed, request, sample, position). Philox4x32-10, from Salmon, Moraes, Dror
// and Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3".
#pragma once

#include <cstdint>

#include "kernels/base/inline.hpp"

namespace argosy {

struct PhiloxWords {
    std::uint32_t word[4];
};

ARGOSY_INLINE PhiloxWords philox4x32_10(PhiloxWords counter, std::uint32_t key0, std::uint32_t key1) {
    for (int round = 0; round < 10; ++round) {
        const std::uint64_t product0 = static_cast<std::uint64_t>(0xD2511F53U) * counter.word[0];
        const std::uint64_t product1 = static_cast<std::uint64_t>(0xCD9E8D57U) * counter.word[2];
        counter = {{static_cast<std::uint32_t>(product1 >> 32) ^ counter.word[1] ^ key0,
                    static_cast<std::uint32_t>(product1),
                    static_cast<std::uint32_t>(product0 >> 32) ^ counter.word[3] ^ key1,
                    static_cast<std::uint32_t>(product0)}};
        key0 += 0x9E3779B9U;
        key1 += 0xBB67AE85U;
    }
    return counter;
}

// A number in [0, 1), a multiple of 2^-53. Key: the seed; counter: request, sample, position, low words first.
ARGOSY_INLINE double uniform_f64(std::uint64_t seed, std::uint64_t request, std::uint32_t sample,
                                 std::uint32_t position) {
    const PhiloxWords counter{
        {static_cast<std::uint32_t>(request), static_cast<std::uint32_t>(request >> 32), sample, position}};
    const PhiloxWords random =
        philox4x32_10(counter, static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32));
    const std::uint64_t bits = static_cast<std::uint64_t>(random.word[0]) << 32 | random.word[1];
    return static_cast<double>(bits >> 11) * 0x1p-53;
}

}  // namespace argosy
