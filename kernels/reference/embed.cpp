// Embedding: a row of the table per token.
#include "kernels/reference/matrix.hpp"
#include "kernels/reference/reference_ops.hpp"

namespace argosy::reference {

void embed(const EmbedArgs& args, const Stream&) {
    for (std::int64_t row = 0; row < args.rows; ++row) {
        for (std::int64_t i = 0; i < args.hidden; ++i) {
            args.out[row * args.hidden + i] =
                load(args.table, args.dtype, args.token[row] * std::int64_t{args.hidden} + i);
        }
    }
}

}  // namespace argosy::reference
