// The KV pool's memory.
#include "runtime/forward/kv_cache.hpp"

#include <utility>

namespace argosy {

KvSpec kv_spec(const ModelPlan& plan, int kv_heads, DType dtype) {
    return {.kv_heads = kv_heads,
            .head_dim = plan.attention.cached_dim(),
            .dtype = dtype,
            .latent_dim = plan.attention.latent.kv_rank};
}

std::int64_t kv_block_bytes(const KvGroups& groups, const KvSpec& spec, const Ops& ops) {
    return static_cast<std::int64_t>(ops.kv_block_bytes(spec)) * groups.layers_per_block;
}

KvCache::KvCache(KvGroups groups, const KvSpec& spec, const Ops& ops, int blocks)
    : groups_(std::move(groups)),
      spec_(spec),
      layer_bytes_(static_cast<std::int64_t>(ops.kv_block_bytes(spec))),
      block_bytes_(kv_block_bytes(groups_, spec, ops)),
      memory_(static_cast<std::size_t>(block_bytes_) * static_cast<std::size_t>(blocks)) {}

KvLayer KvCache::layer(int layer) {
    const int index = groups_.places[static_cast<std::size_t>(layer)].index;
    return {.spec = spec_, .base = memory_.as<std::byte>() + index * layer_bytes_, .block_stride_bytes = block_bytes_};
}

}  // namespace argosy
