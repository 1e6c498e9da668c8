// Packs checkpoint rows into panels; the same bytes whatever the instruction set.
#include "kernels/cpu/panels.hpp"

#include "kernels/cpu/int8_blocks.hpp"
#include "kernels/cpu/mxfp4_panels.hpp"
#include "kernels/quant/bf16.hpp"
#include "kernels/quant/block_format.hpp"
#include "kernels/quant/f16.hpp"

namespace argosy {

namespace {

struct SourceF32 {
    using Element = float;
    static float f32(float value) { return value; }
    static std::uint16_t bf16(float value) { return encode_bf16(value); }
};
struct SourceBf16 {
    using Element = std::uint16_t;
    static float f32(std::uint16_t value) { return decode_bf16(value); }
    static std::uint16_t bf16(std::uint16_t value) { return value; }
};
struct SourceF16 {
    using Element = std::uint16_t;
    static float f32(std::uint16_t value) { return decode_f16(value); }
    static std::uint16_t bf16(std::uint16_t value) { return encode_bf16(decode_f16(value)); }
};

template <class Source>
struct WithoutDenormals {
    using Element = typename Source::Element;
    static std::uint16_t bf16(Element value) { return encode_bf16_pairs(Source::f32(value)); }
};

// The rows of one panel that are to be placed: lanes [begin, end), row l of the matrix at source + (l - begin) *
// stride_bytes.
struct PanelRows {
    int begin = 0;
    int end = 0;
    const std::byte* source = nullptr;
    std::int64_t stride_bytes = 0;
};

// Columns are walked in runs that keep 16 source lines and the panel's lines in the first cache.
constexpr std::int64_t kRun = 64;

template <class Source>
void place_f32(const PanelRows& rows, std::int64_t k_begin, std::int64_t k_end, float* out) {
    for (std::int64_t run = k_begin; run < k_end; run += kRun) {
        const std::int64_t run_end = run + kRun < k_end ? run + kRun : k_end;
        for (int lane = rows.begin; lane < rows.end; ++lane) {
            const auto* from = reinterpret_cast<const typename Source::Element*>(rows.source + (lane - rows.begin) *
                                                                                                   rows.stride_bytes);
            float* to = out + lane;
            for (std::int64_t k = run; k < run_end; ++k) to[(k - k_begin) * kPanelOutputs] = Source::f32(from[k]);
        }
    }
}

template <class Source>
void place_bf16(const PanelRows& rows, std::int64_t k_begin, std::int64_t k_end, std::uint32_t* out) {
    for (std::int64_t run = k_begin; run < k_end; run += kRun) {
        const std::int64_t run_end = run + kRun < k_end ? run + kRun : k_end;
        for (int lane = rows.begin; lane < rows.end; ++lane) {
            const auto* from = reinterpret_cast<const typename Source::Element*>(rows.source + (lane - rows.begin) *
                                                                                                   rows.stride_bytes);
            std::uint32_t* to = out + lane;
            for (std::int64_t k = run; k < run_end; k += 2) {
                const std::uint32_t low = Source::bf16(from[k]);
                const std::uint32_t high = k + 1 < k_end ? Source::bf16(from[k + 1]) : 0U;
                to[(k - k_begin) / 2 * kPanelOutputs] = low | high << 16;
            }
        }
    }
}

// Plain elements, where they stand.
template <class Source>
void place_part(const PackArgs& args, const PanelRows& rows, std::int64_t k_begin, std::int64_t k_end, std::byte* out) {
    if (args.spec.dtype == DType::bf16) {
        place_bf16<Source>(rows, k_begin, k_end, reinterpret_cast<std::uint32_t*>(out));
    } else if (args.spec.dtype == DType::bf16_pairs || args.spec.dtype == DType::bf16_tiles) {
        place_bf16<WithoutDenormals<Source>>(rows, k_begin, k_end, reinterpret_cast<std::uint32_t*>(out));
    } else {
        place_f32<Source>(rows, k_begin, k_end, reinterpret_cast<float*>(out));
    }
}

// Rows of blocks, decoded run by run.
struct SourceBlocks {};
template <>
void place_part<SourceBlocks>(const PackArgs& args, const PanelRows& rows, std::int64_t k_begin, std::int64_t k_end,
                              std::byte* out) {
    float values[kPanelOutputs][kRun];
    for (std::int64_t run = k_begin; run < k_end; run += kRun) {
        const std::int64_t count = k_end - run < kRun ? k_end - run : kRun;
        for (int lane = rows.begin; lane < rows.end; ++lane) {
            decode_row(args.source_dtype, rows.source + (lane - rows.begin) * rows.stride_bytes, args.source_columns,
                       args.source_first + run, count, values[lane - rows.begin]);
        }
        const PanelRows decoded{rows.begin, rows.end, reinterpret_cast<const std::byte*>(values), sizeof values[0]};
        place_part<SourceF32>(args, decoded, 0, count, out + panel_part_bytes(args.spec.dtype, run - k_begin));
    }
}

template <class Source>
void pack_from(const PackArgs& args) {
    const MatrixSpec& spec = args.spec;
    const std::int64_t bytes = panel_bytes(spec);
    const std::int64_t row_end = args.row_begin + args.rows;
    for (std::int64_t row = args.row_begin; row < row_end;) {
        const std::int64_t panel = row / kPanelOutputs;
        PanelRows rows;
        rows.begin = static_cast<int>(row - panel * kPanelOutputs);
        const std::int64_t left = row_end - row;
        rows.end = rows.begin + left < kPanelOutputs ? static_cast<int>(rows.begin + left) : kPanelOutputs;
        rows.source = static_cast<const std::byte*>(args.source) + (row - args.row_begin) * args.source_stride_bytes;
        rows.stride_bytes = args.source_stride_bytes;
        std::byte* out = static_cast<std::byte*>(args.packed) + panel * bytes;
        for (int i = 0; i < leaf_parts(spec); ++i) {
            const std::int64_t k_begin = leaf_part_begin(spec, i);
            const std::int64_t k_end = leaf_part_begin(spec, i + 1);
            place_part<Source>(args, rows, k_begin, k_end, out);
            out += panel_part_bytes(spec.dtype, k_end - k_begin);
        }
        row += rows.end - rows.begin;
    }
}

}  // namespace

std::size_t cpu_packed_bytes(const MatrixSpec& spec) {
    return static_cast<std::size_t>(panel_count(spec) * panel_bytes(spec));
}

void cpu_pack(const PackArgs& args) {
    if (args.spec.dtype == DType::int8) return cpu_pack_int8(args);
    if (args.spec.dtype == DType::mxfp4_int8) return cpu_pack_mxfp4(args);
    switch (args.source_dtype) {
        case DType::bf16:
            return pack_from<SourceBf16>(args);
        case DType::f16:
            return pack_from<SourceF16>(args);
        case DType::f32:
            return pack_from<SourceF32>(args);
        default:
            return pack_from<SourceBlocks>(args);
    }
}

}  // namespace argosy
