// The memory behind the KV pool: blocks of kKvBlockTokens tokens, each with the layers of one group and of the rank's
// heads side by side.
#pragma once

#include <cstdint>

#include "kernels/base/buffer.hpp"
#include "kernels/ops.hpp"
#include "runtime/model/kv_groups.hpp"
#include "runtime/model/model_plan.hpp"

namespace argosy {

// What a rank with so many kv heads keeps of a token.
KvSpec kv_spec(const ModelPlan& plan, int kv_heads, DType dtype);

// Bytes of one block, all layers of a group, of a rank's kv heads.
std::int64_t kv_block_bytes(const KvGroups& groups, const KvSpec& spec, const Ops& ops);

class KvCache {
  public:
    KvCache(KvGroups groups, const KvSpec& spec, const Ops& ops, int blocks);
    // The view of one layer that ops take: all blocks of the pool, of which those of the layer's group are its own.
    KvLayer layer(int layer);
    int group_of(int layer) const { return groups_.places[static_cast<std::size_t>(layer)].group; }
    std::int64_t bytes() const { return static_cast<std::int64_t>(memory_.bytes()); }

  private:
    KvGroups groups_;
    KvSpec spec_;
    std::int64_t layer_bytes_;
    std::int64_t block_bytes_;
    Buffer memory_;
};

}  // namespace argosy
