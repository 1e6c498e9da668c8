// What all op tests share: random inputs, packed matrices, and the one property that every op of every backend is held
// to.
#pragma once

#include <catch2/catch.hpp>

#include <algorithm>

#include <cstdint>
#include <cstring>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include "kernels/backend.hpp"
#include "kernels/base/buffer.hpp"
#include "kernels/quant/bf16.hpp"
#include "kernels/quant/f16.hpp"
#include "kernels/reference/reference_ops.hpp"

namespace argosy::test {

using Floats = std::vector<float>;
using Rows = std::vector<int>;

// Numbers from a seed alone (splitmix64), the same on every machine and library.
struct Random {
    std::uint64_t state;
    explicit Random(std::uint64_t seed) : state(seed) {}

    std::uint64_t next() {
        state += 0x9E3779B97F4A7C15U;
        std::uint64_t z = state;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
        return z ^ (z >> 31);
    }
    int between(int low, int high) {
        return low + static_cast<int>(next() % static_cast<std::uint64_t>(high - low + 1));
    }
    float real(float low, float high) { return low + (high - low) * (static_cast<float>(next() >> 40) * 0x1p-24F); }
    Floats reals(std::size_t count, float low = -1, float high = 1) {
        Floats values(count);
        for (float& value : values) value = real(low, high);
        return values;
    }
};

// Every table of ops of a mode that can run on this machine.
inline std::vector<const Ops*> runnable_ops(std::string_view numerics = "exact") {
    std::vector<const Ops*> list;
    for (const BackendEntry& entry : backends()) {
        if (entry.ops != nullptr && entry.numerics == numerics) list.push_back(entry.ops);
    }
    return list;
}

inline bool same_bits(const float* a, const float* b, std::size_t count) {
    return std::memcmp(a, b, count * sizeof(float)) == 0;
}
inline bool same_bits(const Floats& a, const Floats& b) {
    return a.size() == b.size() && same_bits(a.data(), b.data(), a.size());
}

// Values as a checkpoint stores them, and what those bytes decode to.
struct Stored {
    DType dtype = DType::f32;
    std::vector<std::byte> bytes;
    Floats values;
};
inline Stored stored(const Floats& values, DType dtype) {
    Stored out{dtype, std::vector<std::byte>(values.size() * size_of(dtype)), values};
    for (std::size_t i = 0; i < values.size() && dtype != DType::f32; ++i) {
        const std::uint16_t code = dtype == DType::bf16 ? encode_bf16(values[i]) : encode_f16(values[i]);
        std::memcpy(out.bytes.data() + 2 * i, &code, 2);
        out.values[i] = dtype == DType::bf16 ? decode_bf16(code) : decode_f16(code);
    }
    if (dtype == DType::f32) std::memcpy(out.bytes.data(), values.data(), out.bytes.size());
    return out;
}

// How a table's products take weights that a checkpoint stores as `dtype`.

// A product's scratch memory, filled with what no op may read.
struct Scratch {
    Buffer buffer;
    Scratch(const Ops& ops, const MatrixSpec& spec, std::int64_t rows, int threads = 4)
        : buffer(ops.product_scratch_bytes(spec, rows, threads) + 64) {
        std::memset(buffer.data(), 0xa5, buffer.bytes());
    }
    std::byte* data() { return buffer.as<std::byte>(); }
};

// A matrix packed by one backend.
struct Packed {
    Buffer buffer;
    WeightMatrix matrix;
};

// Packs columns [k_begin, k_begin + spec.k) of `source` [spec.n, source_columns] in two calls, as rows of q and of k
// and v arrive in two.
inline Packed pack(const Ops& ops, const MatrixSpec& spec, const Stored& source, std::int64_t source_columns,
                   std::int64_t k_begin = 0) {
    Packed out{Buffer(std::max<std::size_t>(ops.packed_bytes(spec), 1)), {}};
    std::memset(out.buffer.data(), 0, out.buffer.bytes());
    const std::int64_t element = static_cast<std::int64_t>(size_of(source.dtype));
    const std::int64_t first = spec.n / 3;
    for (const auto& [begin, rows] : {std::pair{std::int64_t{0}, first}, std::pair{first, spec.n - first}}) {
        const std::byte* from = source.bytes.data() + (begin * source_columns + k_begin) * element;
        ops.pack({spec, begin, rows, from, source.dtype, source_columns * element, out.buffer.data()});
    }
    out.matrix = {spec, out.buffer.data()};
    return out;
}
// The same with random weights of about unit gain, from a seed.
inline Stored random_weights(std::uint64_t seed, std::int64_t n, std::int64_t k, DType dtype) {
    const float scale = 2.0F / (1.0F + static_cast<float>(k) / 16.0F);
    return stored(Random(seed).reals(static_cast<std::size_t>(n * k), -scale, scale), dtype);
}

// Biases of some groups, as ops take them.
struct Biases {
    std::vector<Floats> values;
    std::vector<const float*> pointers;
    Biases(std::uint64_t seed, int groups, std::int64_t n) {
        for (int g = 0; g < groups; ++g)
            values.push_back(Random(seed + static_cast<std::uint64_t>(g)).reals(static_cast<std::size_t>(n), -2, 2));
        for (const Floats& one : values) pointers.push_back(one.data());
    }
};

inline Rows all_rows(int rows) {
    Rows list(static_cast<std::size_t>(rows));
    std::iota(list.begin(), list.end(), 0);
    return list;
}

// Copies the rows named from [*, width].
inline Floats gather(const Floats& from, const Rows& rows, std::size_t width) {
    Floats out;
    for (const int row : rows) out.insert(out.end(), from.begin() + row * width, from.begin() + (row + 1) * width);
    return out;
}

// Runs an op on the rows named and gives its output, [rows.size(), width] flattened. Rows name entries of the case's
// inputs.
using RunRows = std::function<Floats(const Ops&, int threads, const Rows& rows)>;

// The property: every backend with 1, 2 and 3 threads gives the reference's bits for the whole batch, and for any part
// of it, a row alone included.
inline void check_rows(const std::string& what, int rows, const RunRows& run, std::string_view numerics = "exact") {
    const Floats expected = run(select_backend("reference", "auto", numerics), 1, all_rows(rows));
    const std::size_t width = expected.size() / static_cast<std::size_t>(rows);
    REQUIRE(width * static_cast<std::size_t>(rows) == expected.size());
    std::vector<Rows> subsets{{0}, {rows - 1}, {rows / 2}};
    if (rows > 4) {
        Rows odd, middle;
        for (int row = 1; row < rows; row += 2) odd.push_back(row);
        for (int row = rows / 3; row < rows - 1; ++row) middle.push_back(row);
        subsets.insert(subsets.end(), {odd, middle});
    }
    for (const Ops* ops : runnable_ops(numerics)) {
        for (const int threads : {1, 2, 3}) {
            INFO(what << ", " << ops->name << ", " << threads << " threads, " << rows << " rows");
            REQUIRE(same_bits(run(*ops, threads, all_rows(rows)), expected));
        }
        int threads = 0;
        for (const Rows& subset : subsets) {
            INFO(what << ", " << ops->name << ", " << subset.size() << " of " << rows << " rows from row "
                      << subset[0]);
            REQUIRE(same_bits(run(*ops, 1 + threads++ % 3, subset), gather(expected, subset, width)));
        }
    }
}

}  // namespace argosy::test
