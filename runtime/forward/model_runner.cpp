// Layer after layer.
#include "runtime/forward/model_runner.hpp"

#include "kernels/base/rope_table.hpp"

namespace argosy {

namespace {

std::vector<float> rope_frequencies(const ModelPlan& plan) {
    return rope_inverse_frequencies(plan.attention.rope, plan.attention.head_dim);
}

std::size_t rope_size(const ModelPlan& plan, int positions) {
    return static_cast<std::size_t>(positions) * static_cast<std::size_t>(plan.attention.rope.rotary_dim / 2);
}

// Format of the matrices, of which feed-forward ones are the most; where a rank holds none of a kind, another kind's.
DType weight_dtype(const RankWeights& weights) {
    for (const LayerWeights& layer : weights.layers) {
        if (!layer.gate.empty()) return layer.gate[0].spec.dtype;
    }
    for (const LayerWeights& layer : weights.layers) {
        if (layer.qkv.data != nullptr) return layer.qkv.spec.dtype;
        if (layer.q_b.data != nullptr) return layer.q_b.spec.dtype;
    }
    if (weights.head.data != nullptr) return weights.head.spec.dtype;
    return weights.embedding_dtype;
}

}  // namespace

ModelRunner::ModelRunner(const ModelPlan& plan, const RankWeights& weights, const Ops& ops, const Stream& stream,
                         const RankLayout& layout, const RankPlace& place, Groups& groups, AccountClock& clock,
                         const RunnerConfig& config)
    : config_(config),
      rope_cos_(rope_size(plan, config.positions)),
      rope_sin_(rope_size(plan, config.positions)),
      rank_{.plan = plan,
            .weights = weights,
            .ops = ops,
            .stream = stream,
            .layout = layout,
            .place = place,
            .groups = groups,
            .clock = clock,
            .heads = head_share(plan, place.tp_rank, layout.tp),
            .rope_cos = rope_cos_.data(),
            .rope_sin = rope_sin_.data()},
      cache_(kv_groups(plan), kv_spec(plan, rank_.heads.kv.count(), config.kv_dtype), ops, config.kv_blocks),
      leaf_sum_(*groups.tp, ops),
      dense_(rank_, leaf_sum_, config.rows_max),
      vocabulary_(rank_),
      meter_(cost_model(plan, weight_dtype(weights), config.kv_dtype, vocabulary_.chunk_rows()),
             cost_place(layout, place)),
      x_(static_cast<std::size_t>((config.rows_max + layout.tp - 1) / layout.tp) *
         static_cast<std::size_t>(plan.hidden) * sizeof(float)) {
    rope_table(rope_frequencies(plan), config.positions, rope_cos_.data(), rope_sin_.data(),
               plan.attention.rope.amplitude);
    if (plan.attention.over_latents()) {
        latent_ = std::make_unique<LatentBlock>(rank_, leaf_sum_, config.rows_max);
    } else {
        attention_ = std::make_unique<AttentionBlock>(rank_, leaf_sum_, config.rows_max);
    }
    if (plan.moe.experts > 0) moe_ = std::make_unique<MoeBlock>(rank_, config.rows_max, config.exchange_rows);
    if (plan.moe.shared_intermediate > 0) shared_ = Buffer(x_.bytes());
    if (!runs_predictor(plan)) return;
    predictor_ = std::make_unique<Predictor>(rank_, config.rows_max);
    further_x_ = Buffer(x_.bytes());
}

void ModelRunner::embed(const StepBatch& batch, const RowRange& own) {
    rank_.clock.switch_to(Account::attention);
    run_op(rank_.ops.embed,
           {.rows = static_cast<int>(own.count()),
            .hidden = rank_.plan.hidden,
            .token = batch.token.data() + own.begin,
            .table = rank_.weights.embedding,
            .dtype = rank_.weights.embedding_dtype,
            .out = x_.as<float>()},
           rank_.stream);
}

ModelRunner::Done ModelRunner::done() const {
    Done now;
    for (const Communicator* group : {rank_.groups.stage.get(), rank_.groups.tp.get(), rank_.groups.etp.get()})
        now.sent_bytes += group->traffic().bytes_sent();
    if (!moe_) return now;
    const ExpertExchange::PlannedTraffic& planned = moe_->planned();
    now.route = {.grouped_rows = moe_->computed().grouped_rows,
                 .experts_hit = moe_->computed().experts_hit,
                 .rows_sent = planned.rows_sent,
                 .rows_returned = planned.rows_returned,
                 .member_rows = planned.etp_bytes / (std::int64_t{rank_.plan.hidden} * 4),
                 .rounds = planned.rounds};
    return now;
}

void ModelRunner::run_attention(int layer, const StepBatch& batch, float* x) {
    if (latent_) return latent_->run(layer, batch, cache_, x);
    attention_->run(layer, batch, cache_, x);
}

// The experts' tree is added to the stream first, the shared feed-forward last (rule R4).
void ModelRunner::run_mixture(int layer, int rows, int own_rows, float* x) {
    const bool shared = rank_.plan.moe.shared_intermediate > 0;
    if (shared) dense_.run(layer, rows, x, nullptr, shared_.as<float>());
    moe_->run(layer, own_rows, x);
    if (!shared) return;
    const float* part = shared_.as<float>();
    run_op(rank_.ops.leaf_join,
           {.rows = own_rows, .columns = rank_.plan.hidden, .parts = 1, .partial = &part, .residual = x, .out = x},
           rank_.stream);
}

const std::vector<SampleResult>& ModelRunner::run(const StepBatch& batch) {
    const Done before = done();
    const RowRange own = own_rows(rank_, batch.rows);
    float* x = x_.as<float>();
    embed(batch, own);
    for (int layer = 0; layer < rank_.plan.layer_count; ++layer) {
        record_hidden(layer, own);
        run_attention(layer, batch, x);
        if (rank_.plan.layers[static_cast<std::size_t>(layer)].kind == LayerKind::moe) {
            run_mixture(layer, batch.rows, static_cast<int>(own.count()), x);
            record_router(layer, own);
        } else {
            dense_.run(layer, batch.rows, x, x, x);
        }
    }
    record_hidden(rank_.plan.layer_count, own);
    Vocabulary::Observer observer;
    if (recorder_ != nullptr) {
        observer = [&](std::size_t wanted, const float* logits) {
            const RecordedRow row = row_of_(batch.wanted[wanted].row);
            if (!row.name.empty()) recorder_->logits(row.name, row.prompt, row.position, logits);
        };
    }
    vocabulary_.run(batch.rows, batch.wanted, x, rank_.weights.final_norm, results_, observer);
    if (predictor_) predict_further(batch, own);
    const Done after = done();
    meter_.count(batch, after.route - before.route, after.sent_bytes - before.sent_bytes, rank_.clock.phase());
    rank_.clock.switch_to(Account::other);
    return results_;
}

// The predictor's layer over all rows, and its logits of those that are recorded and have a next token.
void ModelRunner::predict_further(const StepBatch& batch, const RowRange& own) {
    const int layer = rank_.plan.layer_count;
    float* x = further_x_.as<float>();
    predictor_->join(batch, x_.as<float>(), x);
    run_attention(layer, batch, x);
    run_mixture(layer, batch.rows, static_cast<int>(own.count()), x);
    std::vector<WantedRow> wanted;
    for (const WantedRow& row : batch.wanted) {
        const std::int32_t next = batch.next_token[static_cast<std::size_t>(row.row)];
        if (next == kNoToken) continue;
        wanted.push_back({.row = row.row, .span = row.span, .how = {}});
        wanted.back().how.forced_token = next;  // nothing is chosen
    }
    const auto observer = [&](std::size_t i, const float* logits) {
        if (recorder_ == nullptr) return;
        const RecordedRow row = row_of_(wanted[i].row);
        if (!row.name.empty()) recorder_->predicted(row.name, row.prompt, row.position, logits);
    };
    vocabulary_.run(batch.rows, wanted, x, rank_.weights.predictor.norm, further_results_, observer);
}

void ModelRunner::record_to(Recorder* recorder, std::function<RecordedRow(int row)> row_of) {
    recorder_ = recorder;
    row_of_ = std::move(row_of);
}

void ModelRunner::record_hidden(int layer, const RowRange& own) {
    if (recorder_ == nullptr) return;
    for (std::int64_t r = own.begin; r < own.end; ++r) {
        const RecordedRow row = row_of_(static_cast<int>(r));
        if (!row.name.empty())
            recorder_->hidden(row.name, row.prompt, layer, row.position,
                              x_.as<float>() + (r - own.begin) * rank_.plan.hidden);
    }
}

void ModelRunner::record_router(int layer, const RowRange& own) {
    if (recorder_ == nullptr) return;
    const int top_k = rank_.plan.moe.top_k;
    for (std::int64_t r = own.begin; r < own.end; ++r) {
        const RecordedRow row = row_of_(static_cast<int>(r));
        if (!row.name.empty())
            recorder_->router(row.name, row.prompt, layer, row.position, moe_->ids() + (r - own.begin) * top_k,
                              moe_->weights() + (r - own.begin) * top_k);
    }
}

std::int64_t ModelRunner::workspace_bytes() const {
    const std::int64_t attention = latent_ ? latent_->workspace_bytes() : attention_->workspace_bytes();
    const std::int64_t further =
        predictor_ ? predictor_->workspace_bytes() + static_cast<std::int64_t>(further_x_.bytes()) : 0;
    return attention + further + static_cast<std::int64_t>(shared_.bytes()) + dense_.workspace_bytes() +
           vocabulary_.workspace_bytes() + leaf_sum_.workspace_bytes() + (moe_ ? moe_->workspace_bytes() : 0) +
           static_cast<std::int64_t>(x_.bytes());
}

}  // namespace argosy
