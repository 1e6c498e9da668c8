// The expert exchange's messages. What goes where is decided in route_plan.cpp; here it moves.
#include "parallel/expert_exchange.hpp"

#include <algorithm>
#include <cstring>

#include "kernels/base/error.hpp"
#include "kernels/kernel_meter.hpp"

namespace argosy {

namespace {

constexpr std::int64_t kFloatBytes = sizeof(float);
constexpr std::int64_t kChoiceBytes = sizeof(std::int32_t) + sizeof(float);  // one expert id and its weight

// The rows `index` [count] of x side by side: x itself where they already stand so, else copied to `packed`.
const float* pack_rows(const float* x, const std::int32_t* index, std::int64_t count, int columns, float* packed) {
    if (count == 0) return packed;
    if (index[count - 1] - index[0] == count - 1)
        return x + static_cast<std::int64_t>(index[0]) * columns;  // indices ascend
    for (std::int64_t i = 0; i < count; ++i) {
        std::memcpy(packed + i * columns, x + static_cast<std::int64_t>(index[i]) * columns,
                    static_cast<std::size_t>(columns) * kFloatBytes);
    }
    return packed;
}

}  // namespace

ExpertExchange::ExpertExchange(Communicator& stage, Communicator& etp, const Ops& ops, Config config)
    : stage_(stage), etp_(etp), ops_(ops), config_(std::move(config)) {
    const int ep = config_.placement.ep;
    if (stage.size() != ep * etp.size() || stage.rank() % etp.size() != etp.rank()) {
        fail(ErrorKind::internal, "An expert exchange of ep {} x etp {} does not fit stage rank {} of {}.", ep,
             etp.size(), stage.rank(), stage.size());
    }
    const std::uint32_t members = (std::uint32_t{1} << etp.size()) - 1;
    if (config_.hidden < 1 || config_.top_k < 1 || config_.top_k > config_.placement.experts ||
        config_.rows_per_round < 1 || (config_.etp_present & members) == 0) {
        fail(ErrorKind::internal,
             "An expert exchange cannot be of hidden {}, top {} of {} experts, {} rows a round, present ranks {:#x}.",
             config_.hidden, config_.top_k, config_.placement.experts, config_.rows_per_round, config_.etp_present);
    }
    ep_rank_ = stage.rank() / etp.size();
    partials_.resize(static_cast<std::size_t>(etp.size()));
    partial_rows_.resize(static_cast<std::size_t>(etp.size()));
}

std::int64_t ExpertExchange::rows_to_come(int source, int ep_rank) const {
    return counts_[static_cast<std::size_t>(source * config_.placement.ep + ep_rank)];
}

int ExpertExchange::begin(int rows, const std::int32_t* ids, const float* weights, const float* x) {
    x_ = x;
    y_ = nullptr;
    returned_ = 0;
    plan_ = make_route_plan(rows, config_.top_k, ids, weights, config_.placement);
    ++planned_.steps;
    if (stage_.size() == 1) {
        rounds_ = rows > 0 ? 1 : 0;
    } else {
        agree_on_counts();
        if (rounds_ > 0) exchange_choices();
        finish_plan_ = make_finish_plan(plan_, config_.placement, etp_.size(), rounds_, config_.rows_per_round);
        home_.grow(static_cast<std::size_t>(finish_plan_.returned_rows) * static_cast<std::size_t>(config_.hidden) *
                   kFloatBytes);
    }
    planned_.rounds += rounds_;
    return rounds_;
}

// Every rank learns how many rows every rank has for every ep rank, and so the number of rounds.
void ExpertExchange::agree_on_counts() {
    const auto ep = static_cast<std::size_t>(config_.placement.ep);
    std::vector<std::int32_t> mine(ep);
    for (std::size_t g = 0; g < ep; ++g) mine[g] = plan_.send_count(static_cast<int>(g));
    counts_.resize(ep * static_cast<std::size_t>(stage_.size()));
    const std::int64_t bytes = static_cast<std::int64_t>(ep * sizeof(std::int32_t));
    stage_.all_gather(mine.data(), bytes, counts_.data());
    planned_.count_bytes += bytes * (stage_.size() - 1);
    rounds_ = rounds_for(*std::max_element(counts_.begin(), counts_.end()), config_.rows_per_round);
}

// The ids and weights of all rows of the step: per message first all ids, then all weights.
void ExpertExchange::exchange_choices() {
    const auto k = static_cast<std::size_t>(config_.top_k);
    const int stage = stage_.size();
    choices_send_.grow(plan_.send_row.size() * k * kChoiceBytes);
    auto* to = choices_send_.as<std::byte>();
    send_.assign(static_cast<std::size_t>(stage), {});
    for (int g = 0; g < config_.placement.ep; ++g) {
        const auto count = static_cast<std::size_t>(plan_.send_count(g));
        const SendPart part{to, static_cast<std::int64_t>(count * k) * kChoiceBytes};
        const std::int32_t* row = plan_.send_row.data() + plan_.send_begin[static_cast<std::size_t>(g)];
        for (std::size_t i = 0; i < count; ++i) {
            const std::size_t at = static_cast<std::size_t>(row[i]) * k;
            std::memcpy(to + i * k * sizeof(std::int32_t), &plan_.ids[at], k * sizeof(std::int32_t));
            std::memcpy(to + count * k * sizeof(std::int32_t) + i * k * sizeof(float), &plan_.weights[at],
                        k * sizeof(float));
        }
        to += part.bytes;
        for (int e = 0; e < etp_.size(); ++e) {
            const int s = g * etp_.size() + e;
            send_[static_cast<std::size_t>(s)] = part;
            if (s != stage_.rank()) planned_.choice_bytes += part.bytes;
        }
    }
    source_begin_.assign(1, 0);
    for (int s = 0; s < stage; ++s)
        source_begin_.push_back(source_begin_.back() + static_cast<std::int32_t>(rows_to_come(s, ep_rank_)));
    const auto total = static_cast<std::size_t>(source_begin_.back());
    choices_receive_.grow(total * k * kChoiceBytes);
    receive_.assign(static_cast<std::size_t>(stage), {});
    const auto message_of = [&](std::size_t s) {
        return choices_receive_.as<std::byte>() + static_cast<std::size_t>(source_begin_[s]) * k * kChoiceBytes;
    };
    for (std::size_t s = 0; s < receive_.size(); ++s) {
        receive_[s] = {message_of(s), static_cast<std::int64_t>(source_begin_[s + 1] - source_begin_[s]) *
                                          static_cast<std::int64_t>(k) * kChoiceBytes};
    }
    stage_.all_to_all_v(send_, receive_);
    step_ids_.resize(total * k);
    step_weights_.resize(total * k);
    for (std::size_t s = 0; s < receive_.size(); ++s) {
        const auto values = static_cast<std::size_t>(source_begin_[s + 1] - source_begin_[s]) * k;
        if (values == 0) continue;
        const auto at = static_cast<std::size_t>(source_begin_[s]) * k;
        std::memcpy(&step_ids_[at], message_of(s), values * sizeof(std::int32_t));
        std::memcpy(&step_weights_[at], message_of(s) + values * sizeof(std::int32_t), values * sizeof(float));
    }
}

// received_plan_ of the rows that travel in this round.
void ExpertExchange::plan_round(int round) {
    const auto k = static_cast<std::ptrdiff_t>(config_.top_k);
    round_ids_.clear();
    round_weights_.clear();
    source_count_.clear();
    for (int s = 0; s < stage_.size(); ++s) {
        const RowRange share = round_share(rows_to_come(s, ep_rank_), round, config_.rows_per_round);
        const std::ptrdiff_t begin = (source_begin_[static_cast<std::size_t>(s)] + share.begin) * k;
        const std::ptrdiff_t end = (source_begin_[static_cast<std::size_t>(s)] + share.end) * k;
        round_ids_.insert(round_ids_.end(), step_ids_.begin() + begin, step_ids_.begin() + end);
        round_weights_.insert(round_weights_.end(), step_weights_.begin() + begin, step_weights_.begin() + end);
        source_count_.push_back(static_cast<std::int32_t>(share.count()));
    }
    received_plan_ = make_receive_plan(source_count_, config_.top_k, round_ids_.data(), round_weights_.data(),
                                       config_.placement, ep_rank_, etp_.rank(), etp_.size());
}

const ExpertExchange::Received& ExpertExchange::dispatch(int round) {
    if (stage_.size() == 1) {
        const std::int32_t rows[] = {plan_.rows};
        received_plan_ =
            make_receive_plan(rows, config_.top_k, plan_.ids.data(), plan_.weights.data(), config_.placement, 0, 0, 1);
        local_combine_ = make_local_combine(plan_, received_plan_, config_.placement);
        received_.x = x_;
    } else {
        plan_round(round);
        const std::int64_t row_bytes = config_.hidden * kFloatBytes;
        std::int64_t rows_out = 0;
        for (int g = 0; g < config_.placement.ep; ++g) {
            rows_out += round_share(plan_.send_count(g), round, config_.rows_per_round).count();
        }
        x_send_.grow(static_cast<std::size_t>(rows_out * row_bytes));
        x_receive_.grow(static_cast<std::size_t>(received_plan_.rows * row_bytes));
        send_.assign(static_cast<std::size_t>(stage_.size()), {});
        receive_.assign(static_cast<std::size_t>(stage_.size()), {});
        float* packed = x_send_.as<float>();
        for (int g = 0; g < config_.placement.ep; ++g) {
            const RowRange share = round_share(plan_.send_count(g), round, config_.rows_per_round);
            const std::int32_t* index =
                plan_.send_row.data() + plan_.send_begin[static_cast<std::size_t>(g)] + share.begin;
            const SendPart part{pack_rows(x_, index, share.count(), config_.hidden, packed), share.count() * row_bytes};
            packed += share.count() * config_.hidden;
            for (int e = 0; e < etp_.size(); ++e) {
                const int s = g * etp_.size() + e;
                send_[static_cast<std::size_t>(s)] = part;
                if (s == stage_.rank()) continue;
                planned_.dispatch_bytes += part.bytes;
                planned_.rows_sent += share.count();
            }
        }
        float* to = x_receive_.as<float>();
        for (std::size_t s = 0; s < receive_.size(); ++s) {
            receive_[s] = {to, source_count_[s] * row_bytes};
            to += static_cast<std::int64_t>(source_count_[s]) * config_.hidden;
        }
        stage_.all_to_all_v(send_, receive_);
        received_.x = x_receive_.as<float>();
    }
    received_.rows = received_plan_.rows;
    received_.groups = static_cast<int>(received_plan_.group_begin.size()) - 1;
    received_.grouped_rows = received_plan_.grouped_rows();
    received_.group_begin = received_plan_.group_begin.data();
    received_.row_index = received_plan_.row_index.data();
    return received_;
}

// Hands the etp ranks their parts of y, and gathers theirs of the grouped rows that this member combines.
void ExpertExchange::exchange_partials(const float* y) {
    const int members = etp_.size();
    const int self = etp_.rank();
    const std::int64_t row_bytes = config_.hidden * kFloatBytes;
    const auto present = [&](int e) { return (config_.etp_present >> e & 1) != 0; };
    const auto& begin = received_plan_.member_begin;
    const std::int64_t own_rows = begin[static_cast<std::size_t>(self) + 1] - begin[static_cast<std::size_t>(self)];
    member_send_.grow(static_cast<std::size_t>((received_plan_.grouped_rows() - own_rows) * row_bytes));
    member_receive_.grow(static_cast<std::size_t>((members - 1) * own_rows * row_bytes));
    send_.assign(static_cast<std::size_t>(members), {});
    receive_.assign(static_cast<std::size_t>(members), {});
    float* packed = member_send_.as<float>();
    float* slot = member_receive_.as<float>();
    for (int e = 0; e < members; ++e) {
        const auto at = static_cast<std::size_t>(e);
        const std::int32_t* rows = received_plan_.member_grouped.data() + begin[at];
        const std::int64_t count = begin[at + 1] - begin[at];
        partials_[at] = nullptr;
        partial_rows_[at] = nullptr;
        if (e == self) {
            if (present(self)) partials_[at] = y;
            partial_rows_[at] = rows;
            continue;
        }
        if (present(self)) {
            send_[at] = {pack_rows(y, rows, count, config_.hidden, packed), count * row_bytes};
            packed += count * config_.hidden;
            planned_.etp_bytes += count * row_bytes;
        }
        if (present(e)) {
            partials_[at] = slot;
            receive_[at] = {slot, own_rows * row_bytes};
            slot += own_rows * config_.hidden;
        }
    }
    etp_.all_to_all_v(send_, receive_);
}

void ExpertExchange::return_results(int round, const float* y, const Stream& stream) {
    if (stage_.size() == 1) {
        y_ = y;
        return;
    }
    const std::int64_t row_bytes = config_.hidden * kFloatBytes;
    const CombinePlan& combine = received_plan_.combine;
    subtree_.grow(static_cast<std::size_t>(combine.rows() * row_bytes));
    CombineArgs args = combine.args(config_.hidden, y, nullptr, subtree_.as<float>());
    if (etp_.size() > 1) {
        exchange_partials(y);
        args.parts = etp_.size();
        args.partial = partials_.data();
        args.partial_row = partial_rows_.data();
    }
    if (combine.rows() > 0) run_op(ops_.combine, args, stream);

    const auto stage = static_cast<std::size_t>(stage_.size());
    send_.assign(stage, {});
    receive_.assign(stage, {});
    const float* from = subtree_.as<float>();
    for (std::size_t s = 0; s < stage; ++s) {
        const std::int64_t out_rows = received_plan_.return_count[s];
        const std::int64_t in_rows = finish_plan_.return_count[static_cast<std::size_t>(round) * stage + s];
        send_[s] = {from, out_rows * row_bytes};
        receive_[s] = {home_.as<float>() + returned_ * config_.hidden, in_rows * row_bytes};
        from += out_rows * config_.hidden;
        returned_ += in_rows;
        if (static_cast<int>(s) == stage_.rank()) continue;
        planned_.return_bytes += out_rows * row_bytes;
        planned_.rows_returned += out_rows;
    }
    stage_.all_to_all_v(send_, receive_);
}

void ExpertExchange::finish(const float* residual, float* out, const Stream& stream) {
    if (plan_.rows == 0) return;
    if (stage_.size() == 1) {
        run_op(ops_.combine, local_combine_.args(config_.hidden, y_, residual, out), stream);
    } else {
        run_op(ops_.combine, finish_plan_.combine.args(config_.hidden, home_.as<float>(), residual, out), stream);
    }
}

std::int64_t ExpertExchange::received_rows_max(std::int64_t max_step_rows) const {
    if (stage_.size() == 1) return max_step_rows;
    return stage_.size() * std::min(max_step_rows, config_.rows_per_round);
}

std::int64_t ExpertExchange::grouped_rows_max(std::int64_t max_step_rows) const {
    const std::int64_t local = config_.placement.local_count[static_cast<std::size_t>(ep_rank_)];
    return received_rows_max(max_step_rows) * std::min<std::int64_t>(local, config_.top_k);
}

std::int64_t ExpertExchange::workspace_bytes() const {
    std::size_t sum = 0;
    for (const Buffer* buffer : {&choices_send_, &choices_receive_, &x_send_, &x_receive_, &member_send_,
                                 &member_receive_, &subtree_, &home_}) {
        sum += buffer->bytes();
    }
    return static_cast<std::int64_t>(sum);
}

}  // namespace argosy
