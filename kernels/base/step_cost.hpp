// What one step costs one rank, by formula: arithmetic, bytes of weights, KV and activations, bytes sent to other
// ranks, and the time that a machine of given speeds needs at least. Pure; shared by reports, planner and policies,
// which bring a model's sizes as plain numbers.
//
// Conventions. A multiplication with its addition is 2 floating-point operations. A row is one token of a step. Of a
// step's rows R, tensor-parallel rank t of T owns [R*t/T, R*(t+1)/T) between the blocks of a layer, and sees all of
// them inside attention and dense blocks (parallel/leaf_sum.hpp). Bytes sent are payload handed to OTHER ranks
// (parallel/communicator.hpp), so that they equal the communicators' counters.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace argosy {

// Attention over latents (LatentPlan of runtime/model/model_plan.hpp): queries and values of a head are taken to the
// latents' space and back by products of their own.
struct CostLatents {
    std::int64_t kv_rank = 0;  // 0: attention is not of this kind
    std::int64_t q_rank = 0;   // 0: queries are made from the row itself
    std::int64_t nope_dim = 0;
    std::int64_t rope_dim = 0;
    std::int64_t value_dim = 0;
    bool operator==(const CostLatents&) const = default;
    std::int64_t cached_dim() const { return kv_rank + rope_dim; }
};

// A decoder's sizes: embedding, layers of attention and feed-forward (dense or mixture of experts), vocabulary.
struct CostModel {
    std::int64_t hidden = 0;
    std::int64_t q_heads = 0;
    std::int64_t kv_heads = 0;  // divides q_heads
    std::int64_t head_dim = 0;
    std::int64_t vocab = 0;
    std::vector<std::int64_t> dense_columns;  // [layers] width of a dense feed-forward; 0: the layer is a mixture
    std::int64_t experts = 0;                 // of each mixture layer
    std::int64_t top_k = 0;
    std::int64_t expert_columns = 0;   // width of one expert
    std::int64_t shared_columns = 0;   // width of the dense feed-forward beside the experts of each mixture layer
    CostLatents latents{};             // head_dim and kv_heads then mean nothing
    std::int64_t window = 0;           // in windowed_layers a row sees itself and the window - 1 rows before it
    std::int64_t windowed_layers = 0;  // in all others it sees all
    std::int64_t weight_bits = 16;     // of an element of a matrix; norms are left out: a millionth of the rest
    std::int64_t kv_vector_bytes = 0;  // of one head's key or value of a token, or of its latent
    std::int64_t sample_bytes = 0;     // one sampled row's result, as ranks exchange it
    std::int64_t logits_rows = 512;    // rows that the vocabulary projection takes at once
    bool operator==(const CostModel&) const = default;
    std::int64_t layers() const { return static_cast<std::int64_t>(dense_columns.size()); }
    std::int64_t mixture_layers() const;
    std::int64_t matrix_bytes(std::int64_t elements) const { return elements * weight_bits / 8; }
};

// A rank's place: tp of attention, dense layers and vocabulary; ep x etp = dp x tp of the experts.
struct CostPlace {
    int dp = 1;
    int tp = 1, tp_rank = 0;
    int ep = 1, ep_rank = 0;
    int etp = 1, etp_rank = 0;
    bool operator==(const CostPlace&) const = default;
    int stage() const { return dp * tp; }
};

// What the routers chose, summed over the mixture layers of a step, as far as this rank is concerned.
struct CostRoute {
    std::int64_t grouped_rows = 0;   // rows that this rank's experts compute: one per row and chosen expert
    std::int64_t experts_hit = 0;    // experts of this rank with a row, each time it has to be read
    std::int64_t rows_sent = 0;      // own rows to other ranks; a row goes once to each rank of each ep rank
    std::int64_t rows_returned = 0;  // partial sums of others' rows sent back to them
    std::int64_t member_rows = 0;    // partial rows to other etp ranks
    std::int64_t rounds = 0;         // rounds of the exchange
    bool operator==(const CostRoute&) const = default;
    CostRoute& operator+=(const CostRoute& other);
    CostRoute operator-(const CostRoute& earlier) const;
};

// One step of a dp group, seen by one of its ranks.
struct CostStep {
    std::int64_t rows = 0;
    std::int64_t score_pairs = 0;           // (row, key) pairs of attention, over all layers
    std::int64_t kv_tokens = 0;             // tokens whose K and V are read, of each sequence once, over all layers
    std::vector<std::int64_t> wanted_rows;  // rows whose logits are wanted, ascending
    CostRoute route;
    bool operator==(const CostStep&) const = default;
};

enum class WantedLogits : std::uint8_t { none, last, all };
// Adds a sequence with `rows` rows from first_position on: a decode step is 1 row, a prefill or its chunk several.
// Example: 3 rows from position 10 see 11 + 12 + 13 keys, and 13 tokens of KV are read.
void add_sequence(CostStep& step, const CostModel& model, std::int64_t first_position, std::int64_t rows,
                  WantedLogits wanted);

// The route when every set of top_k experts is equally likely, rounded to whole rows: what a planner expects. Each of
// the stage's dp groups has `rows` rows. Hypergeometric: a rank that holds e of E experts gets none of a row's k with
// probability C(E-e, k) / C(E, k).
CostRoute expected_route(const CostModel& model, const CostPlace& place, std::int64_t rows,
                         std::int64_t rows_per_round);

enum class CostPart : std::uint8_t {
    embedding,   // one table row per token
    attention,   // qkv and output projection
    scores,      // q k^T and the weighted sum of v
    dense,       // gate, up and down
    router,      // scores of the experts
    experts,     // gate, up and down of the chosen experts
    vocabulary,  // logits
};
inline constexpr int kCostPartCount = static_cast<int>(CostPart::vocabulary) + 1;
std::string_view name_of(CostPart part);

struct PartCost {
    std::int64_t flops = 0;
    std::int64_t weight_bytes = 0;      // read once
    std::int64_t kv_bytes = 0;          // read and written
    std::int64_t activation_bytes = 0;  // f32 inputs and outputs of the part's products
    bool operator==(const PartCost&) const = default;
    PartCost& operator+=(const PartCost& other);
};

struct SentBytes {
    std::int64_t row_gather = 0;  // normed rows of attention and dense blocks, over tp
    std::int64_t leaf_sum = 0;    // partial sums of the same blocks, over tp
    std::int64_t exchange = 0;    // counts, choices, rows to experts and sums back, over the stage
    std::int64_t members = 0;     // partial sums of experts, over etp
    std::int64_t vocabulary = 0;  // wanted rows, logits and samples, over tp
    bool operator==(const SentBytes&) const = default;
    SentBytes& operator+=(const SentBytes& other);
    std::int64_t total() const { return row_gather + leaf_sum + exchange + members + vocabulary; }
};

struct StepCost {
    std::array<PartCost, kCostPartCount> part{};
    SentBytes sent;
    std::int64_t verbs = 0;  // collective calls, each of which waits for a message at least once
    bool operator==(const StepCost&) const = default;
    StepCost& operator+=(const StepCost& other);
    PartCost& of(CostPart p) { return part[static_cast<std::size_t>(p)]; }
    const PartCost& of(CostPart p) const { return part[static_cast<std::size_t>(p)]; }
    PartCost total() const;
};
StepCost step_cost(const CostModel& model, const CostPlace& place, const CostStep& step);
std::string describe(const StepCost& cost);

// Bytes of the word that a rank tells the others of its stage before every step (parallel/step_control.hpp).
std::int64_t step_word_sent_bytes(const CostPlace& place);

// What one rank can do, with its threads, while the other ranks of its node do the same. GB/s and GFLOP/s are bytes and
// operations per nanosecond.
struct MachineSpeeds {
    struct Level {
        std::int64_t bytes = 0;     // what fits, for this rank
        double gbytes_per_s = 0.0;  // read bandwidth
        bool operator==(const Level&) const = default;
    };
    double gflops = 0.0;               // f32 multiply-add
    double product_gops = 0.0;         // the arithmetic of the job's products: f32, or int8 codes
    double memory_gbytes_per_s = 0.0;  // read
    std::vector<Level> caches;         // smallest first
    double send_gbytes_per_s = 0.0;    // to another rank; 0: sending costs nothing
    double verb_ns = 0.0;              // the smallest collective
    bool operator==(const MachineSpeeds&) const = default;
};

// Read bandwidth of what holds that many bytes: the smallest cache that does, else memory.
double read_bandwidth(const MachineSpeeds& machine, std::int64_t bytes);

// The least time: for every part the larger of flops / peak and bytes / bandwidth (roofline: Williams, Waterman,
// Patterson, CACM 52(4), 2009), and what is sent after that, since a step's exchanges wait for its products. Bytes are
// those of weights and KV; activations of a step stay in caches between two ops and are left out. Where all the weights
// and KV of the step fit in a cache, its bandwidth counts. Error(usage) when a speed that is needed is not positive.
double step_limit_ns(const StepCost& cost, const MachineSpeeds& machine);

}  // namespace argosy
