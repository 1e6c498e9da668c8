// The forward pass of one step on one rank: embedding, layers, vocabulary. Owns the KV cache and every buffer between
// the ops.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "runtime/forward/attention_block.hpp"
#include "runtime/forward/dense_block.hpp"
#include "runtime/forward/kv_cache.hpp"
#include "runtime/forward/latent_block.hpp"
#include "runtime/forward/moe_block.hpp"
#include "runtime/forward/predictor.hpp"
#include "runtime/forward/rank_context.hpp"
#include "runtime/forward/recorder.hpp"
#include "runtime/forward/step_batch.hpp"
#include "runtime/forward/step_meter.hpp"
#include "runtime/forward/vocabulary.hpp"

namespace argosy {

struct RunnerConfig {
    int rows_max = 512;       // rows of a step of this data-parallel group
    int exchange_rows = 512;  // rows per round of the expert exchange between two ranks
    int kv_blocks = 0;
    DType kv_dtype = DType::bf16;
    int positions = 0;  // longest sequence of the job
};

// The prompt row that a row of the step is, for the recorder; an empty name: none.
struct RecordedRow {
    std::string name;
    std::span<const std::int32_t> prompt;
    int position = 0;
};

class ModelRunner {
  public:
    ModelRunner(const ModelPlan& plan, const RankWeights& weights, const Ops& ops, const Stream& stream,
                const RankLayout& layout, const RankPlace& place, Groups& groups, AccountClock& clock,
                const RunnerConfig& config);
    ModelRunner(const ModelRunner&) = delete;
    ModelRunner& operator=(const ModelRunner&) = delete;

    // Collective over the stage; a group without work takes part with an empty batch. Returns results for batch.wanted,
    // on every tensor-parallel rank.
    const std::vector<SampleResult>& run(const StepBatch& batch);

    // From now on values of the rows that row_of names go to the recorder.
    void record_to(Recorder* recorder, std::function<RecordedRow(int row)> row_of);

    StepMeter& meter() { return meter_; }
    const StepMeter& meter() const { return meter_; }

    std::int64_t kv_bytes() const { return cache_.bytes(); }
    std::int64_t workspace_bytes() const;
    ExpertExchange::PlannedTraffic exchange_traffic() const {
        return moe_ ? moe_->planned() : ExpertExchange::PlannedTraffic{};
    }

  private:
    // Counters since the start, whose rise over a step is the step's.
    struct Done {
        CostRoute route;
        std::int64_t sent_bytes = 0;
    };
    Done done() const;
    void embed(const StepBatch& batch, const RowRange& own);
    void run_attention(int layer, const StepBatch& batch, float* x);
    void run_mixture(int layer, int rows, int own_rows, float* x);
    void predict_further(const StepBatch& batch, const RowRange& own);
    void record_hidden(int layer, const RowRange& own);
    void record_router(int layer, const RowRange& own);

    RunnerConfig config_;
    std::vector<float> rope_cos_, rope_sin_;
    RankContext rank_;
    KvCache cache_;
    LeafSum leaf_sum_;
    std::unique_ptr<AttentionBlock> attention_;  // one of these two
    std::unique_ptr<LatentBlock> latent_;
    DenseBlock dense_;
    std::unique_ptr<MoeBlock> moe_;         // null: a dense model
    std::unique_ptr<Predictor> predictor_;  // null: it does not run
    Vocabulary vocabulary_;
    StepMeter meter_;
    Buffer x_;          // [own rows, hidden] the residual stream
    Buffer shared_;     // [own rows, hidden] what stands beside the experts gave
    Buffer further_x_;  // [own rows, hidden] the predictor's stream
    std::vector<SampleResult> results_, further_results_;
    Recorder* recorder_ = nullptr;
    std::function<RecordedRow(int)> row_of_;
};

}  // namespace argosy
