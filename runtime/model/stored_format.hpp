// How a checkpoint stores one matrix: as plain elements, or as codes with tensors of scales beside them, recognised by
// names, number formats and shapes alone. Matrices [n, k], `X` the name without its last part:
//
//   format   X.weight        scales                                           written by
//   plain    BF16, F16, F32
//   fp8      F8_E4M3 [n, k]  X.weight_scale_inv F32 or BF16, 128 x 128        DeepSeek, Qwen
//   int8     I8 [n, k]       X.weight_scale F32 or BF16 [n, k / 128]          compressed-tensors
//   mxfp4    U8 [n, k / 2]   X.weight_scale U8 [n, k / 32]                    Quark
//   nvfp4    U8 [n, k / 2]   X.weight_scale F8_E4M3 [n, k / 16],
//                            X.weight_scale_2 F32, one number                 ModelOpt
//
// The matrices of all E experts of a layer as one tensor (gpt-oss):
//
//   mxfp4    X_blocks U8 [E, n, k / 32, 16], X_scales U8 [E, n, k / 32]       OpenAI
//   plain    X [E, k, n], each matrix transposed                              transformers
#pragma once

#include <string_view>
#include <unordered_map>
#include <vector>

#include "runtime/model/checkpoint.hpp"

namespace argosy {

using StoredByName = std::unordered_map<std::string_view, const StoredTensor*>;

// `found` is X.weight of `wanted`. Error(input) where format or shape is none of the above, or scales are missing or
// of another form; the names of the scales that were used are added to `used`.
StoredTensor recognise_weights(const TensorSpec& wanted, const StoredTensor& found, const StoredByName& by_name,
                               const Checkpoint& checkpoint, std::vector<std::string_view>& used);

// Whether the tensor is one expert's part of a tensor that holds all of them; then its name is that tensor's.
bool is_fused(const TensorSpec& wanted);
// The part of such a tensor. Errors as above.
StoredTensor recognise_fused(const TensorSpec& wanted, const StoredByName& by_name, const Checkpoint& checkpoint,
                             std::vector<std::string_view>& used);

[[noreturn]] void fail_missing(const TensorSpec& wanted, const Checkpoint& checkpoint);

// Which tensors may stand in a block format: the matrices of products, but the router's, which decides for all that
// follows, and the vocabulary's.
bool may_stand_in_blocks(TensorRole role);

}  // namespace argosy
