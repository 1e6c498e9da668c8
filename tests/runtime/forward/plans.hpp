// Small models for tests of the forward pass's plans.
#pragma once

#include "runtime/model/model_plan.hpp"

namespace argosy::test {

// A Qwen3-MoE of odd sizes; tied or not.
inline ModelPlan small_moe(bool tied) {
    ModelPlan plan;
    plan.family = "qwen3_moe";
    plan.hidden = 40;
    plan.layer_count = 2;
    plan.vocab_size = 100;
    plan.max_positions = 128;
    plan.rms_eps = 1e-6F;
    plan.tie_embeddings = tied;
    plan.attention = {.q_heads = 6,
                      .kv_heads = 2,
                      .head_dim = 8,
                      .qk_norm = QkNorm::per_head,
                      .qkv_bias = false,
                      .softmax_scale = 0.35F,
                      .rope = {}};
    plan.attention.rope.rotary_dim = 8;
    plan.moe = {.experts = 5, .top_k = 2, .intermediate = 11, .routing = {.renormalise = true}};
    plan.layers = {{LayerKind::moe, 11}, {LayerKind::dense, 21}};
    return plan;
}

}  // namespace argosy::test
