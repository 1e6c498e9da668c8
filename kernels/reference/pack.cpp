// Packing and block sizes: the reference keeps matrices row-major in the dtype of the spec, int8 ones as matrix.hpp
// says.
#include "kernels/quant/block_format.hpp"
#include "kernels/reference/matrix.hpp"
#include "kernels/reference/reference_ops.hpp"

namespace argosy::reference {

namespace {

// One row as int8: blocks begin with K and with every leaf.
void pack_int8_row(const PackArgs& args, const std::byte* from, std::int64_t row) {
    const MatrixSpec& spec = args.spec;
    const Int8Matrix to = int8_matrix(spec, args.packed);
    const int parts = spec.cut.count == 0 ? 1 : spec.cut.count;
    for (int part = 0; part < parts; ++part) {
        const std::int64_t begin = spec.cut.count == 0 ? 0 : spec.cut.begin[part];
        const std::int64_t end = spec.cut.count == 0 ? spec.k : spec.cut.begin[part + 1];
        for (std::int64_t k = begin; k < end; k += kInt8Block) {
            const int count = static_cast<int>(end - k < kInt8Block ? end - k : kInt8Block);
            float values[kInt8Block];
            decode_row(args.source_dtype, from, args.source_columns, args.source_first + k, count, values);
            to.scale[row * spec.k + k] = int8_quantise(values, count, to.code + row * spec.k + k);
        }
    }
}

}  // namespace

std::size_t packed_bytes(const MatrixSpec& spec) {
    const auto elements = static_cast<std::size_t>(spec.n * spec.k);
    return takes_codes(spec.dtype) ? elements * (sizeof(float) + 1) : elements * size_of(spec.dtype);
}

std::size_t product_scratch_bytes(const MatrixSpec&, std::int64_t, int) { return 0; }

void pack(const PackArgs& args) {
    const auto* source = static_cast<const std::byte*>(args.source);
    for (std::int64_t row = 0; row < args.rows; ++row) {
        const std::byte* from = source + row * args.source_stride_bytes;
        if (takes_codes(args.spec.dtype)) {
            pack_int8_row(args, from, args.row_begin + row);
            continue;
        }
        for (std::int64_t k = 0; k < args.spec.k; ++k) {
            float value = 0;
            decode_row(args.source_dtype, from, args.source_columns, args.source_first + k, 1, &value);
            store(args.packed, args.spec.dtype, (args.row_begin + row) * args.spec.k + k, value);
        }
    }
}

std::size_t kv_block_bytes(const KvSpec& spec) {
    return static_cast<std::size_t>(kKvBlockTokens * kv_token_bytes(spec));
}

}  // namespace argosy::reference
