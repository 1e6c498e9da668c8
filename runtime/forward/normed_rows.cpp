// The norm of own rows, and the others' from their ranks.
#include "runtime/forward/normed_rows.hpp"

namespace argosy {

void norm_all_rows(RankContext& rank, LeafSum& leaf_sum, Account account, int rows, const float* x, const float* weight,
                   float* normed) {
    const RowRange own = own_rows(rank, rows);
    float* own_normed = normed + own.begin * rank.plan.hidden;
    rank.clock.switch_to(account);
    run_op(rank.ops.rms_norm,
           {.rows = static_cast<int>(own.count()),
            .hidden = rank.plan.hidden,
            .x = x,
            .weight = weight,
            .eps = rank.plan.rms_eps,
            .out = own_normed},
           rank.stream);
    if (rank.layout.tp == 1) return;
    rank.clock.switch_to(Account::leaf_sum);
    leaf_sum.gather_rows(rows, rank.plan.hidden, own_normed, normed);
    rank.clock.switch_to(account);
}

}  // namespace argosy
