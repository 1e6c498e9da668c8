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

// Rule R2's tree over parts at one place: `load(part)` gives a part's value.
template <class V, class Load>
[[gnu::always_inline]] static inline V joined_parts(const LeafJoinArgs& args, const Load& load) {
    V value[kLeafCount] = {V::zero()};
    bool present[kLeafCount];
    for (int i = 0; i < args.parts; ++i) {
        present[i] = args.partial[i] != nullptr;
        value[i] = present[i] ? load(args.partial[i]) : V::zero();
    }
    for (int width = 1; width < args.parts; width *= 2) {
        for (int i = 0; i < args.parts; i += 2 * width) {
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
            const V tree = joined_parts<V>(args, load);
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

// Columns [column, column + width) of one row's expert tree (rule R4); the stack of waiting values stays in the
// first-level cache.
template <class V>
static void combine_chunk(const CombineArgs& args, int row, int column, int width) {
    V stack[kCombineDepthMax + 1];
    int depth = 0;
    for (int leaf = args.leaf_begin[row]; leaf < args.leaf_begin[row + 1]; ++leaf) {
        const float* from = args.source + static_cast<std::int64_t>(args.leaf_source[leaf]) * args.columns + column;
        V value = width == 16 ? V::load(from) : V::load_first(from, width);
        if (args.leaf_weight != nullptr) value = vmul(V::set(args.leaf_weight[leaf]), value);
        for (int merge = 0; merge < args.leaf_merges[leaf]; ++merge) value = vadd(stack[--depth], value);
        stack[depth++] = value;
    }
    const std::int64_t at = static_cast<std::int64_t>(row) * args.columns + column;
    V value = depth > 0 ? stack[0] : V::zero();
    if (args.residual != nullptr) {
        const V residual = width == 16 ? V::load(args.residual + at) : V::load_first(args.residual + at, width);
        value = depth > 0 ? vadd(residual, value) : residual;
    }
    if (width == 16) {
        value.store(args.out + at);
    } else {
        value.store_first(args.out + at, width);
    }
}

template <class V>
static void combine_op(const CombineArgs& args, const Stream& stream) {
    parallel_rows(stream, args.rows, rows_per_thread(4 * args.columns), [&](int begin, int end) {
        for (int row = begin; row < end; ++row) {
            int column = 0;
            for (; column + 16 <= args.columns; column += 16) combine_chunk<V>(args, row, column, 16);
            if (column < args.columns) combine_chunk<V>(args, row, column, args.columns - column);
        }
    });
}

}  // namespace argosy
