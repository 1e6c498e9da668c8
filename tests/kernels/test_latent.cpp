// Attention over latents: the op between its products and the attention that follows, every backend against the
// reference's bits, and the reference against the definition.
#include <algorithm>
#include <cmath>

#include "kernels/base/rope_table.hpp"
#include "tests/kernels/op_cases.hpp"

namespace argosy::test {
namespace {

struct LatentCase {
    int heads, nope_dim, rotary_dim, latent_dim;
    DType dtype;
    int tokens;
    int width() const { return latent_dim + rotary_dim; }
    int head_dim() const { return nope_dim + rotary_dim; }
    std::string name() const {
        return std::to_string(heads) + " heads, latents of " + std::to_string(latent_dim) + " + " +
               std::to_string(rotary_dim) + ", " + std::string(name_of(dtype));
    }
};
const LatentCase kCases[] = {{4, 16, 16, 32, DType::f32, 70},
                             {3, 10, 6, 24, DType::bf16, 150},
                             {16, 8, 64, 512, DType::bf16, 90},
                             {7, 5, 2, 17, DType::f32, 33},
                             {50, 4, 8, 40, DType::bf16, 66}};

// One sequence's inputs, its tables, and one backend's cache of it.
struct LatentRun {
    const Ops& ops;
    const LatentCase& shape;
    Floats q, latent, norm, cos, sin, query;
    std::vector<std::int32_t> blocks;
    Buffer memory;
    KvLayer kv;

    LatentRun(const Ops& use, const LatentCase& of) : ops(use), shape(of) {
        Random random(11);
        const auto rows = static_cast<std::size_t>(shape.tokens);
        q = random.reals(rows * static_cast<std::size_t>(shape.heads * shape.head_dim()), -2, 2);
        latent = random.reals(rows * static_cast<std::size_t>(shape.width()), -2, 2);
        norm = random.reals(static_cast<std::size_t>(shape.latent_dim), 0.5F, 2);
        query = random.reals(rows * static_cast<std::size_t>(shape.heads * shape.width()), -1, 1);
        Floats inverse;
        for (int i = 0; i < shape.rotary_dim / 2; ++i) inverse.push_back(1.0F / static_cast<float>(1 + 3 * i));
        cos.resize(rows * inverse.size());
        sin.resize(cos.size());
        rope_table(inverse, shape.tokens, cos.data(), sin.data());
        const KvSpec spec{1, shape.width(), shape.dtype, shape.latent_dim};
        const int count = (shape.tokens + kKvBlockTokens - 1) / kKvBlockTokens;
        blocks.resize(static_cast<std::size_t>(count) + 2);
        std::iota(blocks.begin(), blocks.end(), 0);
        for (int b = count + 1; b > 0; --b) std::swap(blocks[b], blocks[random.between(0, b)]);
        const auto stride = static_cast<std::int64_t>((ops.kv_block_bytes(spec) + 63) / 64 * 64 + 64);
        memory = Buffer(static_cast<std::size_t>(stride * (count + 2)));
        std::memset(memory.data(), 0xff, memory.bytes());
        kv = {spec, memory.as<std::byte>(), stride};
    }

    // The op for tokens [first, first + rows): q_nope and the turned ends of q_latent, [rows][heads][...].
    Floats store(int first, int rows, int threads) {
        std::vector<std::int32_t> position;
        std::vector<std::int64_t> slot;
        for (int t = first; t < first + rows; ++t) {
            position.push_back(t);
            slot.push_back(std::int64_t{blocks[static_cast<std::size_t>(t / kKvBlockTokens)]} * kKvBlockTokens +
                           t % kKvBlockTokens);
        }
        Floats nope(static_cast<std::size_t>(rows * shape.heads * shape.nope_dim));
        Floats turned(static_cast<std::size_t>(rows * shape.heads * shape.width()), 7.0F);
        ops.latent({.rows = rows,
                    .q_heads = shape.heads,
                    .nope_dim = shape.nope_dim,
                    .rotary_dim = shape.rotary_dim,
                    .latent_dim = shape.latent_dim,
                    .q = q.data() + first * shape.heads * shape.head_dim(),
                    .latent = latent.data() + first * shape.width(),
                    .norm = norm.data(),
                    .norm_eps = 1e-6F,
                    .rope_cos = cos.data(),
                    .rope_sin = sin.data(),
                    .position = position.data(),
                    .kv_slot = slot.data(),
                    .kv = kv,
                    .q_nope = nope.data(),
                    .q_latent = turned.data()},
                   {.threads = threads});
        Floats out;
        for (int row = 0; row < rows; ++row) {
            for (int head = 0; head < shape.heads; ++head) {
                const auto place = static_cast<std::ptrdiff_t>(head * rows + row);
                const auto at = nope.begin() + place * shape.nope_dim;
                out.insert(out.end(), at, at + shape.nope_dim);
                const auto end = turned.begin() + (place + 1) * shape.width();
                REQUIRE(*(end - shape.rotary_dim - 1) == 7.0F);  // the rest is the product's to write
                out.insert(out.end(), end - shape.rotary_dim, end);
            }
        }
        return out;
    }

    // Attention of tokens [first, first + rows) with `query`, [rows][heads][latent_dim].
    Floats attend(int first, int rows, int threads, bool by_head) {
        const auto width = static_cast<std::ptrdiff_t>(shape.width());
        Floats in(static_cast<std::size_t>(rows * shape.heads) * static_cast<std::size_t>(width));
        Floats out(static_cast<std::size_t>(rows * shape.heads * shape.latent_dim));
        const auto place = [&](int row, int head) { return by_head ? head * rows + row : row * shape.heads + head; };
        for (int row = 0; row < rows; ++row) {
            for (int head = 0; head < shape.heads; ++head)
                std::copy_n(query.begin() + ((first + row) * shape.heads + head) * width, width,
                            in.begin() + place(row, head) * width);
        }
        const AttentionSpan span{.row_begin = 0, .rows = rows, .first_position = first, .blocks = blocks.data()};
        ops.attention({.spans = 1,
                       .span = &span,
                       .q_heads = shape.heads,
                       .head_dim = shape.width(),
                       .scale = 0.2F,
                       .q = in.data(),
                       .kv = kv,
                       .out = out.data(),
                       .rows_by_head = by_head ? rows : 0},
                      {.threads = threads});
        Floats ordered;
        for (int row = 0; row < rows; ++row) {
            for (int head = 0; head < shape.heads; ++head) {
                const auto at = out.begin() + static_cast<std::ptrdiff_t>(place(row, head)) * shape.latent_dim;
                ordered.insert(ordered.end(), at, at + shape.latent_dim);
            }
        }
        return ordered;
    }
};

Floats part(const Floats& all, int tokens, int first, int rows) {
    const auto width = static_cast<std::ptrdiff_t>(all.size()) / tokens;
    return {all.begin() + first * width, all.begin() + (first + rows) * width};
}

TEST_CASE("latents: any chunks, threads and orders of heads give the reference's bits") {
    for (const LatentCase& shape : kCases) {
        LatentRun judge(reference_ops(), shape);
        const Floats stored = judge.store(0, shape.tokens, 1);
        const Floats attended = judge.attend(0, shape.tokens, 1, false);
        REQUIRE(same_bits(judge.attend(0, shape.tokens, 1, true), attended));
        for (const Ops* ops : runnable_ops()) {
            INFO(shape.name() << ", " << ops->name);
            LatentRun whole(*ops, shape);
            REQUIRE(same_bits(whole.store(0, shape.tokens, 3), stored));
            for (const bool by_head : {false, true})
                REQUIRE(same_bits(whole.attend(0, shape.tokens, 2, by_head), attended));
            LatentRun chunked(*ops, shape);
            for (int first = 0, rows = 1; first < shape.tokens; first += rows, rows = 1 + (first * 7) % 23) {
                rows = std::min(rows, shape.tokens - first);
                REQUIRE(same_bits(chunked.store(first, rows, 1 + first % 3), part(stored, shape.tokens, first, rows)));
                REQUIRE(same_bits(chunked.attend(first, rows, 1 + first % 3, first % 2 == 0),
                                  part(attended, shape.tokens, first, rows)));
            }
        }
    }
}

TEST_CASE("reference: latents by definition") {
    for (const LatentCase& shape : kCases) {
        INFO(shape.name());
        LatentRun run(reference_ops(), shape);
        const Floats stored = run.store(0, shape.tokens, 1);
        const Floats attended = run.attend(0, shape.tokens, 1, false);
        const int width = shape.width(), half = shape.rotary_dim / 2;
        const auto turned = [&](const float* x, int position, int d) {
            const int i = d % half;
            const double angle = static_cast<double>(position) / (1 + 3 * i);
            const double a = x[2 * i], b = x[2 * i + 1];
            return d < half ? a * std::cos(angle) - b * std::sin(angle) : b * std::cos(angle) + a * std::sin(angle);
        };
        std::vector<std::vector<double>> keys;
        for (int t = 0; t < shape.tokens; ++t) {
            const float* from = &run.latent[static_cast<std::size_t>(t * width)];
            double squares = 0;
            for (int d = 0; d < shape.latent_dim; ++d) squares += static_cast<double>(from[d]) * from[d];
            std::vector<double> key;
            for (int d = 0; d < shape.latent_dim; ++d)
                key.push_back(from[d] * run.norm[static_cast<std::size_t>(d)] /
                              std::sqrt(squares / shape.latent_dim + 1e-6));
            for (int d = 0; d < shape.rotary_dim; ++d) key.push_back(turned(from + shape.latent_dim, t, d));
            keys.push_back(key);
        }
        const double tolerance = shape.dtype == DType::bf16 ? 0x1p-5 : 1e-4;
        for (int t = 0; t < shape.tokens; t += 1 + t / 5) {
            for (int head = 0; head < shape.heads; head += 3) {
                const int at = t * shape.heads + head;
                const float* q = &run.q[static_cast<std::size_t>(at * shape.head_dim())];
                const float* out = &stored[static_cast<std::size_t>(at * shape.head_dim())];
                for (int d = 0; d < shape.nope_dim; ++d) REQUIRE(out[d] == q[d]);
                for (int d = 0; d < shape.rotary_dim; ++d)
                    REQUIRE(std::abs(out[shape.nope_dim + d] - turned(q + shape.nope_dim, t, d)) < 1e-4);
                std::vector<double> o(static_cast<std::size_t>(shape.latent_dim));
                double l = 0;
                for (int key = 0; key <= t; ++key) {
                    double score = 0;
                    for (int d = 0; d < width; ++d)
                        score += run.query[static_cast<std::size_t>(at * width + d)] * keys[key][d];
                    const double p = std::exp(score * 0.2);
                    l += p;
                    for (int d = 0; d < shape.latent_dim; ++d) o[d] += p * keys[key][d];
                }
                for (int d = 0; d < shape.latent_dim; ++d)
                    REQUIRE(std::abs(attended[static_cast<std::size_t>(at * shape.latent_dim + d)] - o[d] / l) <
                            tolerance * 4);
            }
        }
    }
}

// Groups whose rows of the output stand apart, as a product per head writes its columns of a row.
TEST_CASE("a product by groups writes rows of any stride, and groups at any distance") {
    const int groups = 3, rows = 9, n = 21, k = 37;
    const Floats x = Random(5).reals(static_cast<std::size_t>(groups * rows * k));
    const std::vector<std::int32_t> begin{0, rows, 2 * rows, 3 * rows};
    for (const std::string_view numerics : {"exact", "bf16", "bf16-amx", "int8"}) {
        for (const Ops* ops : runnable_ops(numerics)) {
            INFO(ops->name << " " << numerics);
            const MatrixSpec spec{n, k, kept_as(*ops, DType::bf16), {}};
            std::vector<Packed> packed;
            std::vector<WeightMatrix> weights;
            for (std::uint64_t g = 0; g < groups; ++g) {
                packed.push_back(pack(*ops, spec, random_weights(90 + g, n, k, DType::bf16), k));
                weights.push_back(packed.back().matrix);
            }
            const auto run = [&](std::int64_t stride, std::int64_t apart, int threads) {
                Floats out(static_cast<std::size_t>(groups * rows * n * 2), 3.0F);
                Scratch scratch(*ops, spec, groups * rows);
                ops->leaf_projection({.groups = groups,
                                      .group_begin = begin.data(),
                                      .weight = weights.data(),
                                      .x = x.data(),
                                      .out = out.data(),
                                      .scratch = scratch.data(),
                                      .out_stride = stride,
                                      .out_group = apart},
                                     {.threads = threads});
                return out;
            };
            const Floats plain = run(0, 0, 1), wide = run(n + 4, 0, 2), columns = run(groups * n, n, 2);
            for (int g = 0; g < groups; ++g) {
                for (int row = 0; row < rows; ++row) {
                    const float* from = plain.data() + (g * rows + row) * n;
                    REQUIRE(same_bits(wide.data() + (g * rows + row) * (n + 4), from, n));
                    REQUIRE(wide[static_cast<std::size_t>((g * rows + row) * (n + 4) + n)] == 3.0F);
                    REQUIRE(same_bits(columns.data() + row * groups * n + g * n, from, n));
                }
            }
        }
    }
}

}  // namespace
}  // namespace argosy::test
