// The KV pool's memory.
#include "runtime/forward/kv_cache.hpp"

namespace argosy {

KvSpec kv_spec(const ModelPlan& plan, int kv_heads, DType dtype) {
    return {.kv_heads = kv_heads,
            .head_dim = plan.attention.cached_dim(),
            .dtype = dtype,
            .latent_dim = plan.attention.latent.kv_rank};
}

std::int64_t kv_block_bytes(const ModelPlan& plan, const KvSpec& spec, const Ops& ops) {
    return static_cast<std::int64_t>(ops.kv_block_bytes(spec)) * plan.layer_count;
}

KvCache::KvCache(const ModelPlan& plan, const KvSpec& spec, const Ops& ops, int blocks)
    : spec_(spec),
      layer_bytes_(static_cast<std::int64_t>(ops.kv_block_bytes(spec))),
      block_bytes_(kv_block_bytes(plan, spec, ops)),
      memory_(static_cast<std::size_t>(block_bytes_) * static_cast<std::size_t>(blocks)) {}

KvLayer KvCache::layer(int layer) {
    return {.spec = spec_, .base = memory_.as<std::byte>() + layer * layer_bytes_, .block_stride_bytes = block_bytes_};
}

}  // namespace argosy
