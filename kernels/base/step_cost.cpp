// The formulas of a step's cost.
#include "kernels/base/step_cost.hpp"

#include <algorithm>
#include <cmath>

#include "kernels/base/error.hpp"
#include "kernels/base/leaf_tree.hpp"

namespace argosy {

namespace {

constexpr std::int64_t kFloatBytes = 4;
constexpr std::int64_t kChoiceBytes = 8;  // an expert's id and its weight
constexpr std::int64_t kCountBytes = 4;   // how many rows go to an ep rank
constexpr std::int64_t kStepWordBytes = 64;
constexpr std::int64_t kVocabUnitRows = 16;  // the vocabulary is cut between panels of 16 rows

struct Range {
    std::int64_t begin = 0;
    std::int64_t end = 0;
    std::int64_t count() const { return end - begin; }
};

// [n*part/parts, n*(part+1)/parts)
Range even_share(std::int64_t n, int part, int parts) { return {n * part / parts, n * (part + 1) / parts}; }

// Units of a row-parallel product that a rank owns (rule R2).
Range leaf_range(std::int64_t units, int part, int parts) {
    const LeafShare share = leaf_share(units, 1, part, parts);
    return {share.k_begin, share.k_end};
}

struct Heads {
    std::int64_t q = 0;
    std::int64_t kv = 0;
};
// kv heads are those that the rank's q heads read; neighbours may both hold one.
Heads heads_of(const CostModel& model, const CostPlace& place) {
    const Range q = leaf_range(model.q_heads, place.tp_rank, place.tp);
    if (q.count() == 0) return {};
    const std::int64_t q_per_kv = model.q_heads / model.kv_heads;
    return {q.count(), (q.end - 1) / q_per_kv + 1 - q.begin / q_per_kv};
}

std::int64_t vocab_of(const CostModel& model, const CostPlace& place) {
    const std::int64_t units = (model.vocab + kVocabUnitRows - 1) / kVocabUnitRows;
    const Range share = even_share(units, place.tp_rank, place.tp);
    return std::min(share.end * kVocabUnitRows, model.vocab) - std::min(share.begin * kVocabUnitRows, model.vocab);
}

// Floats in and out of a product of `rows` rows.
std::int64_t product_activations(std::int64_t rows, std::int64_t in, std::int64_t out) {
    return rows * (in + out) * kFloatBytes;
}

// Products of a row in the order in which they are made: columns in, columns out.
struct RowProduct {
    std::int64_t in = 0;
    std::int64_t out = 0;
};

void add_latent_attention(StepCost& cost, const CostModel& model, const CostPlace& place, const CostStep& step) {
    const CostLatents& latents = model.latents;
    const std::int64_t heads = heads_of(model, place).q;
    const std::int64_t q_dim = latents.nope_dim + latents.rope_dim;
    const std::int64_t cached = latents.cached_dim();
    const std::int64_t rows = heads > 0 ? model.layers() * step.rows : 0;
    std::vector<RowProduct> products;
    if (latents.q_rank > 0) products.push_back({model.hidden, latents.q_rank});
    products.push_back({latents.q_rank > 0 ? latents.q_rank : model.hidden, heads * q_dim});
    products.push_back({model.hidden, cached});
    products.push_back({heads * latents.value_dim, model.hidden});
    PartCost& parts = cost.of(CostPart::attention);
    const auto add = [&](std::int64_t elements, std::int64_t in, std::int64_t out) {
        parts += {.flops = 2 * rows * elements,
                  .weight_bytes = rows > 0 ? model.layers() * model.matrix_bytes(elements) : 0,
                  .kv_bytes = 0,
                  .activation_bytes = product_activations(rows, in, out)};
    };
    for (const RowProduct& product : products) add(product.in * product.out, product.in, product.out);
    // Head by head: queries into the latents' space, values out of it.
    add(heads * latents.nope_dim * latents.kv_rank, heads * latents.nope_dim, heads * latents.kv_rank);
    add(heads * latents.kv_rank * latents.value_dim, heads * latents.kv_rank, heads * latents.value_dim);
    cost.of(CostPart::scores) = {
        .flops = 2 * step.score_pairs * heads * (cached + latents.kv_rank),
        .weight_bytes = 0,
        .kv_bytes = heads > 0 ? model.kv_vector_bytes * (step.kv_tokens + model.layers() * step.rows) : 0,
        .activation_bytes = product_activations(rows, heads * cached, heads * latents.kv_rank)};
}

void add_attention(StepCost& cost, const CostModel& model, const CostPlace& place, const CostStep& step) {
    if (model.latents.kv_rank > 0) return add_latent_attention(cost, model, place, step);
    const Heads heads = heads_of(model, place);
    const std::int64_t layers = model.layers();
    const std::int64_t qkv = (heads.q + 2 * heads.kv) * model.head_dim;
    const std::int64_t out = heads.q * model.head_dim;
    const bool works = step.rows > 0 && heads.q > 0;
    const std::int64_t elements = model.hidden * (qkv + out);
    cost.of(CostPart::attention) = {.flops = 2 * layers * step.rows * elements,
                                    .weight_bytes = works ? layers * model.matrix_bytes(elements) : 0,
                                    .kv_bytes = 0,
                                    .activation_bytes = layers * (product_activations(step.rows, model.hidden, qkv) +
                                                                  product_activations(step.rows, out, model.hidden))};
    // Scores and weighted sum: 2 * head_dim operations each for every pair and q head. The step's own tokens are
    // written, then read with the others.
    const std::int64_t kv_token_bytes = 2 * heads.kv * model.kv_vector_bytes;
    cost.of(CostPart::scores) = {.flops = 4 * step.score_pairs * out,
                                 .weight_bytes = 0,
                                 .kv_bytes = kv_token_bytes * (step.kv_tokens + layers * step.rows),
                                 .activation_bytes = layers * product_activations(step.rows, out, out)};
}

void add_dense(StepCost& cost, const CostModel& model, const CostPlace& place, const CostStep& step) {
    for (const std::int64_t dense : model.dense_columns) {
        const std::int64_t width = dense > 0 ? dense : model.shared_columns;
        if (width == 0) continue;
        const std::int64_t columns = leaf_range(width, place.tp_rank, place.tp).count();
        const std::int64_t elements = 3 * model.hidden * columns;
        cost.of(CostPart::dense) += {.flops = 2 * step.rows * elements,
                                     .weight_bytes = step.rows > 0 ? model.matrix_bytes(elements) : 0,
                                     .kv_bytes = 0,
                                     .activation_bytes = 2 * product_activations(step.rows, model.hidden, columns)};
    }
}

void add_experts(StepCost& cost, const CostModel& model, const CostPlace& place, const CostStep& step) {
    const std::int64_t layers = model.mixture_layers();
    const std::int64_t own = even_share(step.rows, place.tp_rank, place.tp).count();
    const std::int64_t router = model.hidden * model.experts;
    cost.of(CostPart::router) = {.flops = 2 * layers * own * router,
                                 .weight_bytes = own > 0 ? layers * model.matrix_bytes(router) : 0,
                                 .kv_bytes = 0,
                                 .activation_bytes = layers * product_activations(own, model.hidden, model.experts)};
    const std::int64_t columns = leaf_range(model.expert_columns, place.etp_rank, place.etp).count();
    const std::int64_t elements = 3 * model.hidden * columns;
    cost.of(CostPart::experts) = {
        .flops = 2 * step.route.grouped_rows * elements,
        .weight_bytes = step.route.experts_hit * model.matrix_bytes(elements),
        .kv_bytes = 0,
        .activation_bytes = 2 * product_activations(step.route.grouped_rows, model.hidden, columns)};
}

// Wanted rows in chunks: who owns them gathers them normed, each rank computes its part of the logits of all, and gets
// whole logits of the rows that it samples.
void add_vocabulary(StepCost& cost, const CostModel& model, const CostPlace& place, const CostStep& step) {
    const std::int64_t columns = vocab_of(model, place);
    const Range own = even_share(step.rows, place.tp_rank, place.tp);
    const auto wanted = static_cast<std::int64_t>(step.wanted_rows.size());
    const std::int64_t others = place.tp - 1;
    std::int64_t chunks = 0;
    for (std::int64_t begin = 0; begin < wanted; begin += model.logits_rows, ++chunks) {
        const std::int64_t count = std::min(model.logits_rows, wanted - begin);
        const auto first = step.wanted_rows.begin() + begin;
        const std::int64_t owned =
            std::count_if(first, first + count, [&](std::int64_t row) { return row >= own.begin && row < own.end; });
        const std::int64_t sampled = even_share(count, place.tp_rank, place.tp).count();
        cost.sent.vocabulary += others * owned * model.hidden * kFloatBytes +
                                (count - sampled) * columns * kFloatBytes + others * sampled * model.sample_bytes;
    }
    if (place.tp > 1) cost.verbs += 3 * chunks;
    cost.of(CostPart::vocabulary) = {.flops = 2 * wanted * model.hidden * columns,
                                     .weight_bytes = chunks * model.matrix_bytes(model.hidden * columns),
                                     .kv_bytes = 0,
                                     .activation_bytes = product_activations(wanted, model.hidden, columns)};
}

// A row-parallel block over tp: normed rows are gathered, partial sums scattered.
void add_leaf_sums(StepCost& cost, const CostModel& model, const CostPlace& place, const CostStep& step) {
    if (place.tp == 1) return;
    const std::int64_t own = even_share(step.rows, place.tp_rank, place.tp).count();
    const std::int64_t row_bytes = model.hidden * kFloatBytes;
    const auto add_block = [&](std::int64_t times, bool owns_a_leaf) {
        cost.sent.row_gather += times * own * row_bytes * (place.tp - 1);
        if (owns_a_leaf) cost.sent.leaf_sum += times * (step.rows - own) * row_bytes;
        cost.verbs += 2 * times;
    };
    add_block(model.layers(), heads_of(model, place).q > 0);
    for (const std::int64_t dense : model.dense_columns) {
        const std::int64_t width = dense > 0 ? dense : model.shared_columns;
        if (width > 0) add_block(1, leaf_range(width, place.tp_rank, place.tp).count() > 0);
    }
}

void add_exchange(StepCost& cost, const CostModel& model, const CostPlace& place, const CostStep& step) {
    if (place.stage() == 1 || model.mixture_layers() == 0) return;
    const std::int64_t row_bytes = model.hidden * kFloatBytes;
    const CostRoute& route = step.route;
    cost.sent.exchange = model.mixture_layers() * place.ep * kCountBytes * (place.stage() - 1) +
                         route.rows_sent * (row_bytes + model.top_k * kChoiceBytes) + route.rows_returned * row_bytes;
    cost.sent.members = route.member_rows * row_bytes;
    cost.verbs += 2 * model.mixture_layers() + route.rounds * (place.etp > 1 ? 3 : 2);
}

// Probability that none of a row's top_k experts is among `held` of all.
double none_chosen(const CostModel& model, std::int64_t held) {
    double none = 1.0;
    for (std::int64_t i = 0; i < model.top_k; ++i)
        none *= std::max(0.0, static_cast<double>(model.experts - held - i)) / static_cast<double>(model.experts - i);
    return none;
}

std::int64_t rounded(double value) { return static_cast<std::int64_t>(std::llround(value)); }

}  // namespace

std::int64_t CostModel::mixture_layers() const {
    return std::count(dense_columns.begin(), dense_columns.end(), std::int64_t{0});
}

CostRoute& CostRoute::operator+=(const CostRoute& other) {
    grouped_rows += other.grouped_rows;
    experts_hit += other.experts_hit;
    rows_sent += other.rows_sent;
    rows_returned += other.rows_returned;
    member_rows += other.member_rows;
    rounds += other.rounds;
    return *this;
}

CostRoute CostRoute::operator-(const CostRoute& earlier) const {
    return {.grouped_rows = grouped_rows - earlier.grouped_rows,
            .experts_hit = experts_hit - earlier.experts_hit,
            .rows_sent = rows_sent - earlier.rows_sent,
            .rows_returned = rows_returned - earlier.rows_returned,
            .member_rows = member_rows - earlier.member_rows,
            .rounds = rounds - earlier.rounds};
}

PartCost& PartCost::operator+=(const PartCost& other) {
    flops += other.flops;
    weight_bytes += other.weight_bytes;
    kv_bytes += other.kv_bytes;
    activation_bytes += other.activation_bytes;
    return *this;
}

SentBytes& SentBytes::operator+=(const SentBytes& other) {
    row_gather += other.row_gather;
    leaf_sum += other.leaf_sum;
    exchange += other.exchange;
    members += other.members;
    vocabulary += other.vocabulary;
    return *this;
}

StepCost& StepCost::operator+=(const StepCost& other) {
    for (std::size_t i = 0; i < part.size(); ++i) part[i] += other.part[i];
    sent += other.sent;
    verbs += other.verbs;
    return *this;
}

PartCost StepCost::total() const {
    PartCost sum;
    for (const PartCost& p : part) sum += p;
    return sum;
}

std::string_view name_of(CostPart part) {
    constexpr std::string_view kNames[kCostPartCount] = {"embedding", "attention", "scores",    "dense",
                                                         "router",    "experts",   "vocabulary"};
    return kNames[static_cast<std::size_t>(part)];
}

void add_sequence(CostStep& step, const CostModel& model, std::int64_t first_position, std::int64_t rows,
                  WantedLogits wanted) {
    const std::int64_t full_layers = model.layers() - model.windowed_layers;
    for (std::int64_t i = 0; i < rows; ++i) {
        const std::int64_t keys = first_position + i + 1;
        step.score_pairs += full_layers * keys + model.windowed_layers * std::min(keys, model.window);
        if (wanted == WantedLogits::all || (wanted == WantedLogits::last && i == rows - 1))
            step.wanted_rows.push_back(step.rows + i);
    }
    const std::int64_t all = rows > 0 ? first_position + rows : 0;
    const std::int64_t unseen = rows > 0 ? std::max<std::int64_t>(0, first_position + 1 - model.window) : 0;
    step.kv_tokens += full_layers * all + model.windowed_layers * (all - unseen);
    step.rows += rows;
}

CostRoute expected_route(const CostModel& model, const CostPlace& place, std::int64_t rows,
                         std::int64_t rows_per_round) {
    CostRoute route;
    const std::int64_t layers = model.mixture_layers();
    if (layers == 0 || rows == 0) return route;
    const auto stage_rows = static_cast<double>(rows * place.dp);
    const auto layer_count = static_cast<double>(layers);
    const std::int64_t local = even_share(model.experts, place.ep_rank, place.ep).count();
    const double chosen = static_cast<double>(model.top_k) / static_cast<double>(model.experts);
    route.grouped_rows = rounded(layer_count * stage_rows * static_cast<double>(local) * chosen);
    route.experts_hit = rounded(layer_count * static_cast<double>(local) * (1.0 - std::pow(1.0 - chosen, stage_rows)));
    if (place.stage() == 1) {
        route.rounds = layers;
        return route;
    }
    const auto own = static_cast<double>(even_share(rows, place.tp_rank, place.tp).count());
    double sent = 0;
    double most = 0;
    for (int g = 0; g < place.ep; ++g) {
        const double hit = 1.0 - none_chosen(model, even_share(model.experts, g, place.ep).count());
        sent += own * hit * (g == place.ep_rank ? place.etp - 1 : place.etp);
        most = std::max(most, own * hit);
    }
    route.rows_sent = rounded(layer_count * sent);
    // Of the stage's rows that reach this ep rank, each etp rank returns its share; own rows stay.
    const double arrive = (stage_rows - own) * (1.0 - none_chosen(model, local));
    route.rows_returned = rounded(layer_count * arrive / place.etp);
    route.member_rows = rounded(static_cast<double>(route.grouped_rows) * (place.etp - 1) / place.etp);
    route.rounds = layers * std::max<std::int64_t>(
                                1, static_cast<std::int64_t>(std::ceil(most / static_cast<double>(rows_per_round))));
    return route;
}

StepCost step_cost(const CostModel& model, const CostPlace& place, const CostStep& step) {
    StepCost cost;
    const std::int64_t own = even_share(step.rows, place.tp_rank, place.tp).count();
    cost.of(CostPart::embedding) = {.flops = 0,
                                    .weight_bytes = own * model.matrix_bytes(model.hidden),
                                    .kv_bytes = 0,
                                    .activation_bytes = own * model.hidden * kFloatBytes};
    add_attention(cost, model, place, step);
    add_dense(cost, model, place, step);
    if (model.mixture_layers() > 0) add_experts(cost, model, place, step);
    add_vocabulary(cost, model, place, step);
    add_leaf_sums(cost, model, place, step);
    add_exchange(cost, model, place, step);
    return cost;
}

std::string describe(const StepCost& cost) {
    std::string text;
    for (int i = 0; i < kCostPartCount; ++i) {
        const PartCost& p = cost.part[static_cast<std::size_t>(i)];
        text += fmt::format("{:<11} {} flops, {} weight bytes, {} KV bytes, {} activation bytes\n",
                            name_of(static_cast<CostPart>(i)), p.flops, p.weight_bytes, p.kv_bytes, p.activation_bytes);
    }
    return text + fmt::format("sent        {} bytes in {} verbs\n", cost.sent.total(), cost.verbs);
}

std::int64_t step_word_sent_bytes(const CostPlace& place) { return kStepWordBytes * (place.stage() - 1); }

double read_bandwidth(const MachineSpeeds& machine, std::int64_t bytes) {
    for (const MachineSpeeds::Level& cache : machine.caches) {
        if (bytes <= cache.bytes) return std::max(machine.memory_gbytes_per_s, cache.gbytes_per_s);
    }
    return machine.memory_gbytes_per_s;
}

namespace {
// Whatever the products are made of, scores and the choice of experts are f32.
bool in_f32(CostPart part) {
    return part == CostPart::embedding || part == CostPart::scores || part == CostPart::router;
}
}  // namespace

double step_limit_ns(const StepCost& cost, const MachineSpeeds& machine) {
    if (!(machine.gflops > 0) || !(machine.product_gops > 0) || !(machine.memory_gbytes_per_s > 0)) {
        fail(ErrorKind::usage,
             "A machine of {} GFLOP/s, {} of its products, and {} GB/s has no limits to compare with. Measure it with "
             "argosy probe.",
             machine.gflops, machine.product_gops, machine.memory_gbytes_per_s);
    }
    const PartCost total = cost.total();
    const double bandwidth = read_bandwidth(machine, total.weight_bytes + total.kv_bytes);
    double ns = 0;
    for (int p = 0; p < kCostPartCount; ++p) {
        const PartCost& part = cost.of(static_cast<CostPart>(p));
        const double peak = in_f32(static_cast<CostPart>(p)) ? machine.gflops : machine.product_gops;
        ns += std::max(static_cast<double>(part.flops) / peak,
                       static_cast<double>(part.weight_bytes + part.kv_bytes) / bandwidth);
    }
    if (machine.send_gbytes_per_s > 0) ns += static_cast<double>(cost.sent.total()) / machine.send_gbytes_per_s;
    return ns + static_cast<double>(cost.verbs) * machine.verb_ns;
}

}  // namespace argosy
