// Which part of every weight a rank holds, and how many bytes, parameters and KV bytes that makes. All pure.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "kernels/base/dtype.hpp"
#include "kernels/base/leaf_tree.hpp"
#include "runtime/model/checkpoint.hpp"
#include "runtime/model/model_plan.hpp"
#include "runtime/model/tensors.hpp"

namespace argosy {

// A rank's place in the layout as far as weights go. Attention, dense layers and the vocabulary projection are split
// over tp; experts over ep (whole experts) times etp (columns of each). tp and etp are 1, 2, 4 or 8.
struct LayoutShare {
    int tp_rank = 0;
    int tp = 1;
    int ep_rank = 0;
    int ep = 1;
    int etp_rank = 0;
    int etp = 1;
    bool operator==(const LayoutShare&) const = default;
};

// [begin, end) of heads, experts or vocabulary rows; may be empty.
struct IndexRange {
    int begin = 0;
    int end = 0;
    int count() const { return end - begin; }
    bool empty() const { return end <= begin; }
    bool operator==(const IndexRange&) const = default;
};
using HeadRange = IndexRange;
using ExpertRange = IndexRange;
using VocabRange = IndexRange;

// Rule R2 over q heads: rank t owns leaves [8t/tp, 8(t+1)/tp) of the output projection's columns, and so these q heads.
HeadRange q_heads_of(const ModelPlan& plan, int tp_rank, int tp);
// The kv heads that those q heads read. Neighbouring ranks may both hold one (8 q heads, 2 kv heads, tp = 4: ranks 0
// and 1 hold kv head 0).
HeadRange kv_heads_of(const ModelPlan& plan, int tp_rank, int tp);
// Whole experts: [experts * g / ep, experts * (g + 1) / ep).
ExpertRange experts_of(const ModelPlan& plan, int ep_rank, int ep);
// The ep rank that owns an expert.
int owner_of_expert(const ModelPlan& plan, int expert, int ep);
// Vocabulary rows, in units of 16 rows so that panels stay whole, as evenly as possible; the last range may be shorter
// or empty.
inline constexpr int kVocabUnitRows = 16;
VocabRange vocab_of(const ModelPlan& plan, int tp_rank, int tp);

// The leaves of a row-parallel product that a rank owns. Columns count from k_begin.
LeafShare attention_leaves(const ModelPlan& plan, int tp_rank, int tp);  // of q_heads * output_dim(); unit: a head
LeafShare dense_leaves(const ModelPlan& plan, int layer, int tp_rank,
                       int tp);  // of the dense layer's intermediate; unit: a column
LeafShare shared_leaves(const ModelPlan& plan, int tp_rank, int tp);    // of moe.shared_intermediate; unit: a column
LeafShare expert_leaves(const ModelPlan& plan, int etp_rank, int etp);  // of moe.intermediate; unit: moe.leaf_unit
int expert_leaf_units(const ModelPlan& plan);                           // of an expert's columns

// The part of one tensor that a rank holds: rows [row_begin, row_end) and columns [column_begin, column_end) of the
// row-major matrix; with a row_step those row_begin, row_begin + row_step, ... of them. A vector counts as one column:
// its elements are rows.
struct TensorSlice {
    std::int64_t row_begin = 0;
    std::int64_t row_end = 0;
    std::int64_t column_begin = 0;
    std::int64_t column_end = 0;
    int row_step = 1;
    bool empty() const { return row_begin >= row_end || column_begin >= column_end; }
    std::int64_t rows() const { return row_begin >= row_end ? 0 : (row_end - row_begin + row_step - 1) / row_step; }
    std::int64_t elements() const { return empty() ? 0 : rows() * (column_end - column_begin); }
    bool operator==(const TensorSlice&) const = default;
};

// What a rank holds of a tensor, nothing being {0, 0, 0, 0}. Norms, router and embedding are whole on every rank. A
// rank without q heads (or columns) of a product holds nothing of its matrices. Biases are whole but for those that are
// added to a rank's own outputs. Packed together, q rows come first, then k, then v. Throws Error(usage) for a share
// that cannot be.
TensorSlice slice_of(const ModelPlan& plan, const TensorSpec& tensor, const LayoutShare& share);

// Where parameters and bytes go; one row of `argosy inspect` each.
enum class WeightClass : std::uint8_t { attention, experts, dense, embedding, head, norms, router };
inline constexpr int kWeightClassCount = static_cast<int>(WeightClass::router) + 1;
std::string_view name_of(WeightClass weight_class);
WeightClass class_of(const TensorSpec& tensor);

struct WeightBytes {
    std::array<std::int64_t, kWeightClassCount> of_class{};
    std::int64_t total() const;
    std::int64_t& operator[](WeightClass weight_class) { return of_class[static_cast<std::size_t>(weight_class)]; }
    std::int64_t operator[](WeightClass weight_class) const { return of_class[static_cast<std::size_t>(weight_class)]; }
    bool operator==(const WeightBytes&) const = default;
};

// Bytes that a rank holds. With tied embeddings the rank's rows of the vocabulary projection count again under head:
// they are packed for the product, apart from the embedding's rows.
WeightBytes weight_bytes(const ModelPlan& plan, std::int64_t bytes_per_element, const LayoutShare& share);
// The same with every tensor in the format in which it is stored; stored[i] belongs to tensor_list(plan)[i]
// (match_tensors).
WeightBytes weight_bytes(const ModelPlan& plan, std::span<const StoredTensor> stored, const LayoutShare& share);
// For those who ask of many shares: with the list, which takes milliseconds to write down.
WeightBytes weight_bytes(const ModelPlan& plan, std::span<const TensorSpec> tensors,
                         std::span<const StoredTensor> stored, const LayoutShare& share);

// Parameters: every element of every tensor of the list, so a tied embedding counts once. Active: what one token
// touches, by the convention of the model cards: all parameters except the routed experts that were not chosen; head
// and, but for families whose authors leave it out (Family::embedding_active), embedding count in full.
struct ParameterCount {
    std::int64_t total = 0;
    std::int64_t active = 0;
    bool operator==(const ParameterCount&) const = default;
};
ParameterCount count_parameters(const ModelPlan& plan);

// Bytes of K and V that one token leaves in the cache, over all layers: of the whole model, or of one tensor-parallel
// rank.
std::int64_t kv_bytes_per_token(const ModelPlan& plan, DType kv_dtype);
std::int64_t kv_bytes_per_token(const ModelPlan& plan, DType kv_dtype, int tp_rank, int tp);

}  // namespace argosy
