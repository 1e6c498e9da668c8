// The text of `argosy inspect MODEL`.
#include "runtime/model/inspect.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "kernels/base/error.hpp"
#include "runtime/model/families.hpp"
#include "runtime/model/kv_groups.hpp"

namespace argosy {

std::vector<LayoutShare> layout_shares(const ModelPlan& plan, const InspectOptions& options) {
    if (options.dp < 1 || options.tp < 1 || options.etp < 1 || options.ep < 0) {
        fail(ErrorKind::usage, "dp {}, tp {}, ep {}, etp {} cannot be; each is at least 1.", options.dp, options.tp,
             options.ep, options.etp);
    }
    const int ranks = options.dp * options.tp;
    const bool moe = plan.moe.experts > 0;
    const int ep = !moe ? 1 : options.ep != 0 ? options.ep : std::max(1, ranks / options.etp);
    if (moe && ep * options.etp != ranks) {
        fail(ErrorKind::usage, "ep {} times etp {} is {}; it must be dp times tp, which is {}.", ep, options.etp,
             ep * options.etp, ranks);
    }
    if (!moe && (options.ep > 1 || options.etp > 1)) {
        fail(ErrorKind::usage, "ep {} and etp {} split experts, and this model has none; use tp.", options.ep,
             options.etp);
    }
    std::vector<LayoutShare> shares;
    for (int rank = 0; rank < ranks; ++rank) {
        LayoutShare share{rank % options.tp, options.tp, 0, 1, 0, 1};
        if (moe) share = {share.tp_rank, share.tp, rank / options.etp, ep, rank % options.etp, options.etp};
        shares.push_back(share);
    }
    return shares;
}

namespace {

// "46.7 B", "2.49 M": three digits, for reading; the exact number stands beside it.
std::string rounded(double value) {
    const char* unit = "";
    for (const char* next : {"k", "M", "B", "T"}) {
        if (value < 999.5) break;
        value /= 1000;
        unit = next;
    }
    return fmt::format("{:.3g}{}{}", value, *unit ? " " : "", unit);
}

// "1,234,567"
std::string grouped(std::int64_t value) {
    std::string text = std::to_string(value);
    for (auto at = static_cast<std::ptrdiff_t>(text.size()) - 3; at > 0; at -= 3)
        text.insert(static_cast<std::size_t>(at), ",");
    return text;
}

std::string binary_size(std::int64_t bytes) {
    double value = static_cast<double>(bytes);
    const char* unit = "B";
    for (const char* next : {"KiB", "MiB", "GiB", "TiB"}) {
        if (value < 1024) break;
        value /= 1024;
        unit = next;
    }
    return *unit == 'B' ? fmt::format("{} B", bytes) : fmt::format("{:.2f} {}", value, unit);
}

std::string line(std::string_view name, std::string_view value) { return fmt::format("{:<22}{}\n", name, value); }

std::string shape_lines(const ModelPlan& plan) {
    const AttentionPlan& attention = plan.attention;
    const int moe_layers = moe_layer_count(plan);
    std::string layers = fmt::format("{}", plan.layer_count);
    if (moe_layers > 0 && moe_layers < plan.layer_count)
        layers += fmt::format(" ({} mixture, {} dense)", moe_layers, plan.layer_count - moe_layers);
    std::string text = line("layers", layers) + line("hidden", fmt::format("{}", plan.hidden));
    text += line(
        "attention",
        fmt::format("{} heads, {} KV heads, head size {}{}", attention.q_heads, attention.kv_heads, attention.head_dim,
                    attention.qk_norm == QkNorm::none ? "" : fmt::format(", q/k norm {}", name_of(attention.qk_norm))));
    if (attention.over_latents()) {
        text += line("latents", fmt::format("{} elements and {} that rope turns, per token and layer",
                                            attention.latent.kv_rank, attention.rope.rotary_dim));
    }
    if (moe_layers > 0) {
        text += line("experts", fmt::format("{} per layer, {} per token, intermediate {}{}", plan.moe.experts,
                                            plan.moe.top_k, plan.moe.intermediate, routing_words(plan.moe.routing)));
    }
    for (const LayerPlan& layer : plan.layers) {
        if (layer.kind != LayerKind::dense) continue;
        text += line("dense feed-forward", fmt::format("intermediate {}", layer.intermediate));
        break;
    }
    const RopeScaling& scaling = attention.rope.scaling;
    text += line("rope", fmt::format("theta {}{}", attention.rope.theta,
                                     scaling.kind == RopeScalingKind::none
                                         ? std::string()
                                         : fmt::format(", {} scaling by {} from {} positions", name_of(scaling.kind),
                                                       scaling.factor, scaling.original_max_positions)));
    text += line("vocabulary",
                 fmt::format("{}{}", plan.vocab_size, plan.tie_embeddings ? ", head tied to the embedding" : ""));
    return text + line("positions", fmt::format("{}", plan.max_positions));
}

// Of `bytes` in all layers the parts of the KV classes, where there are several or one that is not the usual.
std::string kv_by_class(const ModelPlan& plan, std::int64_t bytes) {
    std::map<int, std::int64_t> layers;  // by window
    for (const LayerPlan& layer : plan.layers) ++layers[layer.window];
    if (plan.attention.over_latents()) return ", latents";
    if (layers.size() == 1 && layers.begin()->first == 0) return {};
    std::string text;
    for (const auto& [window, count] : layers) {
        text +=
            fmt::format("{} {} in {} layers {}", text.empty() ? ":" : ",", grouped(bytes / plan.layer_count * count),
                        count, window == 0 ? "that see all" : fmt::format("with a window of {}", window));
    }
    return text;
}

std::string kv_lines(const ModelPlan& plan) {
    const auto amount = [&](DType dtype) {
        const std::int64_t bytes = kv_bytes_per_token(plan, dtype);
        return fmt::format("{} bytes ({}){}", grouped(bytes), binary_size(bytes), kv_by_class(plan, bytes));
    };
    std::string text = line("KV per token, bf16", amount(DType::bf16)) + line("KV per token, f32", amount(DType::f32));
    if (!plan.attention.over_latents()) text += line("KV per token, int8", amount(DType::int8));
    if (const std::string groups = describe(kv_groups(plan)); !groups.empty()) text += line("KV blocks", groups);
    return text;
}

// The layer that a checkpoint may have behind the last, which no figure above counts.
std::string predictor_line(const ModelPlan& plan) {
    if (plan.predictors == 0 || runs_predictor(plan)) return {};
    const std::int64_t more = count_parameters(with_predictor(plan)).total - count_parameters(plan).total;
    return line("predictor", fmt::format("a layer that predicts one token further, not counted here: {} ({})",
                                         grouped(more), rounded(static_cast<double>(more))));
}

// One line per class of weights that the model has: over all ranks the least and the most bytes.
std::string rank_lines(const std::vector<WeightBytes>& ranks) {
    const auto spread = [&](auto bytes_of) {
        const auto [least, most] =
            std::minmax_element(ranks.begin(), ranks.end(),
                                [&](const WeightBytes& a, const WeightBytes& b) { return bytes_of(a) < bytes_of(b); });
        return fmt::format("{:>22}{:>22}{:>14}", grouped(bytes_of(*least)), grouped(bytes_of(*most)),
                           binary_size(bytes_of(*most)));
    };
    std::string text = fmt::format("  {:<12}{:>22}{:>22}\n", "", "least bytes", "most bytes");
    for (int i = 0; i < kWeightClassCount; ++i) {
        const auto weight_class = static_cast<WeightClass>(i);
        if (std::all_of(ranks.begin(), ranks.end(), [&](const WeightBytes& bytes) { return bytes[weight_class] == 0; }))
            continue;
        text += fmt::format("  {:<12}{}\n", name_of(weight_class),
                            spread([&](const WeightBytes& bytes) { return bytes[weight_class]; }));
    }
    return text + fmt::format("  {:<12}{}\n", "total", spread([](const WeightBytes& bytes) { return bytes.total(); }));
}

std::string inspect(const ModelPlan& plan, const std::vector<StoredTensor>* stored, const InspectOptions& options) {
    const std::vector<LayoutShare> shares = layout_shares(plan, options);
    const ParameterCount parameters = count_parameters(plan);
    const DType dtype = plan.dtype.value_or(DType::bf16);
    std::string text = line("family", plan.family);
    text += line("parameters",
                 fmt::format("{} ({})", grouped(parameters.total), rounded(static_cast<double>(parameters.total))));
    text += line("active per token",
                 fmt::format("{} ({}): all but the experts that are not chosen{}", grouped(parameters.active),
                             rounded(static_cast<double>(parameters.active)),
                             plan.tie_embeddings                ? "; a tied embedding counts once"
                             : family_of(plan).embedding_active ? ""
                                                                : " and the embedding, as its authors count"));
    text += shape_lines(plan) + predictor_line(plan) + kv_lines(plan);
    std::vector<WeightBytes> ranks;
    for (const LayoutShare& share : shares) {
        ranks.push_back(stored != nullptr ? weight_bytes(plan, *stored, share)
                                          : weight_bytes(plan, static_cast<std::int64_t>(size_of(dtype)), share));
    }
    text +=
        fmt::format("weights per rank, {}, on {} rank{}: dp {}, tp {}, ep {}, etp {}\n",
                    stored != nullptr ? std::string("as stored") : fmt::format("in {}", name_of(dtype)), shares.size(),
                    shares.size() == 1 ? "" : "s", options.dp, options.tp, shares.front().ep, shares.front().etp);
    return text + rank_lines(ranks);
}

}  // namespace

std::string inspect_text(const ModelPlan& plan, const InspectOptions& options) {
    return inspect(plan, nullptr, options);
}

std::string inspect_text(const ModelPlan& plan, const std::vector<StoredTensor>& stored,
                         const InspectOptions& options) {
    return inspect(plan, &stored, options);
}

}  // namespace argosy
