// What tests under mpirun share: the layouts of the ranks at hand, and comparing floats by bits.
#pragma once

#include <bit>
#include <cstdint>
#include <span>
#include <vector>

#include "parallel/rank_layout.hpp"

namespace argosy::test {

// Layouts of a model whose experts and heads can be cut anyhow, on `world` ranks.
inline std::vector<RankLayout> moe_layouts(int world) {
    ModelShape shape;
    shape.q_heads = 8;
    shape.kv_heads = 8;
    shape.experts = 16;
    shape.expert_intermediate = 64;
    shape.vocab = 1024;
    return list_layouts(world, shape);
}

inline bool same_bits(std::span<const float> a, std::span<const float> b) {
    if (a.size() != b.size()) return false;
    for (std::size_t i = 0; i < a.size(); ++i) {
        if (std::bit_cast<std::uint32_t>(a[i]) != std::bit_cast<std::uint32_t>(b[i])) return false;
    }
    return true;
}

}  // namespace argosy::test
