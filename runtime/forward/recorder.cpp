// Collecting recorded rows.
#include "runtime/forward/recorder.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace argosy {

namespace {
constexpr float kUnseen = std::numeric_limits<float>::quiet_NaN();
constexpr std::int32_t kUnseenId = -2;
}  // namespace

RecordedRequest& Recorder::of(const std::string& name, std::span<const std::int32_t> tokens) {
    const auto [it, added] = requests_.try_emplace(name);
    RecordedRequest& request = it->second;
    if (!added) return request;
    const std::size_t t = tokens.size();
    const auto layers = static_cast<std::size_t>(plan_.layer_count);
    const auto top_k = static_cast<std::size_t>(plan_.moe.top_k);
    request.tokens.assign(tokens.begin(), tokens.end());
    if (what_.logits) request.logits.assign(t * static_cast<std::size_t>(plan_.vocab_size), kUnseen);
    if (what_.mtp) request.mtp_logits.assign((t - 1) * static_cast<std::size_t>(plan_.vocab_size), kUnseen);
    if (what_.hidden) request.hidden_states.assign((layers + 1) * t * static_cast<std::size_t>(plan_.hidden), kUnseen);
    if (what_.router && top_k > 0) {
        request.router_ids.assign(layers * t * top_k, kUnseenId);
        request.router_weights.assign(layers * t * top_k, kUnseen);
        for (std::size_t layer = 0; layer < layers; ++layer) {
            if (plan_.layers[layer].kind == LayerKind::moe) continue;
            std::fill_n(request.router_ids.begin() + static_cast<std::ptrdiff_t>(layer * t * top_k), t * top_k, -1);
            std::fill_n(request.router_weights.begin() + static_cast<std::ptrdiff_t>(layer * t * top_k), t * top_k,
                        0.0f);
        }
    }
    return request;
}

void Recorder::hidden(const std::string& name, std::span<const std::int32_t> tokens, int layer, int position,
                      const float* row) {
    if (!what_.hidden) return;
    const std::size_t at = (static_cast<std::size_t>(layer) * tokens.size() + static_cast<std::size_t>(position)) *
                           static_cast<std::size_t>(plan_.hidden);
    std::copy_n(row, plan_.hidden, of(name, tokens).hidden_states.begin() + static_cast<std::ptrdiff_t>(at));
}

void Recorder::router(const std::string& name, std::span<const std::int32_t> tokens, int layer, int position,
                      const std::int32_t* ids, const float* weights) {
    if (!what_.router) return;
    const std::size_t at = (static_cast<std::size_t>(layer) * tokens.size() + static_cast<std::size_t>(position)) *
                           static_cast<std::size_t>(plan_.moe.top_k);
    RecordedRequest& request = of(name, tokens);
    std::copy_n(ids, plan_.moe.top_k, request.router_ids.begin() + static_cast<std::ptrdiff_t>(at));
    std::copy_n(weights, plan_.moe.top_k, request.router_weights.begin() + static_cast<std::ptrdiff_t>(at));
}

void Recorder::logits(const std::string& name, std::span<const std::int32_t> tokens, int position, const float* row) {
    if (!what_.logits) return;
    const std::size_t at = static_cast<std::size_t>(position) * static_cast<std::size_t>(plan_.vocab_size);
    std::copy_n(row, plan_.vocab_size, of(name, tokens).logits.begin() + static_cast<std::ptrdiff_t>(at));
}

void Recorder::predicted(const std::string& name, std::span<const std::int32_t> tokens, int position,
                         const float* row) {
    if (!what_.mtp || position + 1 >= std::ssize(tokens)) return;
    const std::size_t at = static_cast<std::size_t>(position) * static_cast<std::size_t>(plan_.vocab_size);
    std::copy_n(row, plan_.vocab_size, of(name, tokens).mtp_logits.begin() + static_cast<std::ptrdiff_t>(at));
}

}  // namespace argosy
