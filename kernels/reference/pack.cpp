// Packing and block sizes: the reference keeps matrices row-major in the dtype of the spec.
#include "kernels/reference/matrix.hpp"
#include "kernels/reference/reference_ops.hpp"

namespace argosy::reference {

std::size_t packed_bytes(const MatrixSpec& spec) {
    return static_cast<std::size_t>(spec.n * spec.k) * size_of(spec.dtype);
}

void pack(const PackArgs& args) {
    const auto* source = static_cast<const std::byte*>(args.source);
    for (std::int64_t row = 0; row < args.rows; ++row) {
        const std::byte* from = source + row * args.source_stride_bytes;
        for (std::int64_t k = 0; k < args.spec.k; ++k) {
            store(args.packed, args.spec.dtype, (args.row_begin + row) * args.spec.k + k,
                  load(from, args.source_dtype, k));
        }
    }
}

std::size_t kv_block_bytes(const KvSpec& spec) {
    return std::size_t{2} * static_cast<std::size_t>(spec.kv_heads * kKvBlockTokens * spec.head_dim) *
           size_of(spec.dtype);
}

}  // namespace argosy::reference
