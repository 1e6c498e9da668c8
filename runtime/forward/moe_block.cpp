// One mixture-of-experts feed-forward on one rank.
#include "runtime/forward/moe_block.hpp"

#include "parallel/leaf_sum.hpp"

namespace argosy {

namespace {
std::size_t floats(std::int64_t rows, std::int64_t columns) {
    return static_cast<std::size_t>(rows * columns) * sizeof(float);
}

ExpertExchange::Config exchange_config(const RankContext& rank, int rows_per_round) {
    return {.placement = contiguous_placement(rank.plan.moe.experts, rank.layout.ep),
            .hidden = rank.plan.hidden,
            .top_k = rank.plan.moe.top_k,
            .rows_per_round = rows_per_round,
            .etp_present = present_parts(expert_leaf_units(rank.plan), rank.layout.etp)};
}
}  // namespace

MoeBlock::MoeBlock(RankContext& rank, int rows_max, int rows_per_round)
    : rank_(rank), exchange_(*rank.groups.stage, *rank.groups.etp, rank.ops, exchange_config(rank, rows_per_round)) {
    const MoePlan& moe = rank.plan.moe;
    brings_bias_ = expert_leaves(rank.plan, rank.place.etp_rank, rank.layout.etp).k_begin == 0;
    experts_ =
        experts_at(contiguous_placement(moe.experts, rank.layout.ep), rank.groups.stage->rank() / rank.layout.etp);
    const std::int64_t own_max = (rows_max + rank.layout.tp - 1) / rank.layout.tp;
    normed_ = Buffer(floats(own_max, rank.plan.hidden));
    router_scratch_ = Buffer(floats(own_max, std::int64_t{2} * moe.experts));
    ids_ = Buffer(floats(own_max, moe.top_k));
    weights_ = Buffer(floats(own_max, moe.top_k));
}

void MoeBlock::run(int layer, int own_rows, float* x) {
    const ModelPlan& plan = rank_.plan;
    const LayerWeights& weights = rank_.weights.layers[static_cast<std::size_t>(layer)];

    rank_.clock.switch_to(Account::router);
    run_op(rank_.ops.rms_norm,
           {.rows = own_rows,
            .hidden = plan.hidden,
            .x = x,
            .weight = weights.ffn_norm,
            .eps = plan.rms_eps,
            .out = normed_.as<float>()},
           rank_.stream);
    run_op(rank_.ops.route,
           {.rows = own_rows,
            .experts = plan.moe.experts,
            .top_k = plan.moe.top_k,
            .rule = plan.moe.routing,
            .x = normed_.as<float>(),
            .weight = weights.router,
            .bias = weights.router_bias,
            .choice_bias = weights.choice_bias,
            .scratch = router_scratch_.as<float>(),
            .ids = ids_.as<std::int32_t>(),
            .weights = weights_.as<float>()},
           rank_.stream);

    rank_.clock.switch_to(Account::dispatch_combine);
    const int rounds = exchange_.begin(own_rows, ids(), this->weights(), normed_.as<float>());
    for (int round = 0; round < rounds; ++round) {
        const ExpertExchange::Received& in = exchange_.dispatch(round);
        rank_.clock.switch_to(Account::experts);
        const bool works = in.grouped_rows > 0 && !weights.down.empty();
        if (works) {
            compute(weights, in);
            note_busiest(in);
        }
        rank_.clock.switch_to(Account::dispatch_combine);
        exchange_.return_results(round, works ? results_.as<float>() : nullptr, rank_.stream);
    }
    exchange_.finish(x, x, rank_.stream);
}

// Buffers grow to the largest round seen and stay: how many rows arrive is the routers' choice.
void MoeBlock::compute(const LayerWeights& weights, const ExpertExchange::Received& in) {
    computed_.grouped_rows += in.grouped_rows;
    for (int group = 0; group < in.groups; ++group)
        computed_.experts_hit += in.group_begin[group + 1] > in.group_begin[group] ? 1 : 0;
    hidden_.grow(floats(in.grouped_rows, weights.gate[0].spec.n));
    results_.grow(floats(in.grouped_rows, rank_.plan.hidden));
    run_op(rank_.ops.gate_up,
           {.groups = in.groups,
            .group_begin = in.group_begin,
            .row_index = in.row_index,
            .gate = weights.gate.data(),
            .up = weights.up.data(),
            .x = in.x,
            .h = hidden_.as<float>(),
            .x_rows = in.rows,
            .scratch = product_scratch(rank_, scratch_, weights.gate[0].spec, in.rows),
            .gate_bias = weights.gate_bias.empty() ? nullptr : weights.gate_bias.data(),
            .up_bias = weights.up_bias.empty() ? nullptr : weights.up_bias.data(),
            .swiglu_limit = rank_.plan.moe.swiglu_limit},
           rank_.stream);
    const bool biased = !weights.down_bias.empty() && brings_bias_;
    run_op(rank_.ops.leaf_projection,
           {.groups = in.groups,
            .group_begin = in.group_begin,
            .weight = weights.down.data(),
            .x = hidden_.as<float>(),
            .out = results_.as<float>(),
            .scratch = product_scratch(rank_, scratch_, weights.down[0].spec, in.grouped_rows),
            .bias = biased ? weights.down_bias.data() : nullptr},
           rank_.stream);
}

// The expert with the most rows, for ranks that wait for this one.
void MoeBlock::note_busiest(const ExpertExchange::Received& in) {
    const auto rows = [&](int group) { return in.group_begin[group + 1] - in.group_begin[group]; };
    int busiest = 0;
    for (int group = 1; group < in.groups; ++group) {
        if (rows(group) > rows(busiest)) busiest = group;
    }
    rank_.clock.note_expert(experts_[static_cast<std::size_t>(busiest)]);
}

std::int64_t MoeBlock::workspace_bytes() const {
    return exchange_.workspace_bytes() +
           static_cast<std::int64_t>(normed_.bytes() + router_scratch_.bytes() + ids_.bytes() + weights_.bytes() +
                                     hidden_.bytes() + results_.bytes() + scratch_.bytes());
}

}  // namespace argosy
