// One rank's ledger: where its life went, what it computed, moved and held, as one plain struct that travels between
// ranks as bytes.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "kernels/base/account_clock.hpp"
#include "kernels/kernel_meter.hpp"

namespace argosy {

// What became of a token. Every token that costs anything is in exactly one class.
enum class TokenClass : std::uint8_t {
    uncached_input,    // a prompt token that was computed
    cached_input,      // a prompt token whose KV was found in the prefix cache
    delivered_output,  // a generated token that stands in a result
    rejected_draft,    // a speculated token that verification threw away
    discarded,         // computed, then not delivered: rows recomputed after a preemption, output of a failed request
};
inline constexpr int kTokenClassCount = static_cast<int>(TokenClass::discarded) + 1;
std::string_view name_of(TokenClass token_class);  // "uncached input"
std::string_view key_of(TokenClass token_class);   // "uncached_input", as in report.json

// How bytes left a rank: the communicator's verbs (parallel/communicator.hpp) in its order, so that the number of one
// is the number of the other, then one-sided transfers.
enum class SentVerb : std::uint8_t {
    barrier,
    broadcast,
    all_gather,
    all_gather_v,
    all_to_all,
    all_to_all_v,
    send,
    put
};
inline constexpr int kSentVerbCount = static_cast<int>(SentVerb::put) + 1;
std::string_view name_of(SentVerb verb);  // "all-gather"
std::string_view key_of(SentVerb verb);   // "all_gather"

// Counters that prove that something happened, so that a test of it cannot pass by not happening. A new counter is one
// line here and one line in the table of ledger.cpp, in the same order; the report and its JSON form follow by
// themselves.
enum class Witness : std::uint8_t {
    steps,                   // steps with at least one row
    empty_steps,             // steps taken with zero rows, because others had work
    prefill_rows,            // rows of prompts
    decode_rows,             // rows of generated tokens
    mixed_steps,             // steps with rows of both kinds
    prefill_chunks,          // pieces of prompts that did not fit one step
    rows_max,                // most rows in one step
    preemptions,             // sequences put back because the KV pool was full
    prefix_hits,             // sequences that began with cached blocks
    prefix_hit_tokens,       // tokens that were not computed thanks to them
    blocks_evicted,          // cached KV blocks dropped for new ones
    blocks_used_max,         // most KV blocks in use at once
    window_blocks_freed,     // KV blocks that sequences gave back while they ran, since a window had passed them
    window_blocks_max,       // most KV blocks that a sequence held at once in a group of layers with a window
    exchange_rounds,         // rounds of the expert exchange
    exchange_rows,           // rows that left this rank for an expert elsewhere
    exchange_planned_bytes,  // bytes that this rank sends for experts, by its route plans
    exchange_group_bytes,    // bytes that it sent in the groups that carry these and the step words
    step_words,              // step words that it told others
    leaf_sums,               // sums over tensor-parallel ranks
    work_claims,             // runs of requests claimed from the job's counter
    kernels_isa,             // id of the instruction set that the kernels used
    threads,                 // threads per rank
    requests_done,           // requests answered
    requests_failed,         // requests answered by an error record
    sequences_sampled,       // sequences finished by sampling at a temperature above 0
    journal_records,         // records written to the journal
    step_sent_bytes,         // bytes that steps sent to other ranks, by the communicators' counters
    step_cost_bytes,         // the same by the formulas of kernels/base/step_cost.hpp
    step_megaflops,          // arithmetic of steps, by the same formulas
    limit_prefill_us,        // least time of the steps that are billed as prefill, by a cluster profile
    limit_decode_us,         // and of those billed as decode
};
inline constexpr int kWitnessCount = static_cast<int>(Witness::limit_decode_us) + 1;

// How a counter of many ranks becomes one number.
enum class WitnessJoin : std::uint8_t { sum, max };
struct WitnessInfo {
    Witness witness;
    std::string_view key;  // name in report.json and in the text report
    WitnessJoin join;
};
std::span<const WitnessInfo> witness_table();  // [kWitnessCount], in the order of the enum
std::string_view key_of(Witness witness);

inline constexpr int kNodeNameBytes = 64;
inline constexpr int kCpuMaskWords = 32;  // up to 2048 logical CPUs per node

// How long a rank waited for another, and what that one was at: parallel/wait_meter.hpp measures it.
struct BlameEntry {
    std::int64_t ns = 0;
    std::int64_t longest_ns = 0;  // the longest single wait
    std::int64_t waits = 0;
    std::int32_t rank = -1;    // world rank that came last; -1: all that found no room in the ledger, together
    std::int32_t expert = -1;  // of that rank, with the most rows; -1: it was not at experts
    Account waiting = Account::barrier;
    Account account = Account::other;  // what kept it
    std::int16_t spare = 0;
    std::int32_t spare_too = 0;
};
inline constexpr int kBlameMax = 48;

// What one kind of kernel did while the rank was in one cell of the ledger; its time is part of that cell's.
struct KernelEntry {
    KernelTotals totals;
    Kernel kernel = Kernel::embed;
    Phase phase = Phase::none;
    Account account = Account::other;
    std::uint8_t spare[5] = {};
};
inline constexpr int kKernelEntriesMax = 64;  // steps make about 20 in each of two phases

// Plain and of fixed size: ranks gather it as bytes. All zero is a valid empty ledger.
struct RankLedger {
    std::int32_t rank = 0;
    std::int32_t threads = 1;
    char node[kNodeNameBytes] = {};                      // zero-terminated host name
    std::array<std::uint64_t, kCpuMaskWords> cpus = {};  // bit c: the rank may run on logical CPU c of its node

    std::int64_t start_ns = 0;  // monotonic clock of the node
    std::int64_t end_ns = 0;
    AccountClock::Totals totals_ns = {};  // [phase][account]

    // What the rank is charged for beside its time, in thousandths so that ranks may share: 500 = half a core.
    std::int64_t cores_milli = 0;
    std::int64_t gpus_milli = 0;

    // A token stands in the phase of the step that produced it, whatever its class: in a step billed as prefill a
    // decoded token is tokens[prefill][delivered_output] and shares that step's price.
    std::array<std::array<std::int64_t, kTokenClassCount>, kPhaseCount> tokens = {};  // [phase][class]

    std::array<std::int64_t, kSentVerbCount> bytes_sent = {};
    std::int64_t bytes_read = 0;            // from the file system, checkpoint files
    std::int64_t weight_bytes_private = 0;  // weights that only this rank holds
    std::int64_t weight_bytes_shared = 0;   // this rank's part of weights held once for several ranks
    std::int64_t kv_bytes = 0;              // the KV pool
    std::int64_t cpu_ns = 0;                // user and system time of the process
    std::int64_t max_rss_bytes = 0;

    std::array<std::int64_t, kWitnessCount> witness = {};

    // By phase, account and kernel; calls 0 ends the list.
    std::array<KernelEntry, kKernelEntriesMax> kernels = {};

    // Per waiting account they add up to the time in it. Largest first, then what had no room; ns 0 ends the list.
    std::array<BlameEntry, kBlameMax> blame = {};

    std::int64_t life_ns() const { return end_ns - start_ns; }
};
static_assert(std::is_trivially_copyable_v<RankLedger> && std::is_standard_layout_v<RankLedger>);

inline void count(RankLedger& ledger, Witness witness, std::int64_t n = 1) {
    ledger.witness[static_cast<int>(witness)] += n;
}
inline void raise_to(RankLedger& ledger, Witness witness, std::int64_t n) {
    std::int64_t& counter = ledger.witness[static_cast<int>(witness)];
    if (n > counter) counter = n;
}
inline void count_tokens(RankLedger& ledger, Phase phase, TokenClass token_class, std::int64_t n) {
    ledger.tokens[static_cast<int>(phase)][static_cast<int>(token_class)] += n;
}
inline void count_sent(RankLedger& ledger, SentVerb verb, std::int64_t bytes) {
    ledger.bytes_sent[static_cast<int>(verb)] += bytes;
}

std::int64_t tokens_of(const RankLedger& ledger, TokenClass token_class);  // all phases
std::int64_t bytes_sent_of(const RankLedger& ledger);                      // all verbs
std::string node_of(const RankLedger& ledger);
void set_node(RankLedger& ledger, std::string_view node);  // cut to kNodeNameBytes - 1

// One number from all ranks, joined as the witness table says.
std::int64_t joined(std::span<const RankLedger> ranks, Witness witness);

// Puts the largest entries into the ledger, and one of rank -1 per waiting account for what has no room. `blames` come
// in any order.
void set_blame(RankLedger& ledger, std::vector<BlameEntry> blames);

// Nanoseconds that the ledger blames on anybody, of one waiting account.
std::int64_t blamed_ns(const RankLedger& ledger, Account waiting);

// Copies what the meter has added up. Error(internal) when it is more than the ledger has room for.
void take_kernels(RankLedger& ledger, const KernelMeter& meter);

// Brings the clock up to now_ns and copies start, end and totals.
void take_clock(RankLedger& ledger, AccountClock& clock, std::int64_t now_ns);

// Fills node, cpus, cpu_ns and max_rss_bytes from the operating system. Call it at the end of the rank's life.
void measure_process(RankLedger& ledger);

// The start of this process on the monotonic clock, from the kernel's record; `fallback_ns` where it cannot be read.
std::int64_t process_start_ns(std::int64_t fallback_ns);

// Fills cores_milli of every rank: a CPU's thousand parts are split over the ranks of its node that may run on it, so
// that the cores of a node are charged once. Two unbound ranks on 2 CPUs: 1000 each. A rank without a mask is charged
// for its threads.
void share_cores(std::span<RankLedger> ranks);

// True if somewhere more threads run than there are CPUs for them: their times then say nothing about speed.
bool ranks_share_cores(std::span<const RankLedger> ranks);

}  // namespace argosy
