// argosy_ops_bench [--isa auto|amx|avx512|avx2|portable] [--threads N] [WORD]: times the CPU ops at the shapes of a
// model with 1024 hidden values and sets them against limits measured in the same process. With WORD only the lines
// whose name contains it.
#include <fmt/format.h>
#include <algorithm>

#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "kernels/backend.hpp"
#include "kernels/base/buffer.hpp"
#include "kernels/base/error.hpp"
#include "kernels/quant/block_format.hpp"
#include "tests/bench/machine_limits.hpp"

namespace argosy::bench {
namespace {

// Weights of a single row's products: more than any cache that one process gets to itself.
constexpr std::size_t kStreamBytes = std::size_t{1} << 30;

struct Bench {
    // A mode of numerics, null where the machine cannot run it, and its limit with all threads.
    struct Mode {
        const Ops* ops = nullptr;
        double gops = 0;
    };
    Mode f32, bf16, bf16_amx, int8;
    Stream stream;
    std::string word;
    double gbytes = 0;

    const Mode& mode(DType dtype) const {
        const bool codes = dtype == DType::int8 || dtype == DType::mxfp4_int8;
        if (dtype == DType::bf16_tiles) return bf16_amx;
        return codes ? int8 : dtype == DType::bf16_pairs ? bf16 : f32;
    }
    const Ops& ops(DType dtype) const { return *mode(dtype).ops; }
    double limit(DType dtype) const { return mode(dtype).gops; }
};

Buffer random_floats(std::size_t count) {
    Buffer buffer(count * sizeof(float));
    std::uint32_t state = 12345;
    for (std::size_t i = 0; i < count; ++i) {
        state = state * 1664525U + 1013904223U;
        buffer.as<float>()[i] = static_cast<float>(static_cast<std::int32_t>(state)) * 0x1p-31F;
    }
    return buffer;
}

// Copies of one random matrix.
struct Matrices {
    std::vector<Buffer> packed;
    std::vector<WeightMatrix> weight;
};

// Rows of random mxfp4 records.
Buffer random_mxfp4(std::int64_t rows, std::int64_t columns) {
    const Buffer values = random_floats(static_cast<std::size_t>(rows * columns));
    const std::int64_t bytes = row_bytes(DType::mxfp4, columns);
    const std::int64_t scales = block_count(DType::mxfp4, columns);
    Buffer records(static_cast<std::size_t>(rows * bytes));
    for (std::int64_t row = 0; row < rows; ++row) {
        std::byte* record = records.as<std::byte>() + row * bytes;
        encode_rows(DType::mxfp4, values.as<float>() + row * columns, 1, columns, 1, record + scales, record);
    }
    return records;
}

Matrices make_matrices(const Ops& ops, const MatrixSpec& spec, std::size_t count) {
    Matrices out;
    const bool mxfp4 = spec.dtype == DType::mxfp4_int8;
    const Buffer source =
        mxfp4 ? random_mxfp4(spec.n, spec.k) : random_floats(static_cast<std::size_t>(spec.n * spec.k));
    const std::int64_t stride_bytes = mxfp4 ? row_bytes(DType::mxfp4, spec.k) : spec.k * 4;
    for (std::size_t i = 0; i < count; ++i) {
        Buffer packed(ops.packed_bytes(spec));
        if (i == 0) {
            std::memset(packed.data(), 0, packed.bytes());
            ops.pack({.spec = spec,
                      .row_begin = 0,
                      .rows = spec.n,
                      .source = source.data(),
                      .source_dtype = mxfp4 ? DType::mxfp4 : DType::f32,
                      .source_stride_bytes = stride_bytes,
                      .packed = packed.data(),
                      .source_columns = spec.k});
        } else {
            std::memcpy(packed.data(), out.packed[0].data(), packed.bytes());
        }
        out.packed.push_back(std::move(packed));
        out.weight.push_back({spec, out.packed.back().data()});
    }
    return out;
}

template <class Work>
void report(const Bench& bench, const std::string& name, double flops, double limit, double bytes, const Work& work) {
    const double ns = median_ns(bench.stream.threads, work);
    fmt::print("{:<52} {:>10.1f} us {:>8.1f} Gop/s {:>5.1f} %  {:>7.2f} GB/s {:>5.1f} %\n", name, ns / 1e3, flops / ns,
               100 * flops / ns / limit, bytes / ns, 100 * bytes / ns / bench.gbytes);
    std::fflush(stdout);
}

bool wanted(const Bench& bench, const std::string& name) { return name.find(bench.word) != std::string::npos; }

std::string shape(std::string_view what, DType dtype, std::int64_t rows, std::int64_t n, std::int64_t k) {
    return fmt::format("{} {} M={} n={} k={}", what, name_of(dtype), rows, n, k);
}

// A plain product; few rows cycle through so many copies of the weights that they come from memory.
void bench_product(const Bench& bench, DType dtype, int rows, std::int64_t n, std::int64_t k) {
    const std::string name = shape("matmul", dtype, rows, n, k);
    if (!wanted(bench, name)) return;
    const MatrixSpec spec{n, k, dtype, {}};
    const Ops& ops = bench.ops(dtype);
    const std::size_t bytes = ops.packed_bytes(spec);
    const Matrices w = make_matrices(ops, spec, rows <= 4 ? kStreamBytes / bytes + 1 : 1);
    Buffer scratch(ops.product_scratch_bytes(spec, rows, bench.stream.threads));
    const Buffer x = random_floats(static_cast<std::size_t>(rows * k));
    Buffer out(static_cast<std::size_t>(rows * n) * 4);
    std::size_t turn = 0;
    report(bench, name, 2.0 * rows * n * k, bench.limit(dtype), static_cast<double>(bytes), [&] {
        ops.logits(
            {rows, x.as<float>(), w.weight[turn++ % w.weight.size()], out.as<float>(), n, scratch.as<std::byte>()},
            bench.stream);
    });
}

std::vector<std::int32_t> equal_groups(int groups, int rows_each) {
    std::vector<std::int32_t> begin;
    for (int g = 0; g <= groups; ++g) begin.push_back(g * rows_each);
    return begin;
}

// 32 experts with as many rows each: gate and up, then down by leaves.
void bench_experts(const Bench& bench, DType dtype, int rows_each) {
    constexpr int kGroups = 32;
    const std::int64_t hidden = 1024;
    const std::int64_t inner = 512;
    const int rows = kGroups * rows_each;
    const auto begin = equal_groups(kGroups, rows_each);
    const Ops& ops = bench.ops(dtype);
    const std::string gate_up = shape("gate_up of 32 experts", dtype, rows_each, inner, hidden);
    if (wanted(bench, gate_up)) {
        const MatrixSpec spec{inner, hidden, dtype, {}};
        const Matrices w = make_matrices(ops, spec, 2 * kGroups);
        Buffer scratch(ops.product_scratch_bytes(spec, rows, bench.stream.threads));
        const Buffer x = random_floats(static_cast<std::size_t>(rows * hidden));
        Buffer h(static_cast<std::size_t>(rows * inner) * 4);
        report(bench, gate_up, 4.0 * rows * inner * hidden, bench.limit(dtype),
               2.0 * kGroups * static_cast<double>(w.packed[0].bytes()), [&] {
                   ops.gate_up({kGroups, begin.data(), nullptr, w.weight.data(), w.weight.data() + kGroups,
                                x.as<float>(), h.as<float>(), rows, scratch.as<std::byte>()},
                               bench.stream);
               });
    }
    const std::string down = shape("leaf projection of 32 experts", dtype, rows_each, hidden, inner);
    if (wanted(bench, down)) {
        const MatrixSpec spec{hidden, inner, dtype, leaf_share(inner, 1, 0, 1).cut};
        const Matrices w = make_matrices(ops, spec, kGroups);
        Buffer scratch(ops.product_scratch_bytes(spec, rows, bench.stream.threads));
        const Buffer x = random_floats(static_cast<std::size_t>(rows * inner));
        Buffer out(static_cast<std::size_t>(rows * hidden) * 4);
        report(bench, down, 2.0 * rows * inner * hidden, bench.limit(dtype),
               1.0 * kGroups * static_cast<double>(w.packed[0].bytes()), [&] {
                   ops.leaf_projection({kGroups, begin.data(), w.weight.data(), x.as<float>(), out.as<float>(),
                                        scratch.as<std::byte>()},
                                       bench.stream);
               });
    }
}

// `sequences` sequences whose last `rows` of `context` positions are queries; 16 query heads on 4 KV heads of
// dimension 64. Blocks stand in a pool of several layers, of which each call takes the next, in no order: as they do
// where caches do not hold them.
void bench_attention(const Bench& bench, DType dtype, const std::string& what, int sequences, int rows, int context) {
    const Bench::Mode& mode = bench.mode(dtype == DType::int8 ? dtype : DType::f32);
    const std::string name =
        fmt::format("attention {} {}: {} x {} rows, {} context", name_of(dtype), what, sequences, rows, context);
    if (!wanted(bench, name)) return;
    const int q_heads = 16;
    const KvSpec spec{4, 64, dtype};
    const int blocks_each = (context + kKvBlockTokens - 1) / kKvBlockTokens;
    const std::size_t block_bytes = mode.ops->kv_block_bytes(spec);
    constexpr std::size_t kLayers = 6;
    const std::size_t layer_bytes = block_bytes * static_cast<std::size_t>(sequences * blocks_each);
    Buffer pool(kLayers * layer_bytes);
    for (std::size_t i = 0; i < pool.bytes() / 2; ++i)
        pool.as<std::uint16_t>()[i] = static_cast<std::uint16_t>(0x3f00 + i % 97);
    std::vector<std::int32_t> blocks;
    std::vector<AttentionSpan> spans;
    for (int i = 0; i < sequences * blocks_each; ++i) blocks.push_back(i);
    std::shuffle(blocks.begin(), blocks.end(), std::mt19937(1));
    for (int s = 0; s < sequences; ++s)
        spans.push_back({s * rows, rows, context - rows, blocks.data() + s * blocks_each});
    const std::size_t columns = static_cast<std::size_t>(q_heads * spec.head_dim);
    const Buffer q = random_floats(static_cast<std::size_t>(sequences * rows) * columns);
    Buffer out(q.bytes());
    AttentionArgs args{.spans = sequences,
                       .span = spans.data(),
                       .q_heads = q_heads,
                       .head_dim = spec.head_dim,
                       .scale = 0.125F,
                       .q = q.as<float>(),
                       .kv = {spec, nullptr, static_cast<std::int64_t>(kLayers * block_bytes)},
                       .out = out.as<float>()};
    std::size_t layer = 0;
    const double pairs = static_cast<double>(sequences) * rows * (context - (rows - 1) / 2.0);
    report(bench, name, 4.0 * pairs * q_heads * spec.head_dim, mode.gops, static_cast<double>(layer_bytes), [&] {
        args.kv.base = pool.as<std::byte>() + layer++ % kLayers * block_bytes;
        mode.ops->attention(args, bench.stream);
    });
}

void bench_sampler(const Bench& bench, const std::string& what, const SampleRow& row) {
    constexpr int kVocab = 200'000;
    const std::string name = fmt::format("sample {}: 1 row of {}", what, kVocab);
    if (!wanted(bench, name)) return;
    Buffer logits = random_floats(kVocab);
    for (int i = 0; i < kVocab; ++i) {
        const float x = logits.as<float>()[i];
        logits.as<float>()[i] = 6 * x + 6 * x * x * x;
    }
    Buffer scratch(bench.f32.ops->sample_scratch_bytes(kVocab, bench.stream.threads));
    SampleResult result;
    SampleRow now = row;
    report(bench, name, 0, bench.f32.gops, kVocab * 4.0, [&] {
        ++now.position;
        bench.f32.ops->sample({1, kVocab, logits.as<float>(), &now, scratch.as<std::byte>(), &result}, bench.stream);
    });
}

void run_all(const Bench& bench) {
    for (const DType dtype :
         {DType::f32, DType::bf16, DType::bf16_pairs, DType::bf16_tiles, DType::int8, DType::mxfp4_int8}) {
        if (bench.mode(dtype).ops == nullptr) continue;
        for (const auto& [n, k] : {std::pair{1536, 1024}, std::pair{1024, 1024}}) {
            for (const int rows : {1, 4, 16, 64, 256, 512}) bench_product(bench, dtype, rows, n, k);
        }
        for (const int rows : {1, 4, 64}) bench_product(bench, dtype, rows, 32768, 1024);
        for (const int rows_each : {1, 4, 8, 16, 24, 64}) bench_experts(bench, dtype, rows_each);
    }
    for (const DType dtype : {DType::bf16, DType::int8}) {
        if (dtype == DType::int8 && bench.int8.ops == nullptr) continue;
        bench_attention(bench, dtype, "decode", 128, 1, 256);
        bench_attention(bench, dtype, "decode", 8, 1, 4096);
        bench_attention(bench, dtype, "decode", 109, 1, 192);
        bench_attention(bench, dtype, "prefill", 4, 128, 128);
        bench_attention(bench, dtype, "prefill", 1, 512, 512);
        bench_attention(bench, dtype, "chunk", 1, 256, 2048);
    }
    SampleRow row;
    bench_sampler(bench, "greedy", row);
    row.top_logprobs = 5;
    bench_sampler(bench, "greedy with 5 logprobs", row);
    row.top_logprobs = -1;
    row.temperature = 1;
    bench_sampler(bench, "T=1", row);
    row.top_k = 50;
    bench_sampler(bench, "T=1 top_k=50", row);
    row.top_k = 0;
    row.top_p = 0.95F;
    bench_sampler(bench, "T=1 top_p=0.95", row);
}

int run(int argc, char** argv) {
    std::string isa = "auto";
    std::string word;
    Stream stream;
    for (int i = 1; i < argc; ++i) {
        const std::string_view argument = argv[i];
        if (argument == "--isa" && i + 1 < argc) {
            isa = argv[++i];
        } else if (argument == "--threads" && i + 1 < argc) {
            stream.threads = std::max(1, std::atoi(argv[++i]));
        } else {
            word = argument;
        }
    }
    const Ops& ops = select_backend("cpu", isa == "amx" ? "avx512" : isa);  // AMX multiplies codes and bf16 alone
    prepare_threads(stream.threads);
    const auto mode = [&](std::string_view numerics, ArithmeticKind kind) {
        for (const BackendEntry& entry : backends()) {
            if (entry.ops == nullptr || entry.numerics != numerics || !entry.name.starts_with("cpu-")) continue;
            if (isa == "auto" || entry.name == "cpu-" + isa || (isa == "amx" && entry.name == ops.name))
                return Bench::Mode{entry.ops, arithmetic_gops(kind, entry.name, stream.threads)};
        }
        return Bench::Mode{};
    };
    const bool dots = ops.name == "cpu-avx512";  // elsewhere FMAs of f32 do the products of bf16
    Bench bench{.f32 = mode("exact", ArithmeticKind::f32),
                .bf16 = mode("bf16", dots ? ArithmeticKind::bf16 : ArithmeticKind::f32),
                .bf16_amx = mode("bf16-amx", ArithmeticKind::bf16),
                .int8 = mode("int8", ArithmeticKind::int8),
                .stream = stream,
                .word = word};
    const Buffer memory = random_floats(kStreamBytes / 4);
    bench.gbytes = read_gbytes(memory.data(), kStreamBytes, stream.threads);
    fmt::print(
        "{}, {} threads; their limits: {:.1f} GFLOP/s, {:.1f} of bf16 pairs, {:.1f} of bf16 tiles, {:.0f} int8 Gop/s, "
        "{:.2f} GB/s from {} MiB\n",
        ops.name, stream.threads, bench.f32.gops, bench.bf16.gops, bench.bf16_amx.gops, bench.int8.gops, bench.gbytes,
        kStreamBytes >> 20);
    run_all(bench);
    return 0;
}

}  // namespace
}  // namespace argosy::bench

int main(int argc, char** argv) {
    try {
        return argosy::bench::run(argc, argv);
    } catch (const argosy::Error& error) {
        fmt::print(stderr, "argosy_ops_bench: {}\n", error.what());
        return argosy::exit_status(error.kind());
    }
}
