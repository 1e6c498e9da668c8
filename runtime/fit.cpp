// Adding up what a rank holds.
#include "runtime/fit.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "kernels/base/step_cost.hpp"
#include "runtime/model/kv_groups.hpp"
#include "runtime/schedule/kv_window.hpp"

namespace argosy {

namespace {

constexpr std::int64_t kFloatBytes = 4;
constexpr std::int64_t kProcessBytes = std::int64_t{64} << 20;    // program, MPI, tables
constexpr std::int64_t kLogitsBytesMax = std::int64_t{64} << 20;  // of a chunk of the vocabulary projection
constexpr int kRanksMax = 4096;

LayoutShare share_of_rank(const RankLayout& layout, int world_rank) {
    const RankPlace place = place_of(layout, world_rank);
    return {.tp_rank = place.tp_rank,
            .tp = layout.tp,
            .ep_rank = place.ep_rank,
            .ep = layout.ep,
            .etp_rank = place.etp_rank,
            .etp = layout.etp};
}

std::int64_t common_bytes(const WeightBytes& w) {
    return w[WeightClass::embedding] + w[WeightClass::norms] + w[WeightClass::router];
}
std::int64_t attention_bytes(const WeightBytes& w) {
    return w[WeightClass::attention] + w[WeightClass::dense] + w[WeightClass::head];
}

// Ranks first .. first + sharing - 1 keep each distinct part once (the arenas of forward/weight_arenas.hpp); a rank's
// part is an equal share of that.
std::int64_t shared_weight_bytes(const FitQuestion& question, const RankLayout& layout, int first) {
    const int sharing = std::min(question.sharing_ranks, layout.world_size() - first);
    std::set<int> tp_ranks;
    std::set<std::pair<int, int>> expert_ranks;
    std::int64_t bytes = 0;
    for (int rank = first; rank < first + sharing; ++rank) {
        const LayoutShare share = share_of_rank(layout, rank);
        const bool new_tp = tp_ranks.insert(share.tp_rank).second;
        const bool new_experts = expert_ranks.insert({share.ep_rank, share.etp_rank}).second;
        if (!new_tp && !new_experts) continue;
        const WeightBytes weights = question.weights(share);
        if (rank == first) bytes += common_bytes(weights);
        if (new_tp) bytes += attention_bytes(weights);
        if (new_experts) bytes += weights[WeightClass::experts];
    }
    return bytes / std::max(1, sharing);
}

// `rows` rows as a product reads them: codes of a byte, scales and padding; or bf16, padded leaf by leaf.
std::int64_t code_floats(const FitQuestion& question, std::int64_t rows, std::int64_t columns) {
    if (question.products == Products::int8) return rows * (columns / 3 + 64);
    return question.products == Products::bf16_tiles ? rows * (columns / 2 + kLeafCount * 16) : 0;
}

std::int64_t attention_buffer_floats(const FitQuestion& question, const RankLayout& layout, int tp_rank) {
    const ModelPlan& plan = *question.plan;
    const std::int64_t rows = question.max_rows;
    const std::int64_t q = q_heads_of(plan, tp_rank, layout.tp).count();
    const std::int64_t kv = kv_heads_of(plan, tp_rank, layout.tp).count();
    const std::int64_t own = (rows + layout.tp - 1) / layout.tp;
    const AttentionPlan& attention = plan.attention;
    const LatentPlan& latent = attention.latent;
    const std::int64_t heads = attention.over_latents()
                                   ? rows * (latent.q_rank + attention.cached_dim() +
                                             q * (attention.head_dim + latent.nope_dim + attention.cached_dim() +
                                                  latent.kv_rank + latent.value_dim))
                                   : rows * (3 * q + 2 * kv) * attention.head_dim;  // qkv, q, attended
    return heads + 2 * rows * plan.hidden + own * plan.hidden * layout.tp +         // normed, projected; stream, sums
           code_floats(question, rows, std::max<std::int64_t>(plan.hidden, q * plan.attention.head_dim));
}

std::int64_t dense_buffer_floats(const FitQuestion& question, const RankLayout& layout, int tp_rank) {
    const ModelPlan& plan = *question.plan;
    const std::int64_t rows = question.max_rows;
    std::int64_t columns = 0;
    for (int layer = 0; layer < plan.layer_count; ++layer) {
        if (plan.layers[static_cast<std::size_t>(layer)].kind == LayerKind::dense)
            columns = std::max(columns, dense_leaves(plan, layer, tp_rank, layout.tp).cut.columns());
    }
    if (columns == 0) return 0;
    return rows * (2 * plan.hidden + columns) +
           code_floats(question, rows, std::max<std::int64_t>(plan.hidden, columns));
}

// Rows that arrive are the routers' choice: twice the even spread is provided for.
std::int64_t expert_buffer_floats(const FitQuestion& question, const RankLayout& layout, const LayoutShare& share) {
    const ModelPlan& plan = *question.plan;
    if (plan.moe.experts == 0) return 0;
    const std::int64_t rows = question.max_rows;
    const std::int64_t own = (rows + layout.tp - 1) / layout.tp;
    const std::int64_t arriving_max =
        layout.stage_size() *
        std::min<std::int64_t>(own,
                               layout.stage_size() == 1
                                   ? own
                                   : exchange_rows_of(question.exchange_rows, question.max_rows, layout.stage_size()));
    const std::int64_t local = experts_of(plan, share.ep_rank, share.ep).count();
    const std::int64_t grouped =
        std::min(arriving_max * std::min<std::int64_t>(local, plan.moe.top_k),
                 2 * arriving_max * plan.moe.top_k * local / plan.moe.experts + plan.moe.top_k);
    const std::int64_t columns = expert_leaves(plan, share.etp_rank, share.etp).cut.columns();
    std::int64_t floats =
        own * (plan.hidden + plan.moe.experts + 2 * plan.moe.top_k) +
        grouped * (columns + plan.hidden) +  // hidden values and results
        std::max(code_floats(question, arriving_max, plan.hidden), code_floats(question, grouped, columns));
    if (layout.stage_size() > 1) {
        const std::int64_t arriving = std::min(arriving_max, grouped);
        const std::int64_t home = own * std::min(plan.moe.top_k, layout.ep);
        floats += (own + 2 * arriving + home) * plan.hidden;      // sent, received, sums, home
        if (layout.etp > 1) floats += 2 * grouped * plan.hidden;  // partial sums of the columns
    }
    return floats;
}

std::int64_t vocabulary_buffer_floats(const FitQuestion& question, const RankLayout& layout, int tp_rank) {
    const ModelPlan& plan = *question.plan;
    const std::int64_t rows = std::clamp<std::int64_t>(kLogitsBytesMax / (plan.vocab_size * kFloatBytes), 16, 512);
    const std::int64_t sampled = (rows + layout.tp - 1) / layout.tp;
    const std::int64_t whole = layout.tp > 1 ? 2 * sampled * plan.vocab_size : 0;
    return rows * (2 * plan.hidden + vocab_of(plan, tp_rank, layout.tp).count()) + whole +
           std::int64_t{2} * question.threads * plan.vocab_size + code_floats(question, rows, plan.hidden);
}

RankMemory memory_of_rank(const FitQuestion& question, const RankLayout& layout, int rank) {
    const ModelPlan& plan = *question.plan;
    const LayoutShare share = share_of_rank(layout, rank);
    RankMemory memory;
    memory.weight_bytes = shared_weight_bytes(question, layout, rank / question.sharing_ranks * question.sharing_ranks);
    const KvGroups groups = kv_groups(plan);
    const std::int64_t layer_bytes = kKvBlockTokens *
                                     kv_bytes_per_token(plan, question.kv_dtype, share.tp_rank, layout.tp) /
                                     std::ssize(plan.layers);
    memory.kv_bytes = question.kv_memory_bytes > 0
                          ? question.kv_memory_bytes
                          : most_blocks(groups.windows, question.positions, question.max_rows) *
                                groups.layers_per_block * layer_bytes;
    memory.buffer_bytes = kProcessBytes + question.positions * plan.attention.rope.rotary_dim * kFloatBytes +
                          kFloatBytes * (attention_buffer_floats(question, layout, share.tp_rank) +
                                         dense_buffer_floats(question, layout, share.tp_rank) +
                                         expert_buffer_floats(question, layout, share) +
                                         vocabulary_buffer_floats(question, layout, share.tp_rank));
    return memory;
}

std::string gib(std::int64_t bytes) {
    const double value = static_cast<double>(bytes);
    return bytes < std::int64_t{1} << 30 ? fmt::format("{:.1f} MiB", value / 1048576.0)
                                         : fmt::format("{:.1f} GiB", value / 1073741824.0);
}

// Numbers of ranks that people ask for: 1, 2, 3, 4, 6, 8, 12, 16, ...
std::vector<int> usual_rank_counts() {
    std::vector<int> counts;
    for (int power = 1; power <= kRanksMax; power *= 2) {
        counts.push_back(power);
        if (power >= 2 && power / 2 * 3 <= kRanksMax) counts.push_back(power / 2 * 3);
    }
    std::sort(counts.begin(), counts.end());
    return counts;
}

// The fewest ranks, each with as much memory as a rank has here, in which some layout fits.
std::string what_suffices(const FitQuestion& question, int world, const ModelShape& shape) {
    std::int64_t least_bytes = 0;
    for (const int ranks : usual_rank_counts()) {
        if (ranks <= world) continue;
        for (const RankLayout& layout : list_layouts(ranks, shape)) {
            if (layout.replicas > 1) continue;
            const std::int64_t needed = memory_needed(question, layout).total();
            if (least_bytes == 0 || needed < least_bytes) least_bytes = needed;
            if (needed > question.bytes_per_rank) continue;
            const int nodes = (ranks + question.ranks_per_node - 1) / question.ranks_per_node;
            return fmt::format("{} ranks with as much memory each suffice ({}): {} node{} with {} rank{} each.", ranks,
                               describe(layout), nodes, nodes == 1 ? "" : "s", question.ranks_per_node,
                               question.ranks_per_node == 1 ? "" : "s");
        }
    }
    return fmt::format(
        "No number of ranks up to {} suffices with so little memory each{}. Start fewer ranks on a node.", kRanksMax,
        least_bytes > 0 ? fmt::format("; the least is {}", gib(least_bytes)) : "");
}

}  // namespace

int exchange_rows_of(int asked, int max_rows, int stage_size) {
    constexpr int kArrivingRows = 8192;
    constexpr int kLeastRows = 512;
    return asked > 0 ? asked : std::min(max_rows, std::max(kLeastRows, kArrivingRows / stage_size));
}

RankMemory memory_needed(const FitQuestion& question, const RankLayout& layout) {
    RankMemory most;
    for (const int rank : {0, layout.stage_size() - 1}) {  // shares rise by at most one unit, and the last has most
        const RankMemory memory = memory_of_rank(question, layout, rank);
        if (memory.total() > most.total()) most = memory;
    }
    return most;
}

Fit judge_fit(const FitQuestion& question, const RankLayout& layout, const ModelShape& shape) {
    Fit fit;
    fit.need = memory_needed(question, layout);
    fit.have_bytes = question.bytes_per_rank;
    fit.fits = fit.need.total() <= fit.have_bytes;
    const std::string numbers =
        fmt::format("{} of {} per rank (weights {}, KV {}, buffers {})", gib(fit.need.total()), gib(fit.have_bytes),
                    gib(fit.need.weight_bytes), gib(fit.need.kv_bytes), gib(fit.need.buffer_bytes));
    if (fit.fits) {
        fit.sentence = "fits: needs " + numbers;
        return fit;
    }
    const std::int64_t without_kv = fit.need.weight_bytes + fit.need.buffer_bytes;
    if (question.kv_memory_bytes > 0 && without_kv < fit.have_bytes) {
        fit.sentence =
            fmt::format("The KV pool does not fit: it needs {}. Give --kv-memory at most {}, or leave it out.", numbers,
                        gib(fit.have_bytes - without_kv));
        return fit;
    }
    fit.sentence = fmt::format("{} does not fit into {}: it needs {}. {}",
                               without_kv > fit.have_bytes ? "The model" : "The longest sequence",
                               layout.world_size() == 1 ? "one rank" : fmt::format("{} ranks", layout.world_size()),
                               numbers, what_suffices(question, layout.world_size(), shape));
    return fit;
}

}  // namespace argosy
