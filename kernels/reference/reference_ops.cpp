// The table of the reference backend's ops.
#include "kernels/reference/reference_ops.hpp"

#include "kernels/base/numerics_id.hpp"

namespace argosy {

const Ops& reference_ops() {
    static constexpr Ops kOps{
        .name = "reference",
        .numerics_id = kNumericsId,
        .packed_bytes = reference::packed_bytes,
        .pack = reference::pack,
        .product_scratch_bytes = reference::product_scratch_bytes,
        .kv_block_bytes = reference::kv_block_bytes,
        .sample_scratch_bytes = reference::sample_scratch_bytes,
        .embed = reference::embed,
        .rms_norm = reference::rms_norm,
        .qkv = reference::qkv,
        .latent = reference::latent,
        .attention = reference::attention,
        .leaf_projection = reference::leaf_projection,
        .leaf_join = reference::leaf_join,
        .route = reference::route,
        .gate_up = reference::gate_up,
        .combine = reference::combine,
        .logits = reference::logits,
        .sample = reference::sample,
    };
    return kOps;
}

// The same functions: a chain over weights of dtype bf16_pairs rounds its part of x.
const Ops& reference_bf16_ops() {
    static const Ops kOps = [] {
        Ops ops = reference_ops();
        ops.numerics_id = kBf16NumericsId;
        ops.products = Products::bf16;
        return ops;
    }();
    return kOps;
}

// One over bf16_tiles too, in another order.
const Ops& reference_bf16_amx_ops() {
    static const Ops kOps = [] {
        Ops ops = reference_ops();
        ops.numerics_id = kBf16AmxNumericsId;
        ops.products = Products::bf16_tiles;
        return ops;
    }();
    return kOps;
}

// And one over weights of dtype int8 quantises it.
const Ops& reference_int8_ops() {
    static const Ops kOps = [] {
        Ops ops = reference_ops();
        ops.numerics_id = kInt8NumericsId;
        ops.products = Products::int8;
        return ops;
    }();
    return kOps;
}

}  // namespace argosy
