// Arithmetic and least bytes of one call of an op, from its arguments: what a kernel's rate is measured by.
//
// A multiplication with its addition is 2 operations. Bytes are those of weights, once for each matrix that has rows,
// and of KV; activations of a step stay in caches between two ops and are left out, as in step_cost.hpp.
#pragma once

#include <cstdint>
#include <string_view>

#include "kernels/ops.hpp"

namespace argosy {

// One per slot of struct Ops that works on rows.
enum class Kernel : std::uint8_t {
    embed,
    rms_norm,
    qkv,
    latent,
    attention,
    leaf_projection,
    leaf_join,
    route,
    gate_up,
    combine,
    logits,
    sample,
};
inline constexpr int kKernelCount = static_cast<int>(Kernel::sample) + 1;
std::string_view name_of(Kernel kernel);  // "leaf projection"

struct OpWork {
    Kernel kernel = Kernel::embed;
    std::int64_t rows = 0;
    std::int64_t operations = 0;  // of products and scores; 0 where an op only passes over its rows
    std::int64_t bytes = 0;
    bool f32 = true;  // false: a product that the mode of numerics decides about (ops.hpp)
    bool operator==(const OpWork&) const = default;
};

OpWork work_of(const EmbedArgs& args);
OpWork work_of(const RmsNormArgs& args);
// Example: 3 rows, hidden 64, 4 + 2 * 2 heads of 16: 2 * 3 * 64 * 128 operations; in bf16 2 * 64 * 128 bytes of weights
// and 3 * 2 * 2 * 16 * 2 bytes of K and V.
OpWork work_of(const QkvArgs& args);
OpWork work_of(const LatentArgs& args);
// A row at position p has p + 1 scores; K and V of a span are read once.
OpWork work_of(const AttentionArgs& args);
OpWork work_of(const LeafProjectionArgs& args);
OpWork work_of(const LeafJoinArgs& args);
OpWork work_of(const RouteArgs& args);
OpWork work_of(const GateUpArgs& args);
OpWork work_of(const CombineArgs& args);
OpWork work_of(const LogitsArgs& args);
OpWork work_of(const SampleArgs& args);

}  // namespace argosy
