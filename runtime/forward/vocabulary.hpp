// The end of a step: final norm, vocabulary projection split over tensor-parallel ranks, whole rows of logits brought
// together, and tokens chosen.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "kernels/base/buffer.hpp"
#include "runtime/forward/rank_context.hpp"
#include "runtime/forward/step_batch.hpp"

namespace argosy {

class Vocabulary {
  public:
    explicit Vocabulary(RankContext& rank);

    // Sees whole rows of logits on the rank that samples them: index into `wanted`, logits [vocab].
    using Observer = std::function<void(std::size_t wanted, const float* logits)>;

    // x [own rows of `rows`, hidden] is the state before the norm, which is the final one or the predictor's.
    // results[i] belongs to wanted[i] (by rising row), on every tensor-parallel rank. Collective over the group.
    void run(int rows, std::span<const WantedRow> wanted, const float* x, const float* norm,
             std::vector<SampleResult>& results, const Observer& observer);

    int chunk_rows() const { return chunk_rows_; }  // rows that are projected at once
    std::int64_t workspace_bytes() const;

  private:
    struct Chunk;
    const float* gather_normed(const Chunk& chunk, std::span<const WantedRow> wanted, const float* x, const float* norm,
                               int rows);
    const float* project(const Chunk& chunk, const float* normed);

    RankContext& rank_;
    int chunk_rows_;   // rows of logits that are whole in memory at once
    Buffer own_;       // [chunk rows, hidden] this rank's wanted rows, normed
    Buffer normed_;    // [chunk rows, hidden]
    Buffer part_;      // [chunk rows, vocabulary rows of this rank]
    Buffer received_;  // the other ranks' parts of the rows sampled here
    Buffer logits_;    // [rows sampled here, vocab]
    Buffer scratch_;   // of the sampler
    Buffer product_;   // scratch of the product
};

}  // namespace argosy
