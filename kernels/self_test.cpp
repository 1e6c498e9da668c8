// Computing the same thing in two ways and comparing bits.
#include "kernels/self_test.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <numeric>

#include "kernels/base/philox.hpp"

namespace argosy {

namespace {

// Sizes that are multiples of nothing, so that every edge of every tile is met.
constexpr int kRows = 37;
constexpr int kHidden = 83;
constexpr int kOutputs = 53;
constexpr int kHeads = 4;
constexpr int kHeadDim = 24;

using Floats = std::vector<float>;

Floats noise(std::size_t count, std::uint64_t what) {
    Floats values(count);
    for (std::size_t i = 0; i < count; ++i) {
        values[i] = static_cast<float>(uniform_f64(1, what, 0, static_cast<std::uint32_t>(i)) - 0.5);
    }
    return values;
}

bool same(const Floats& a, const Floats& b) { return std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0; }

struct Packed {
    std::vector<std::byte> bytes;
    WeightMatrix matrix;
};

// Columns [k_begin, k_begin + spec.k) of `weights` [spec.n, columns].
Packed pack(const Ops& ops, const MatrixSpec& spec, const Floats& weights, int columns, std::int64_t k_begin) {
    Packed packed;
    packed.bytes.resize(ops.packed_bytes(spec) + 64);
    void* start = packed.bytes.data();
    std::size_t space = packed.bytes.size();
    start = std::align(64, ops.packed_bytes(spec), start, space);
    ops.pack({.spec = spec,
              .row_begin = 0,
              .rows = spec.n,
              .source = weights.data() + k_begin,
              .source_dtype = DType::f32,
              .source_stride_bytes = columns * static_cast<std::int64_t>(sizeof(float)),
              .packed = start});
    packed.matrix = {spec, start};
    return packed;
}

struct Scratch {
    std::vector<std::byte> bytes;
    std::byte* start;
    Scratch(const Ops& ops, const MatrixSpec& spec, int rows, int threads)
        : bytes(ops.product_scratch_bytes(spec, rows, threads) + 64) {
        void* at = bytes.data();
        std::size_t space = bytes.size();
        start = static_cast<std::byte*>(std::align(64, bytes.size() - 64, at, space));
    }
};

Floats product(const Ops& ops, const Stream& stream, const Floats& x, int row_begin, int rows) {
    const MatrixSpec spec{.n = kOutputs, .k = kHidden, .dtype = kept_as(ops, DType::bf16), .cut = {}};
    Scratch scratch(ops, spec, rows, stream.threads);
    const Packed weight = pack(ops, spec, noise(kOutputs * kHidden, 2), kHidden, 0);
    Floats out(static_cast<std::size_t>(rows) * kOutputs);
    ops.logits({.rows = rows,
                .x = x.data() + row_begin * kHidden,
                .weight = weight.matrix,
                .out = out.data(),
                .out_stride = kOutputs,
                .scratch = scratch.start},
               stream);
    return out;
}

// A row-parallel product whose leaves are spread over `parts` ranks.
Floats leaf_product(const Ops& ops, const Stream& stream, const Floats& x, int parts) {
    const Floats weights = noise(kOutputs * kHidden, 3);
    std::vector<Floats> partial;
    std::vector<const float*> pointers;
    for (int part = 0; part < parts; ++part) {
        const LeafShare share = leaf_share(kHidden, 1, part, parts);
        const MatrixSpec spec{
            .n = kOutputs, .k = share.k_end - share.k_begin, .dtype = kept_as(ops, DType::f32), .cut = share.cut};
        Scratch scratch(ops, spec, kRows, stream.threads);
        const Packed weight = pack(ops, spec, weights, kHidden, share.k_begin);
        Floats own_x;
        for (int row = 0; row < kRows; ++row) {
            own_x.insert(own_x.end(), x.begin() + row * kHidden + share.k_begin,
                         x.begin() + row * kHidden + share.k_end);
        }
        const std::int32_t group_begin[2] = {0, kRows};
        partial.emplace_back(static_cast<std::size_t>(kRows) * kOutputs);
        ops.leaf_projection({.groups = 1,
                             .group_begin = group_begin,
                             .weight = &weight.matrix,
                             .x = own_x.data(),
                             .out = partial.back().data(),
                             .scratch = scratch.start},
                            stream);
    }
    for (const Floats& one : partial) pointers.push_back(one.data());
    Floats out(static_cast<std::size_t>(kRows) * kOutputs);
    ops.leaf_join({.rows = kRows,
                   .columns = kOutputs,
                   .parts = parts,
                   .partial = pointers.data(),
                   .residual = nullptr,
                   .out = out.data()},
                  stream);
    return out;
}

// Attention over kRows positions of one sequence, `chunk` rows at a time.
Floats attention(const Ops& ops, const Stream& stream, const Floats& x, int chunk, DType kv_dtype) {
    const int n = 3 * kHeads * kHeadDim;
    const MatrixSpec matrix{.n = n, .k = kHidden, .dtype = kept_as(ops, DType::f32), .cut = {}};
    Scratch scratch(ops, matrix, kRows, stream.threads);
    const Packed weight = pack(ops, matrix, noise(static_cast<std::size_t>(n) * kHidden, 4), kHidden, 0);
    const KvSpec spec{.kv_heads = kHeads, .head_dim = kHeadDim, .dtype = kv_dtype};
    constexpr int kBlocks = (kRows + kKvBlockTokens - 1) / kKvBlockTokens;
    std::vector<std::byte> memory(ops.kv_block_bytes(spec) * kBlocks + 64);
    void* start = memory.data();
    std::size_t space = memory.size();
    start = std::align(64, ops.kv_block_bytes(spec) * kBlocks, start, space);
    const KvLayer kv{spec, static_cast<std::byte*>(start), static_cast<std::int64_t>(ops.kv_block_bytes(spec))};
    std::vector<std::int32_t> blocks(kBlocks), position(kRows), heads(kHeads);
    std::vector<std::int64_t> slot(kRows);
    std::iota(blocks.begin(), blocks.end(), 0);
    std::iota(position.begin(), position.end(), 0);
    std::iota(slot.begin(), slot.end(), 0);
    std::iota(heads.begin(), heads.end(), 0);
    const Floats cosine(kRows * kHeadDim / 2, 0.8F), sine(kRows * kHeadDim / 2, 0.6F);
    Floats qkv(static_cast<std::size_t>(kRows) * n), q(kRows * kHeads * kHeadDim), out(q.size());
    for (int begin = 0; begin < kRows; begin += chunk) {
        const int rows = begin + chunk < kRows ? chunk : kRows - begin;
        QkvArgs args;
        args.rows = rows;
        args.q_heads = args.kv_heads = kHeads;
        args.head_dim = kHeadDim;
        args.x = x.data() + begin * kHidden;
        args.weight = weight.matrix;
        args.rotary_dim = kHeadDim;
        args.rope_cos = cosine.data();
        args.rope_sin = sine.data();
        args.position = position.data() + begin;
        args.kv_slot = slot.data() + begin;
        args.kv = kv;
        args.qkv = qkv.data();
        args.q = q.data();
        args.scratch = scratch.start;
        ops.qkv(args, stream);
        const AttentionSpan span{.row_begin = 0, .rows = rows, .first_position = begin, .blocks = blocks.data()};
        ops.attention({.spans = 1,
                       .span = &span,
                       .q_heads = kHeads,
                       .head_dim = kHeadDim,
                       .scale = 0.25F,
                       .q = q.data(),
                       .kv = kv,
                       .q_to_kv = heads.data(),
                       .out = out.data() + begin * kHeads * kHeadDim},
                      stream);
    }
    return out;
}

}  // namespace

SelfTest self_test(const Ops& ops, const Ops& reference, const Stream& stream) {
    SelfTest test;
    const auto note = [](std::vector<std::string>& list, const char* what) {
        if (std::find(list.begin(), list.end(), what) == list.end()) list.emplace_back(what);
    };
    const auto expect = [&](const char* what, bool equal) {
        note(test.tried, what);
        if (!equal) note(test.falsified, what);
    };
    const Stream one_thread{.threads = 1, .native = stream.native};
    const Floats x = noise(kRows * kHidden, 1);
    const Floats whole = product(ops, stream, x, 0, kRows);
    const Floats last = product(ops, stream, x, kRows - 1, 1);
    expect("batch", same(last, Floats(whole.end() - kOutputs, whole.end())));
    if (stream.threads > 1) expect("threads", same(whole, product(ops, one_thread, x, 0, kRows)));
    std::vector<DType> kv_dtypes{DType::bf16};
    if (ops.products == Products::int8) kv_dtypes.push_back(DType::int8);  // attention over codes comes with these
    std::vector<Floats> attended;
    for (const DType kv : kv_dtypes) {
        attended.push_back(attention(ops, stream, x, kRows, kv));
        if (stream.threads > 1) expect("threads", same(attended.back(), attention(ops, one_thread, x, kRows, kv)));
        expect("chunks", same(attended.back(), attention(ops, stream, x, 5, kv)));
    }
    const Floats joined = leaf_product(ops, stream, x, 1);
    for (const int parts : {2, 4, 8}) expect("ranks", same(joined, leaf_product(ops, stream, x, parts)));
    expect("reference", same(whole, product(reference, one_thread, x, 0, kRows)));
    expect("reference", same(joined, leaf_product(reference, one_thread, x, 1)));
    for (std::size_t i = 0; i < kv_dtypes.size(); ++i)
        expect("reference", same(attended[i], attention(reference, one_thread, x, kRows, kv_dtypes[i])));
    return test;
}

std::string describe(const SelfTest& test) {
    if (test.falsified.empty()) return fmt::format("not falsified ({})", fmt::join(test.tried, ", "));
    return fmt::format(
        "FALSIFIED by {}: this machine or build breaks the promise of equal bits; do not compare its "
        "results with others, and report it",
        fmt::join(test.falsified, ", "));
}

}  // namespace argosy
