// Keeps what the forward pass computed of every prompt token, for comparison with reference values: logits, hidden
// states, routers, the predictor's logits. Writes HDF5.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "runtime/model/model_plan.hpp"

namespace argosy {

struct RecordWhat {
    bool logits = false;
    bool hidden = false;
    bool router = false;
    bool mtp = false;
};

// Values of one request's prompt of T tokens, in the shapes of the reference files.
struct RecordedRequest {
    std::vector<std::int32_t> tokens;  // [T]
    std::vector<float> logits;         // [T, vocab]
    std::vector<float>
        hidden_states;  // [layers + 1, T, hidden]: input of every layer, last the state before the final norm
    std::vector<std::int32_t> router_ids;  // [layers, T, top_k], -1 in dense layers
    std::vector<float> router_weights;     // [layers, T, top_k], 0 in dense layers
    std::vector<float> mtp_logits;         // [T - 1, vocab]: row t is the predictor's of token t + 2
};

// One per tensor-parallel rank; each keeps the rows it owns (hidden, router) or samples (logits). A group's ranks write
// files of their own, and read_record joins them: what a rank did not see is NaN or -2 in its file.
class Recorder {
  public:
    Recorder(const ModelPlan& plan, RecordWhat what) : plan_(plan), what_(what) {}

    const RecordWhat& what() const { return what_; }
    void hidden(const std::string& name, std::span<const std::int32_t> tokens, int layer, int position,
                const float* row);
    void router(const std::string& name, std::span<const std::int32_t> tokens, int layer, int position,
                const std::int32_t* ids, const float* weights);
    void logits(const std::string& name, std::span<const std::int32_t> tokens, int position, const float* row);
    void predicted(const std::string& name, std::span<const std::int32_t> tokens, int position, const float* row);

    // Writes FOLDER/rank-N.h5: one HDF5 group per request, named as in responses.
    void write(const std::filesystem::path& folder, int world_rank) const;

  private:
    RecordedRequest& of(const std::string& name, std::span<const std::int32_t> tokens);

    const ModelPlan& plan_;
    RecordWhat what_;
    std::map<std::string, RecordedRequest> requests_;
};

// Joins the files of all ranks. Error(input) when a file is no record.
std::map<std::string, RecordedRequest> read_record(const std::filesystem::path& folder);

}  // namespace argosy
