// What every half of a layer begins with: the norm of the residual stream, of all rows of the group.
#pragma once

#include "kernels/base/account_clock.hpp"
#include "parallel/leaf_sum.hpp"
#include "runtime/forward/rank_context.hpp"

namespace argosy {

// normed [rows, hidden] = norm(x) with `weight` [hidden]: of the own rows, x [own rows, hidden], computed here, of
// others gathered from the tensor-parallel ranks. Collective; the clock is left in `account`.
void norm_all_rows(RankContext& rank, LeafSum& leaf_sum, Account account, int rows, const float* x, const float* weight,
                   float* normed);

}  // namespace argosy
