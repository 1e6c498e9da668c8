// The reference backend: the bits that kernels/numerics.md defines, in plain loops on one thread. It is the judge of
// the fast backends.
#pragma once

#include "kernels/ops.hpp"

namespace argosy {

const Ops& reference_ops();
const Ops& reference_bf16_ops();      // rule R11
const Ops& reference_bf16_amx_ops();  // rule R12
const Ops& reference_int8_ops();      // rule R9

namespace reference {

// One function per op, each in the file of its name; see kernels/ops.hpp for what they do.
std::size_t packed_bytes(const MatrixSpec& spec);
void pack(const PackArgs& args);
std::size_t product_scratch_bytes(const MatrixSpec& spec, std::int64_t rows, int threads);
std::size_t kv_block_bytes(const KvSpec& spec);
std::size_t sample_scratch_bytes(int vocab, int threads);
void embed(const EmbedArgs& args, const Stream& stream);
void rms_norm(const RmsNormArgs& args, const Stream& stream);
void qkv(const QkvArgs& args, const Stream& stream);
void latent(const LatentArgs& args, const Stream& stream);
void attention(const AttentionArgs& args, const Stream& stream);
void leaf_projection(const LeafProjectionArgs& args, const Stream& stream);
void leaf_join(const LeafJoinArgs& args, const Stream& stream);
void route(const RouteArgs& args, const Stream& stream);
void gate_up(const GateUpArgs& args, const Stream& stream);
void combine(const CombineArgs& args, const Stream& stream);
void logits(const LogitsArgs& args, const Stream& stream);
void sample(const SampleArgs& args, const Stream& stream);

}  // namespace reference
}  // namespace argosy
