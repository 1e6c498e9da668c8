// The ops that touch each row once: embedding, RMS norm, leaf join and combine.
#pragma once

#include <cstdint>

#include "kernels/base/elementary.hpp"
#include "kernels/cpu/generic/parallel_tasks.hpp"
#include "kernels/cpu/generic/row_math.hpp"
#include "kernels/ops.hpp"
#include "kernels/quant/bf16.hpp"
#include "kernels/quant/f16.hpp"

namespace argosy {

// Elements that make a thread worth its start.
inline constexpr int kThreadElements = 16384;

ARGOSY_INLINE int rows_per_thread(int columns) { return kThreadElements / (columns > 0 ? columns : 1) + 1; }

template <class V>
static void embed_row(const EmbedArgs& args, int row) {
    const std::int64_t first = static_cast<std::int64_t>(args.token[row]) * args.hidden;
    float* out = args.out + static_cast<std::int64_t>(row) * args.hidden;
    const int whole = args.hidden / 16 * 16;
    if (args.dtype == DType::f32) {
        const float* from = static_cast<const float*>(args.table) + first;
        for (int i = 0; i < whole; i += 16) V::load(from + i).store(out + i);
        for (int i = whole; i < args.hidden; ++i) out[i] = from[i];
        return;
    }
    const std::uint16_t* from = static_cast<const std::uint16_t*>(args.table) + first;
    if (args.dtype == DType::bf16) {
        for (int i = 0; i < whole; i += 16) V::load_bf16(from + i).store(out + i);
        for (int i = whole; i < args.hidden; ++i) out[i] = decode_bf16(from[i]);
    } else {
        for (int i = 0; i < whole; i += 16) V::load_f16(from + i).store(out + i);
        for (int i = whole; i < args.hidden; ++i) out[i] = decode_f16(from[i]);
    }
}

template <class V>
static void embed_op(const EmbedArgs& args, const Stream& stream) {
    parallel_rows(stream, args.rows, rows_per_thread(args.hidden), [&](int begin, int end) {
        for (int row = begin; row < end; ++row) embed_row<V>(args, row);
    });
}

template <class V>
static void rms_norm_op(const RmsNormArgs& args, const Stream& stream) {
    parallel_rows(stream, args.rows, rows_per_thread(args.hidden), [&](int begin, int end) {
        for (int row = begin; row < end; ++row) {
            const std::int64_t first = static_cast<std::int64_t>(row) * args.hidden;
            rms_norm_row<V>(args.x + first, args.weight, args.hidden, args.eps, args.out + first);
        }
    });
}

// Rule R2's tree over parts at one place: `load(i)` gives the value of part i.
template <class V, class Load>
[[gnu::always_inline]] static inline V joined_parts(int parts, const float* const* partial, const Load& load) {
    V value[kLeafCount] = {V::zero()};
    bool present[kLeafCount];
    for (int i = 0; i < parts; ++i) {
        present[i] = partial[i] != nullptr;
        value[i] = present[i] ? load(i) : V::zero();
    }
    for (int width = 1; width < parts; width *= 2) {
        for (int i = 0; i < parts; i += 2 * width) {
            if (!present[i + width]) continue;
            value[i] = present[i] ? vadd(value[i], value[i + width]) : value[i + width];
            present[i] = true;
        }
    }
    return value[0];
}

template <class V>
static void leaf_join_range(const LeafJoinArgs& args, bool any, std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; i += 16) {
        const int width = end - i < 16 ? static_cast<int>(end - i) : 16;
        const auto load = [&](const float* p) { return width == 16 ? V::load(p + i) : V::load_first(p + i, width); };
        V value = args.residual != nullptr ? load(args.residual) : V::zero();
        if (any) {
            const V tree =
                joined_parts<V>(args.parts, args.partial, [&](int part) { return load(args.partial[part]); });
            value = args.residual != nullptr ? vadd(value, tree) : tree;
        }
        if (width == 16) {
            value.store(args.out + i);
        } else {
            value.store_first(args.out + i, width);
        }
    }
}

template <class V>
static void leaf_join_op(const LeafJoinArgs& args, const Stream& stream) {
    bool any = false;
    for (int i = 0; i < args.parts; ++i) any = any || args.partial[i] != nullptr;
    parallel_rows(stream, args.rows, rows_per_thread(args.columns), [&](int begin, int end) {
        leaf_join_range<V>(args, any, static_cast<std::int64_t>(begin) * args.columns,
                           static_cast<std::int64_t>(end) * args.columns);
    });
}

// Where the value of a source row of `combine` is read: part `part` of it, or the row itself.
ARGOSY_INLINE const float* combine_part(const CombineArgs& args, int part, std::int64_t row) {
    const std::int32_t* rows = args.partial_row[part];
    return args.partial[part] + (rows != nullptr ? rows[row] : row) * args.columns;
}

// kVectors times 16 columns from `column` on of a source row; where kVectors is 1, `width` of them.
template <class V, int kVectors>
[[gnu::always_inline]] static inline void combine_source(const CombineArgs& args, std::int64_t row, int column,
                                                         int width, V (&value)[kVectors]) {
    const auto load = [&](const float* from, int i) {
        from += column + 16 * i;
        return kVectors > 1 || width == 16 ? V::load(from) : V::load_first(from, width);
    };
    if (args.parts == 0) {
        const float* from = args.source + row * args.columns;
#pragma GCC unroll 4
        for (int i = 0; i < kVectors; ++i) value[i] = load(from, i);
        return;
    }
    if (args.parts == 2 && args.partial[0] != nullptr && args.partial[1] != nullptr) {
        const float* left = combine_part(args, 0, row);
        const float* right = combine_part(args, 1, row);
#pragma GCC unroll 4
        for (int i = 0; i < kVectors; ++i) value[i] = vadd(load(left, i), load(right, i));
        return;
    }
    for (int i = 0; i < kVectors; ++i)
        value[i] =
            joined_parts<V>(args.parts, args.partial, [&](int part) { return load(combine_part(args, part, row), i); });
}

// kVectors times 16 columns of one row's expert tree (rule R4); the stack of waiting values stays in the first-level
// cache.
template <class V, int kVectors>
static void combine_chunk(const CombineArgs& args, int row, int column, int width) {
    V stack[kCombineDepthMax + 1][kVectors];
    int depth = 0;
    for (int leaf = args.leaf_begin[row]; leaf < args.leaf_begin[row + 1]; ++leaf) {
        V value[kVectors];
        combine_source<V, kVectors>(args, args.leaf_source[leaf], column, width, value);
        if (args.leaf_weight != nullptr) {
            const V weight = V::set(args.leaf_weight[leaf]);
#pragma GCC unroll 4
            for (int i = 0; i < kVectors; ++i) value[i] = vmul(weight, value[i]);
        }
        for (int merge = 0; merge < args.leaf_merges[leaf]; ++merge) {
            --depth;
#pragma GCC unroll 4
            for (int i = 0; i < kVectors; ++i) value[i] = vadd(stack[depth][i], value[i]);
        }
#pragma GCC unroll 4
        for (int i = 0; i < kVectors; ++i) stack[depth][i] = value[i];
        ++depth;
    }
    const std::int64_t at = static_cast<std::int64_t>(row) * args.columns + column;
    const bool whole = kVectors > 1 || width == 16;
    for (int i = 0; i < kVectors; ++i) {
        V value = depth > 0 ? stack[0][i] : V::zero();
        if (args.residual != nullptr) {
            const float* from = args.residual + at + 16 * i;
            const V residual = whole ? V::load(from) : V::load_first(from, width);
            value = depth > 0 ? vadd(residual, value) : residual;
        }
        if (whole) {
            value.store(args.out + at + 16 * i);
        } else {
            value.store_first(args.out + at, width);
        }
    }
}

template <class V>
static void combine_op(const CombineArgs& args, const Stream& stream) {
    parallel_rows(stream, args.rows, rows_per_thread(4 * args.columns), [&](int begin, int end) {
        for (int row = begin; row < end; ++row) {
            int column = 0;
            for (; column + 64 <= args.columns; column += 64) combine_chunk<V, 4>(args, row, column, 64);
            for (; column < args.columns; column += 16) {
                const int left = args.columns - column;
                combine_chunk<V, 1>(args, row, column, left < 16 ? left : 16);
            }
        }
    });
}

}  // namespace argosy
