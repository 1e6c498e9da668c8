// The ops a backend offers: one argument struct per op, and struct Ops, the table of functions. A slot is a unit of
// fusion.
//
// All activations are f32, row-major, rows dense. An op neither allocates nor keeps state: scratch space is an
// argument. Results do not depend on stream.threads, on how many rows stand in one call, or on which rows they are
// (numerics.md, R1 to R6). Arguments are trusted: they come from plans that were checked when they were made.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "kernels/base/dtype.hpp"
#include "kernels/base/leaf_tree.hpp"
#include "kernels/base/routing_rule.hpp"
#include "kernels/base/stream.hpp"

namespace argosy {

// ---- weights ----

// A weight matrix as a rank holds it: out[m][n] = sum over k of x[m][k] * w[n][k].
struct MatrixSpec {
    std::int64_t n = 0;        // outputs: rows of the checkpoint's [out, in] matrix
    std::int64_t k = 0;        // inputs: columns of it
    DType dtype = DType::f32;  // how weights are kept: f32, bf16, or for another arithmetic what kept_as says
    LeafCut cut;  // cut.count == 0: one chain over k; else leaves, and the output is the value of their subtree
    bool operator==(const MatrixSpec&) const = default;
};

struct WeightMatrix {
    MatrixSpec spec;
    const void* data = nullptr;  // packed by Ops::pack
};

// `rows` rows of a checkpoint matrix, to be placed as rows [row_begin, row_begin + rows) of the packed matrix.
struct PackArgs {
    MatrixSpec spec;
    std::int64_t row_begin = 0;
    std::int64_t rows = 0;
    const void* source = nullptr;     // [rows] rows of source_dtype, as block_format.hpp describes them
    DType source_dtype = DType::f32;  // f32, bf16, f16 or a block format
    std::int64_t source_stride_bytes = 0;
    void* packed = nullptr;  // packed_bytes(spec) bytes; rows never packed stay as they were, so zero it once
    std::int64_t source_columns =
        0;                          // of a row of a block format, of which columns [source_first, + spec.k) are meant;
    std::int64_t source_first = 0;  // rows of a plain format have spec.k columns
};

// ---- KV blocks ----

inline constexpr int kKvBlockTokens = 16;  // tokens in one KV block

struct KvSpec {
    int kv_heads = 0;  // heads that this rank holds
    int head_dim = 0;
    DType dtype = DType::bf16;  // bf16, f32, or where products are of int8 that: codes with a scale per vector (R13)
    int latent_dim =
        0;  // > 0: a head's token has one vector, of bf16 or f32, whose first so many elements are its value
    bool operator==(const KvSpec&) const = default;
};

// Elements of a value.
inline int kv_value_dim(const KvSpec& spec) { return spec.latent_dim > 0 ? spec.latent_dim : spec.head_dim; }

// Bytes that one token's key or value of one head holds, without what a backend pads.
inline std::int64_t kv_vector_bytes(DType dtype, std::int64_t head_dim) {
    if (dtype == DType::int8) return head_dim + static_cast<std::int64_t>(sizeof(float));
    return head_dim * static_cast<std::int64_t>(size_of(dtype));
}

// Bytes of what one token leaves in a layer's cache.
inline std::int64_t kv_token_bytes(const KvSpec& spec) {
    return (spec.latent_dim > 0 ? 1 : 2) * spec.kv_heads * kv_vector_bytes(spec.dtype, spec.head_dim);
}

// One layer of the pool: block b of this layer begins at base + b * block_stride_bytes. What stands inside is the
// backend's affair.
struct KvLayer {
    KvSpec spec;
    std::byte* base = nullptr;
    std::int64_t block_stride_bytes = 0;
};

// ---- arguments ----

struct EmbedArgs {
    int rows = 0;
    int hidden = 0;
    const std::int32_t* token = nullptr;  // [rows]
    const void* table = nullptr;          // [vocab, hidden] of dtype, row-major as stored
    DType dtype = DType::f32;             // f32, bf16 or f16
    float* out = nullptr;                 // [rows, hidden]
};

// out = x / sqrt(mean(x^2) + eps) * weight, per row (Zhang and Sennrich 2019, "Root Mean Square Layer Normalization").
struct RmsNormArgs {
    int rows = 0;
    int hidden = 0;
    const float* x = nullptr;       // [rows, hidden]
    const float* weight = nullptr;  // [hidden]
    float eps = 0;
    float* out = nullptr;  // [rows, hidden]; may be x
};

// An RMS norm over all heads of q, or of k, of which this rank holds some (OLMoE): what it holds is cut into leaves of
// whole heads (rule R2).
struct WideNorm {
    const float* weight = nullptr;  // [columns of this rank]
    std::int64_t columns = 0;       // of all ranks
    LeafCut cut;                    // this rank's leaves; they begin at column `first` of what it holds
    std::int64_t first = 0;
    std::uint32_t present = 0;  // bit i: leaf i has heads, on whichever rank
};

// q, k, v = x * weight (+ bias), limited to [-clip, clip] where asked; RMS norm of q and k where given, per head or
// wide; rotary embedding; k and v rounded to the KV dtype and stored. A wide norm needs the other ranks' sums of
// squares, so the op runs twice: without `summed` it ends with this rank's leaves of `squares`; when all leaves are
// there, with `summed`, it goes on from `qkv`.
struct QkvArgs {
    int rows = 0;
    int q_heads = 0;   // of this rank
    int kv_heads = 0;  // of this rank
    int head_dim = 0;
    const float* x = nullptr;        // [rows, hidden], normed
    WeightMatrix weight;             // n = (q_heads + 2 * kv_heads) * head_dim: all q rows, then k, then v
    const float* bias = nullptr;     // [n] or null
    float clip = 0;                  // 0: no limit
    const float* q_norm = nullptr;   // [head_dim] or null
    const float* k_norm = nullptr;   // [head_dim] or null
    const WideNorm* wide = nullptr;  // [2], of q and of k, or null
    float* squares = nullptr;  // [rows, 2, kLeafCount] where norms are wide: sums of squares of q's and k's leaves
    bool summed = false;
    float norm_eps = 0;
    int rotary_dim = 0;               // leading dimensions that are rotated, as halves: pair (i, i + rotary_dim / 2)
    const float* rope_cos = nullptr;  // [positions, rotary_dim / 2]
    const float* rope_sin = nullptr;  // [positions, rotary_dim / 2]
    const std::int32_t* position = nullptr;  // [rows]
    const std::int64_t* kv_slot = nullptr;   // [rows]: block * kKvBlockTokens + offset within the block
    KvLayer kv;
    float* qkv = nullptr;          // [rows, n] scratch; with wide norms what the first run leaves for the second
    float* q = nullptr;            // [rows, q_heads * head_dim]
    std::byte* scratch = nullptr;  // product_scratch_bytes(weight.spec, rows, threads)
};

// Latent attention (DeepSeek-AI 2024, "DeepSeek-V2", multi-head latent attention), in its absorbed form: what stands
// between the products that make queries and latents and those that turn queries into the latents' space.
// Of every row: the latent normed, its rotary part turned, both stored as one vector of the KV layer; of every head the
// part of q without position to q_nope, the rotary part turned to the end of q_latent. Pairs (2i, 2i + 1) turn together
// and then stand as halves.
struct LatentArgs {
    int rows = 0;
    int q_heads = 0;  // of this rank
    int nope_dim = 0;
    int rotary_dim = 0;
    int latent_dim = 0;
    const float* q = nullptr;       // [rows, q_heads * (nope_dim + rotary_dim)]
    const float* latent = nullptr;  // [rows, latent_dim + rotary_dim]
    const float* norm = nullptr;    // [latent_dim]
    float norm_eps = 0;
    const float* rope_cos = nullptr;         // [positions, rotary_dim / 2]
    const float* rope_sin = nullptr;         // [positions, rotary_dim / 2]
    const std::int32_t* position = nullptr;  // [rows]
    const std::int64_t* kv_slot = nullptr;   // [rows], as in QkvArgs
    KvLayer kv;                              // of one head, head_dim = latent_dim + rotary_dim
    float* q_nope = nullptr;                 // [q_heads, rows, nope_dim]
    float* q_latent = nullptr;               // [q_heads, rows, latent_dim + rotary_dim], of which the end is written
};

// Adjacent rows of one sequence: row i of the span stands at position p = first_position + i and sees keys 0 .. p, or
// of these the last `window`.
struct AttentionSpan {
    int row_begin = 0;
    int rows = 0;
    int first_position = 0;
    const std::int32_t* blocks = nullptr;  // block ids of the sequence from position 0; of those that no row sees, any
    int shared_blocks = 0;  // leading ones that are the span's before too: a common prefix need be read once only
};

struct AttentionArgs {
    int spans = 0;
    const AttentionSpan* span = nullptr;  // [spans]
    int q_heads = 0;
    int head_dim = 0;
    float scale = 0;              // multiplies q * k
    int window = 0;               // 0: all keys are seen
    const float* sink = nullptr;  // [q_heads] or null: the score of one more key, whose value is zero
    const float* q = nullptr;     // [rows, q_heads * head_dim]
    KvLayer kv;                   // query head h reads kv head h / (q_heads / kv_heads) unless q_to_kv is given
    const std::int32_t* q_to_kv = nullptr;  // [q_heads] local kv head of each local query head
    float* out = nullptr;                   // [rows, q_heads * kv_value_dim(kv.spec)]
    int rows_by_head = 0;                   // > 0: q and out stand head by head, [q_heads, rows_by_head, ...]
};

// Row-parallel products (attention output, dense and expert down projections), by group. Output: this rank's leaves
// joined; with cut.count == 0 the whole product. A bias is where the chains of the first leaf of all that is present
// start; the rank that holds it brings it.
struct LeafProjectionArgs {
    int groups = 0;
    const std::int32_t* group_begin = nullptr;  // [groups + 1]: group g has rows [group_begin[g], group_begin[g+1])
    const WeightMatrix* weight = nullptr;       // [groups], all of one spec; of leaves at least one is present
    const float* x = nullptr;                   // [rows, k]
    float* out = nullptr;                       // [rows, n]
    std::byte* scratch = nullptr;               // product_scratch_bytes(weight->spec, rows, threads)
    const float* const* bias = nullptr;         // [groups] of [n], or null
    std::int64_t out_stride = 0;                // floats from row to row; 0: n
    std::int64_t out_group = 0;                 // from group to group; 0: a group's rows follow those of the one before
};

// out = residual + the tree over the ranks' subtrees ((01)(23))((45)(67)), absent ones passed by. With nothing present
// out = residual.
struct LeafJoinArgs {
    int rows = 0;
    int columns = 0;
    int parts = 0;                          // 1, 2, 4 or 8
    const float* const* partial = nullptr;  // [parts] of [rows, columns]; null: absent
    const float* residual = nullptr;        // [rows, columns] or null: none is added
    float* out = nullptr;                   // [rows, columns]; may be residual
};

// Router logits (+ bias), scores, and the top_k experts of the best scores (+ choice_bias) of the groups kept, by
// falling order of what decided; ties: lowest id, of groups too.
struct RouteArgs {
    int rows = 0;
    int experts = 0;
    int top_k = 0;
    RoutingRule rule;
    const float* x = nullptr;            // [rows, hidden], normed
    WeightMatrix weight;                 // [experts, hidden]
    const float* bias = nullptr;         // [experts] or null: of the logits
    const float* choice_bias = nullptr;  // [experts] or null: counts in the choice, not in the weights
    float* scratch = nullptr;            // [rows, 2 * experts]
    std::int32_t* ids = nullptr;         // [rows, top_k]
    float* weights = nullptr;            // [rows, top_k]
};

// h = silu(x * gate) * (x * up), by group; row r of the output takes row row_index[r] of x (null: row r). A bias is
// where chains start. With swiglu_limit > 0 gpt-oss's activation (openai/gpt-oss, swiglu): g = min(x * gate, limit), u
// = x * up within [-limit, limit], h = g * sigmoid(1.702 g) * (u + 1).
struct GateUpArgs {
    int groups = 0;
    const std::int32_t* group_begin = nullptr;  // [groups + 1]
    const std::int32_t* row_index = nullptr;    // [rows] or null
    const WeightMatrix* gate = nullptr;         // [groups], all of one spec, cut.count == 0
    const WeightMatrix* up = nullptr;           // [groups], the same spec
    const float* x = nullptr;                   // [x_rows, k]
    float* h = nullptr;                         // [rows, n]
    int x_rows = 0;                             // rows of x; matters where the op has scratch
    std::byte* scratch = nullptr;               // product_scratch_bytes(gate->spec, x_rows, threads)
    const float* const* gate_bias = nullptr;    // [groups] of [n], or null
    const float* const* up_bias = nullptr;      // with gate_bias
    float swiglu_limit = 0;
};

// The expert tree of rule R4, as postfix: for output row r, for every leaf l in [leaf_begin[r], leaf_begin[r+1]) push
// leaf_weight[l] * source[leaf_source[l]] (without weights: source itself), then join the two topmost values
// leaf_merges[l] times (lower + upper). One value remains; out = residual + it. Example: experts {0, 1, 2} give merges
// {0, 1, 1}: (w0 y0 + w1 y1) + w2 y2.
struct CombineArgs {
    int rows = 0;
    int columns = 0;
    const std::int32_t* leaf_begin = nullptr;   // [rows + 1]
    const std::int32_t* leaf_source = nullptr;  // [leaves] row of source
    const float* leaf_weight = nullptr;         // [leaves] or null
    const std::uint8_t* leaf_merges = nullptr;  // [leaves]
    const float* source = nullptr;              // [*, columns]
    const float* residual = nullptr;            // [rows, columns] or null
    float* out = nullptr;                       // [rows, columns]; may be residual
    // Where ranks hold the leaves of a source row apart (parts > 0), it is the tree over their subtrees that leaf_join
    // makes, and part p's row s stands at partial[p] + partial_row[p][s] * columns (no list: s itself).
    int parts = 0;                                     // 1, 2, 4 or 8
    const float* const* partial = nullptr;             // [parts]; null: absent, not all of them
    const std::int32_t* const* partial_row = nullptr;  // [parts]
};
inline constexpr int kCombineDepthMax = 32;  // values a row's stack may hold: one per bit of an expert id

struct LogitsArgs {
    int rows = 0;
    const float* x = nullptr;      // [rows, hidden], after the final norm
    WeightMatrix weight;           // [vocabulary rows of this rank, hidden]
    float* out = nullptr;          // row r begins at out + r * out_stride
    std::int64_t out_stride = 0;   // floats
    std::byte* scratch = nullptr;  // product_scratch_bytes(weight.spec, rows, threads)
};

// A token whose logit is changed before a row's token is chosen.
struct AdjustedToken {
    std::int32_t id = 0;
    std::int32_t generated = 0;  // how often the sample has generated it so far
    bool in_prompt = false;
    float bias = 0;
    bool operator==(const AdjustedToken&) const = default;
};

// How one row's token is chosen. Order: penalties, bias, temperature, min_p, top_k, top_p. Log probabilities are of the
// raw distribution, before all of these.
struct SampleRow {
    float temperature = 0;   // 0: greedy, the lowest id among the largest logits
    float min_p = 0;         // drop tokens below min_p * the largest probability; 0: off
    int top_k = 0;           // 0: off
    float top_p = 1;         // 1: off
    std::uint64_t seed = 0;  // rule R7: the random number is Philox of (seed, request, sample, position), nothing else
    std::uint64_t request = 0;       // identity of the request
    std::uint32_t sample = 0;        // which of the request's n samples
    std::uint32_t position = 0;      // position of the token that is chosen
    std::int32_t forced_token = -1;  // >= 0: choose nothing, report this token's log probability (scoring a prompt)
    int top_logprobs = -1;  // -1: no log probability; 0: of the chosen token; n: also the n most probable tokens

    // Tokens that penalties or a bias may concern, each once; all others keep their logit. Without any, the row costs
    // what it costs without these members.
    const AdjustedToken* adjusted = nullptr;  // [adjusted_count]
    int adjusted_count = 0;
    float repetition_penalty = 1;  // of tokens in the prompt or generated; 1: off
    float frequency_penalty = 0;   // per time that a token was generated
    float presence_penalty = 0;    // once for a token that was generated
};
inline constexpr int kTopLogprobsMax = 20;

struct SampleResult {
    std::int32_t token = -1;
    float logprob = 0;  // natural logarithm; 0 where not asked for
    float top_gap = 0;  // largest logit minus the second largest
    int top_count = 0;
    std::int32_t top_token[kTopLogprobsMax] = {};  // by falling log probability, ties by id
    float top_logprob[kTopLogprobsMax] = {};
};

struct SampleArgs {
    int rows = 0;
    int vocab = 0;
    const float* logits = nullptr;   // [rows, vocab]
    const SampleRow* row = nullptr;  // [rows]
    std::byte* scratch = nullptr;    // sample_scratch_bytes(vocab, stream.threads)
    SampleResult* result = nullptr;  // [rows]
};

// ---- the table ----

// What qkv, leaf projection, gate-up and logits multiply: f32 with weights as stored, or both sides as codes of int8
// (rule R9) or as bf16, in pairs of columns (rule R11) or in the order of AMX's tiles (rule R12).
enum class Products : std::uint8_t { f32, bf16, bf16_tiles, int8 };

struct Ops {
    std::string_view name;         // backend and instruction set: "reference", "cpu-avx512"
    std::string_view numerics_id;  // changes whenever any result's bits change: "cpu-exact-1"
    Products products = Products::f32;

    std::size_t (*packed_bytes)(const MatrixSpec&);
    void (*pack)(const PackArgs&);
    // What a product of that many rows of x wants as scratch: its quantised rows where activations are integers, and
    // for each thread a few panels where weights are decoded before they are multiplied; else 0.
    std::size_t (*product_scratch_bytes)(const MatrixSpec&, std::int64_t rows, int threads);
    std::size_t (*kv_block_bytes)(const KvSpec&);  // of one block of one layer
    std::size_t (*sample_scratch_bytes)(int vocab, int threads);

    void (*embed)(const EmbedArgs&, const Stream&);
    void (*rms_norm)(const RmsNormArgs&, const Stream&);
    void (*qkv)(const QkvArgs&, const Stream&);
    void (*latent)(const LatentArgs&, const Stream&);
    void (*attention)(const AttentionArgs&, const Stream&);
    void (*leaf_projection)(const LeafProjectionArgs&, const Stream&);
    void (*leaf_join)(const LeafJoinArgs&, const Stream&);
    void (*route)(const RouteArgs&, const Stream&);
    void (*gate_up)(const GateUpArgs&, const Stream&);
    void (*combine)(const CombineArgs&, const Stream&);
    void (*logits)(const LogitsArgs&, const Stream&);
    void (*sample)(const SampleArgs&, const Stream&);
};

// How such a product's weights are kept, by how they would be for f32.
inline DType kept_as(const Ops& ops, DType exact) {
    switch (ops.products) {
        case Products::int8:
            return DType::int8;
        case Products::bf16:
            return DType::bf16_pairs;
        case Products::bf16_tiles:
            return DType::bf16_tiles;
        case Products::f32:
            return exact;
    }
    return exact;
}

}  // namespace argosy
