// Sums over tensor-parallel ranks: every rank receives the others' partials of its own rows and joins them in the tree
// of rule R2.
#include "parallel/leaf_sum.hpp"

#include <algorithm>
#include <array>

#include "kernels/base/error.hpp"
#include "kernels/base/leaf_tree.hpp"
#include "kernels/kernel_meter.hpp"
#include "parallel/rank_layout.hpp"

namespace argosy {

std::uint32_t present_parts(std::int64_t units, int parts) {
    std::uint32_t present = 0;
    for (int part = 0; part < parts; ++part) {
        if (leaf_share(units, 1, part, parts).cut.columns() > 0) present |= std::uint32_t{1} << part;
    }
    return present;
}

LeafSum::LeafSum(Communicator& tp, const Ops& ops) : tp_(tp), ops_(ops) {
    const int size = tp.size();
    if (size != 1 && size != 2 && size != 4 && size != 8) {
        fail(ErrorKind::internal, "A leaf sum over {} ranks was asked for; leaves can be cut into 1, 2, 4 or 8 parts.",
             size);
    }
}

void LeafSum::sum_rows(const Args& args, const Stream& stream) {
    const int size = tp_.size();
    const int self = tp_.rank();
    const auto present = [&](int t) { return (args.present >> t & 1) != 0; };
    if (present(self) && args.partial == nullptr && args.rows > 0) {
        fail(ErrorKind::internal, "Rank {} of group {} owes a partial sum of {} rows and brought none.", self,
             tp_.name(), args.rows);
    }
    const RowRange own = row_share(args.rows, self, size);
    const std::int64_t row_bytes = static_cast<std::int64_t>(args.columns) * static_cast<std::int64_t>(sizeof(float));
    const std::int64_t own_floats = own.count() * args.columns;

    send_.assign(static_cast<std::size_t>(size), {});
    receive_.assign(static_cast<std::size_t>(size), {});
    std::array<const float*, kLeafCount> partial{};
    received_.grow(static_cast<std::size_t>((size - 1) * own.count() * row_bytes));
    float* slot = received_.as<float>();
    for (int t = 0; t < size; ++t) {
        if (t == self) {
            if (present(t) && args.rows > 0)
                partial[static_cast<std::size_t>(t)] = args.partial + own.begin * args.columns;
            continue;
        }
        const RowRange theirs = row_share(args.rows, t, size);
        if (present(self) && theirs.count() > 0) {
            send_[static_cast<std::size_t>(t)] = {args.partial + theirs.begin * args.columns,
                                                  theirs.count() * row_bytes};
        }
        if (present(t) && own.count() > 0) {
            receive_[static_cast<std::size_t>(t)] = {slot, own.count() * row_bytes};
            partial[static_cast<std::size_t>(t)] = slot;
            slot += own_floats;
        }
    }
    if (size > 1) tp_.all_to_all_v(send_, receive_);
    if (own.count() == 0 || (args.present == 0 && args.residual == nullptr)) return;
    LeafJoinArgs join;
    join.rows = static_cast<int>(own.count());
    join.columns = args.columns;
    join.parts = size;
    join.partial = partial.data();
    join.residual = args.residual;
    join.out = args.out;
    run_op(ops_.leaf_join, join, stream);
}

void LeafSum::gather_rows(std::int64_t rows, int columns, const float* own, float* all) {
    gather_row_bytes(rows, static_cast<std::int64_t>(columns) * static_cast<std::int64_t>(sizeof(float)), own, all);
}

void LeafSum::gather_row_bytes(std::int64_t rows, std::int64_t bytes_per_row, const void* own, void* all) {
    counts_.clear();
    for (int t = 0; t < tp_.size(); ++t) counts_.push_back(row_share(rows, t, tp_.size()).count() * bytes_per_row);
    tp_.all_gather_v(own, all, counts_);
}

void LeafSum::gather_leaves(std::int64_t rows, float* leaves) {
    const int size = tp_.size();
    if (size == 1) return;
    const std::int64_t count = kLeafCount / size;
    const std::int64_t part_floats = rows * count;
    leaves_.grow(static_cast<std::size_t>((size + 1) * part_floats) * sizeof(float));
    float* all = leaves_.as<float>();
    float* own = all + size * part_floats;
    for (std::int64_t row = 0; row < rows; ++row)
        std::copy_n(leaves + row * kLeafCount + tp_.rank() * count, count, own + row * count);
    tp_.all_gather(own, part_floats * static_cast<std::int64_t>(sizeof(float)), all);
    for (int t = 0; t < size; ++t) {
        for (std::int64_t row = 0; row < rows; ++row)
            std::copy_n(all + t * part_floats + row * count, count, leaves + row * kLeafCount + t * count);
    }
}

}  // namespace argosy
