// Sequences whose keys and values stand in a backend's KV blocks, for the tests of qkv and attention.
#pragma once

#include <algorithm>
#include <cmath>

#include "kernels/base/rope_table.hpp"
#include "tests/kernels/op_cases.hpp"

namespace argosy::test {

// A layer's shape and the inputs of its qkv op for `tokens` tokens of some sequences that stand one after the other.
struct KvCase {
    int q_heads, kv_heads, head_dim, rotary_dim;
    DType kv_dtype;
    std::vector<int> lengths;  // of the sequences
    DType weight_dtype = DType::f32;
    bool norms = false;
    bool bias = false;
    bool wide = false;  // norms over all heads, and limited values
    int hidden = 19;
    std::uint64_t seed = 1;
    int window = 0;
    bool sinks = false;

    std::string_view numerics() const { return kv_dtype == DType::int8 ? "int8" : "exact"; }
    const Ops& judge() const { return select_backend("reference", "auto", numerics()); }
    int tokens() const { return std::accumulate(lengths.begin(), lengths.end(), 0); }
    int columns() const { return (q_heads + 2 * kv_heads) * head_dim; }
    int q_columns() const { return q_heads * head_dim; }
    int longest() const { return *std::max_element(lengths.begin(), lengths.end()); }
    int begin(int sequence) const { return std::accumulate(lengths.begin(), lengths.begin() + sequence, 0); }
    int sequence_of(int token) const {
        int sequence = 0;
        while (token >= begin(sequence) + lengths[sequence]) ++sequence;
        return sequence;
    }
    std::string name() const {
        return "heads " + std::to_string(q_heads) + "/" + std::to_string(kv_heads) + " x " + std::to_string(head_dim) +
               " rotary " + std::to_string(rotary_dim) + " kv " + std::string(name_of(kv_dtype)) + " weights " +
               std::string(name_of(weight_dtype)) + (wide ? " norms over all heads" : "") +
               (window > 0 ? " window " + std::to_string(window) : "") + (sinks ? " sinks" : "");
    }
};

// The random inputs of a case; the same for every backend.
struct KvInputs {
    Floats x, bias, q_norm, k_norm, cos, sin, sink;
    Stored weights;
};
inline KvInputs kv_inputs(const KvCase& shape) {
    Random random(shape.seed);
    KvInputs in;
    in.x = random.reals(static_cast<std::size_t>(shape.tokens()) * shape.hidden, -2, 2);
    in.bias = random.reals(static_cast<std::size_t>(shape.columns()));
    in.q_norm = random.reals(static_cast<std::size_t>(shape.wide ? shape.q_columns() : shape.head_dim), 0.5F, 2);
    in.k_norm = random.reals(static_cast<std::size_t>(shape.wide ? shape.columns() : shape.head_dim), 0.5F, 2);
    in.sink = Random(shape.seed + 2).reals(static_cast<std::size_t>(shape.q_heads), -2, 4);
    in.weights = random_weights(shape.seed + 1, shape.columns(), shape.hidden, shape.weight_dtype);
    const int half = shape.rotary_dim / 2;
    Floats inverse;
    for (int i = 0; i < half; ++i) inverse.push_back(1.0F / static_cast<float>(1 + 3 * i));
    in.cos.resize(static_cast<std::size_t>(shape.longest() * half + 1));
    in.sin.resize(in.cos.size());
    rope_table(inverse, shape.longest(), in.cos.data(), in.sin.data());
    return in;
}

// One backend's KV pool for a case. Which block a sequence's tokens stand in is drawn from block_seed.
struct KvPool {
    const Ops& ops;
    const KvCase& shape;
    const KvInputs& in;
    Packed weight;
    Buffer memory;
    KvLayer layer;
    std::vector<std::vector<std::int32_t>> blocks;  // by sequence
    std::int32_t nobodys = 0;                       // a block that belongs to no sequence

    KvPool(const Ops& use, const KvCase& of, const KvInputs& inputs, std::uint64_t block_seed)
        : ops(use),
          shape(of),
          in(inputs),
          weight(pack(use, {of.columns(), of.hidden, kept_as(use, of.weight_dtype), {}}, inputs.weights, of.hidden)) {
        const KvSpec spec{shape.kv_heads, shape.head_dim, shape.kv_dtype};
        int count = 3;  // blocks that belong to nobody
        for (const int length : shape.lengths) count += (length + kKvBlockTokens - 1) / kKvBlockTokens;
        std::vector<std::int32_t> order(static_cast<std::size_t>(count));
        std::iota(order.begin(), order.end(), 0);
        Random random(block_seed);
        for (int i = count - 1; i > 0; --i) std::swap(order[i], order[random.between(0, i)]);
        const auto stride =
            static_cast<std::int64_t>((ops.kv_block_bytes(spec) + 63) / 64 * 64 + 128);  // other layers lie between
        memory = Buffer(static_cast<std::size_t>(stride * count));
        std::memset(memory.data(), 0xff,
                    memory.bytes());  // NaN in f32 and bf16: a key that should not be read spoils the result
        layer = {spec, memory.as<std::byte>(), stride};
        std::size_t next = 0;
        for (const int length : shape.lengths) {
            std::vector<std::int32_t> list;
            for (int token = 0; token < length; token += kKvBlockTokens) list.push_back(order[next++]);
            blocks.push_back(list);
        }
        nobodys = order[next];
    }

    // The qkv op for the tokens named (numbers over all sequences); their q, [tokens.size(), q_columns].
    Floats run_qkv(const Rows& tokens, int threads) const {
        Floats qkv(tokens.size() * static_cast<std::size_t>(shape.columns()));
        if (!shape.wide) return run_qkv_once(tokens, threads, qkv, nullptr, nullptr, false);
        const WideNorm norms[2] = {wide_norm(shape.q_heads, in.q_norm), wide_norm(shape.kv_heads, in.k_norm)};
        Floats squares(tokens.size() * 2 * kLeafCount, NAN);
        run_qkv_once(tokens, threads, qkv, norms, squares.data(), false);
        return run_qkv_once(tokens, threads, qkv, norms, squares.data(), true);
    }

    // A norm over `heads` heads, all of them here.
    WideNorm wide_norm(int heads, const Floats& weight_of) const {
        WideNorm norm{.weight = weight_of.data(),
                      .columns = heads * shape.head_dim,
                      .cut = leaf_share(heads, shape.head_dim, 0, 1).cut};
        for (int i = 0; i < kLeafCount; ++i) norm.present |= norm.cut.present(i) ? 1U << i : 0U;
        return norm;
    }

    // One run of the op; `wide`, `squares` and `summed` as QkvArgs has them.
    Floats run_qkv_once(const Rows& tokens, int threads, Floats& qkv, const WideNorm* wide, float* squares,
                        bool summed) const {
        const std::size_t rows = tokens.size();
        std::vector<std::int32_t> position;
        std::vector<std::int64_t> slot;
        for (const int token : tokens) {
            const int sequence = shape.sequence_of(token);
            const int at = token - shape.begin(sequence);
            position.push_back(at);
            slot.push_back(std::int64_t{blocks[sequence][at / kKvBlockTokens]} * kKvBlockTokens + at % kKvBlockTokens);
        }
        const Floats x = gather(in.x, tokens, static_cast<std::size_t>(shape.hidden));
        Floats q(rows * shape.q_columns());
        Scratch scratch(ops, weight.matrix.spec, static_cast<std::int64_t>(rows));
        ops.qkv({.rows = static_cast<int>(rows),
                 .q_heads = shape.q_heads,
                 .kv_heads = shape.kv_heads,
                 .head_dim = shape.head_dim,
                 .x = x.data(),
                 .weight = weight.matrix,
                 .bias = shape.bias ? in.bias.data() : nullptr,
                 .clip = shape.wide ? 0.75F : 0.0F,
                 .q_norm = shape.norms ? in.q_norm.data() : nullptr,
                 .k_norm = shape.norms ? in.k_norm.data() : nullptr,
                 .wide = wide,
                 .squares = squares,
                 .summed = summed,
                 .norm_eps = 1e-6F,
                 .rotary_dim = shape.rotary_dim,
                 .rope_cos = in.cos.data(),
                 .rope_sin = in.sin.data(),
                 .position = position.data(),
                 .kv_slot = slot.data(),
                 .kv = layer,
                 .qkv = qkv.data(),
                 .q = q.data(),
                 .scratch = scratch.data()},
                {.threads = threads});
        return q;
    }

    // Attention of spans (first token, tokens) with all queries given, [tokens, q_columns]; the outputs of the spans
    // one after the other.
    Floats run_attention(const Floats& q, const std::vector<std::pair<int, int>>& spans, int threads,
                         const std::int32_t* q_to_kv = nullptr) const {
        Rows tokens;
        std::vector<AttentionSpan> list;
        int keys_before = 0;
        for (const auto& [first, count] : spans) {
            const int sequence = shape.sequence_of(first);
            list.push_back(
                {static_cast<int>(tokens.size()), count, first - shape.begin(sequence), blocks[sequence].data()});
            // Spans of one sequence share what the shorter one reads.
            const int keys = first - shape.begin(sequence) + count;
            if (list.size() > 1 && list[list.size() - 2].blocks == list.back().blocks)
                list.back().shared_blocks = (std::min(keys, keys_before) + kKvBlockTokens - 1) / kKvBlockTokens;
            keys_before = keys;
            for (int i = 0; i < count; ++i) tokens.push_back(first + i);
        }
        const Floats rows = gather(q, tokens, static_cast<std::size_t>(shape.q_columns()));
        Floats out(rows.size());
        ops.attention({.spans = static_cast<int>(list.size()),
                       .span = list.data(),
                       .q_heads = shape.q_heads,
                       .head_dim = shape.head_dim,
                       .scale = 1.0F / std::sqrt(static_cast<float>(shape.head_dim)),
                       .window = shape.window,
                       .sink = shape.sinks ? in.sink.data() : nullptr,
                       .q = rows.data(),
                       .kv = layer,
                       .q_to_kv = q_to_kv,
                       .out = out.data()},
                      {.threads = threads});
        return out;
    }

    // One span per sequence: all of its tokens.
    std::vector<std::pair<int, int>> whole_spans() const {
        std::vector<std::pair<int, int>> spans;
        for (std::size_t s = 0; s < shape.lengths.size(); ++s)
            spans.push_back({shape.begin(static_cast<int>(s)), shape.lengths[s]});
        return spans;
    }
};

}  // namespace argosy::test
