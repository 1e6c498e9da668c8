// Quantises checkpoint rows into int8 panels; the same bytes whatever the instruction set.
#include "kernels/cpu/int8_blocks.hpp"

#include "kernels/quant/block_format.hpp"

namespace argosy {

namespace {

// One block of one row into lane `lane` of a panel's block.
void place_block(const float* values, int count, int lane, std::byte* block) {
    std::int8_t code[kInt8Block] = {};
    reinterpret_cast<float*>(block)[lane] = int8_quantise(values, count, code);
    auto* to = reinterpret_cast<std::uint8_t*>(block) + 64 + lane * 4;
    for (int k = 0; k < int8_padded(count); k += 4, to += 64) {
        for (int i = 0; i < 4; ++i) to[i] = static_cast<std::uint8_t>(code[k + i] + 128);
    }
}

}  // namespace

void cpu_pack_int8(const PackArgs& args) {
    const std::int64_t bytes = panel_bytes(args.spec);
    float values[kInt8Block];
    for (std::int64_t row = args.row_begin; row < args.row_begin + args.rows; ++row) {
        const std::byte* from =
            static_cast<const std::byte*>(args.source) + (row - args.row_begin) * args.source_stride_bytes;
        std::byte* to = static_cast<std::byte*>(args.packed) + row / kPanelOutputs * bytes;
        for (int i = 0; i < leaf_parts(args.spec); ++i) {
            const std::int64_t end = leaf_part_begin(args.spec, i + 1);
            for (std::int64_t k = leaf_part_begin(args.spec, i); k < end; k += kInt8Block) {
                const int count = static_cast<int>(end - k < kInt8Block ? end - k : kInt8Block);
                decode_row(args.source_dtype, from, args.source_columns, args.source_first + k, count, values);
                place_block(values, count, static_cast<int>(row % kPanelOutputs), to);
                to += panel_part_bytes(DType::int8, count);
            }
        }
    }
}

}  // namespace argosy
