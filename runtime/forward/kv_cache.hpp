// The memory behind the KV pool: blocks of kKvBlockTokens tokens, each with all layers of the rank's heads side by
// side.
#pragma once

#include <cstdint>

#include "kernels/base/buffer.hpp"
#include "kernels/ops.hpp"
#include "runtime/model/model_plan.hpp"

namespace argosy {

// What a rank with so many kv heads keeps of a token.
KvSpec kv_spec(const ModelPlan& plan, int kv_heads, DType dtype);

// Bytes of one block, all layers, of a rank's kv heads.
std::int64_t kv_block_bytes(const ModelPlan& plan, const KvSpec& spec, const Ops& ops);

class KvCache {
  public:
    KvCache(const ModelPlan& plan, const KvSpec& spec, const Ops& ops, int blocks);
    // The view of one layer that ops take.
    KvLayer layer(int layer);
    std::int64_t bytes() const { return static_cast<std::int64_t>(memory_.bytes()); }

  private:
    KvSpec spec_;
    std::int64_t layer_bytes_;
    std::int64_t block_bytes_;
    Buffer memory_;
};

}  // namespace argosy
