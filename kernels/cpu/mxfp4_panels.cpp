// Puts the codes of mxfp4 records into panels; the same bytes whatever the instruction set.
#include "kernels/cpu/mxfp4_panels.hpp"

#include <cstring>

#include "kernels/base/error.hpp"
#include "kernels/quant/block_format.hpp"

namespace argosy {

namespace {

// 32 codes, two to a byte in order of columns, to where column i shares a byte with column i + 16.
void place_group(const std::byte* codes, std::byte* lane) {
    const auto code = [&](int column) { return static_cast<unsigned>(codes[column / 2]) >> (column % 2 * 4) & 15U; };
    for (int i = 0; i < 16; ++i) lane[i] = static_cast<std::byte>(code(i) | code(i + 16) << 4);
}

void place_block(const Mxfp4Block& block, const std::byte* codes, int groups, int output, std::byte* to) {
    reinterpret_cast<float*>(to)[output] = block.scale;
    std::byte* tables = to + 64;
    std::byte* lane = to + kMxfp4HeadBytes + output % 4 * 64 + output / 4 * 16;
    for (int g = 0; g < groups; ++g) {
        tables[g * kPanelOutputs + output] = static_cast<std::byte>(block.table[g]);
        place_group(codes + g * (kMxfp4Block / 2), lane + g * kMxfp4GroupBytes);
    }
}

}  // namespace

void cpu_pack_mxfp4(const PackArgs& args) {
    const MatrixSpec& spec = args.spec;
    if (args.source_dtype != DType::mxfp4 || args.source_first % kMxfp4Block != 0)
        fail(ErrorKind::internal, "Panels of mxfp4 were to be made from {}, column {}.", name_of(args.source_dtype),
             args.source_first);
    const std::int64_t bytes = panel_bytes(spec);
    const std::int64_t scales = block_count(DType::mxfp4, args.source_columns);
    const std::int64_t first = args.source_first / kMxfp4Block;
    for (std::int64_t row = args.row_begin; row < args.row_begin + args.rows; ++row) {
        const std::byte* from =
            static_cast<const std::byte*>(args.source) + (row - args.row_begin) * args.source_stride_bytes;
        std::byte* to = static_cast<std::byte*>(args.packed) + row / kPanelOutputs * bytes;
        for (int i = 0; i < leaf_parts(spec); ++i) {
            const std::int64_t end = leaf_part_begin(spec, i + 1);
            for (std::int64_t k = leaf_part_begin(spec, i); k < end; k += kInt8Block) {
                const std::int64_t count = end - k < kInt8Block ? end - k : kInt8Block;
                const int groups = static_cast<int>(count / kMxfp4Block);
                const std::int64_t group = first + k / kMxfp4Block;
                const std::byte* codes = from + scales + group * (kMxfp4Block / 2);
                place_block(mxfp4_block(from + group, codes, groups), codes, groups,
                            static_cast<int>(row % kPanelOutputs), to);
                to += panel_part_bytes(spec.dtype, count);
            }
        }
    }
}

}  // namespace argosy
