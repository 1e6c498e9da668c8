// Counts what steps cost by formula (kernels/base/step_cost.hpp) beside what they really did: so that reports can say
// how near to the machine's limits a job came, and tests that formulas and counters agree to the byte.
#pragma once

#include <array>
#include <optional>

#include "kernels/base/account_clock.hpp"
#include "kernels/base/step_cost.hpp"
#include "parallel/rank_layout.hpp"
#include "runtime/forward/step_batch.hpp"
#include "runtime/model/model_plan.hpp"

namespace argosy {

// The sizes that costs depend on. logits_rows: rows of a chunk of the vocabulary projection.
CostModel cost_model(const ModelPlan& plan, DType weight_dtype, DType kv_dtype, int logits_rows);
CostPlace cost_place(const RankLayout& layout, const RankPlace& place);

class StepMeter {
  public:
    StepMeter(CostModel model, CostPlace place) : model_(std::move(model)), place_(place) {}

    // From now on the least time of every step on this machine is added up too.
    void compare_with(MachineSpeeds machine) { machine_ = std::move(machine); }

    // A step that has run; route and sent_bytes are what it did.
    void count(const StepBatch& batch, const CostRoute& route, std::int64_t sent_bytes, Phase phase);

    const StepCost& cost() const { return cost_; }
    std::int64_t sent_bytes() const { return sent_bytes_; }
    double limit_ns(Phase phase) const { return limit_ns_[static_cast<std::size_t>(phase)]; }

  private:
    CostModel model_;
    CostPlace place_;
    std::optional<MachineSpeeds> machine_;
    StepCost cost_;
    std::int64_t sent_bytes_ = 0;
    std::array<double, kPhaseCount> limit_ns_{};
};

}  // namespace argosy
