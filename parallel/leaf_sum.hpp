// Sums of partial products over tensor-parallel ranks in the one fixed tree of rule R2, scattered by rows; and rows
// gathered back.
//
// In forward, a dp group's R rows are whole on each of its tp ranks while attention or a dense block runs; in between,
// the residual stream is cut by rows: tp rank t owns rows [R*t/tp, R*(t+1)/tp) (row_share in rank_layout.hpp).
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/base/buffer.hpp"
#include "kernels/ops.hpp"
#include "parallel/communicator.hpp"

namespace argosy {

// Which tp ranks own a leaf of a product of n units, as bits: rank t has bit 1 << t. Pure.
std::uint32_t present_parts(std::int64_t units, int parts);

// Holds the receive buffers; they grow to the largest sum and stay.
class LeafSum {
  public:
    // Both outlive the object. tp.size() is 1, 2, 4 or 8.
    LeafSum(Communicator& tp, const Ops& ops);

    // out = residual + tree over the present ranks' partials, for this rank's own rows. Collective.
    struct Args {
        std::int64_t rows = 0;  // R of the group; 0 is allowed
        int columns = 0;
        std::uint32_t present = 0;       // bit t: tp rank t brings a partial; the same on all ranks
        const float* partial = nullptr;  // [rows, columns] of this rank; null if it is absent
        const float* residual =
            nullptr;  // [own rows, columns], or null: none is added (then, with nothing present, out is untouched)
        float* out = nullptr;  // [own rows, columns]; may be residual
    };
    void sum_rows(const Args& args, const Stream& stream);

    // all = the own rows of all ranks, in order. Collective. `own` may already stand at its place in `all`.
    void gather_rows(std::int64_t rows, int columns, const float* own, float* all);
    // The same for rows of any element size.
    void gather_row_bytes(std::int64_t rows, std::int64_t bytes_per_row, const void* own, void* all);

    // leaves [rows, kLeafCount]: this rank's leaves of every row, at their places, become those of all ranks.
    // Collective.
    void gather_leaves(std::int64_t rows, float* leaves);

    Communicator& communicator() { return tp_; }
    std::int64_t workspace_bytes() const { return static_cast<std::int64_t>(received_.bytes() + leaves_.bytes()); }

  private:
    Communicator& tp_;
    const Ops& ops_;
    Buffer received_;  // [present others, own rows, columns]
    Buffer leaves_;    // [ranks + 1, rows, leaves of a rank], this rank's own last
    std::vector<SendPart> send_;
    std::vector<ReceivePart> receive_;
    std::vector<std::int64_t> counts_;
};

}  // namespace argosy
