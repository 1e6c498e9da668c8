// The ledger's name tables, what the operating system knows about a rank, and how the cores of a node are shared out.
#include "runtime/account/ledger.hpp"

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <fstream>
#include <map>
#include <sstream>

#include <tuple>
#include <vector>
#include "kernels/base/error.hpp"

namespace argosy {

namespace {

constexpr WitnessInfo kWitnesses[] = {
    {Witness::steps, "steps", WitnessJoin::max},
    {Witness::empty_steps, "empty_steps", WitnessJoin::sum},
    {Witness::prefill_rows, "prefill_rows", WitnessJoin::sum},
    {Witness::decode_rows, "decode_rows", WitnessJoin::sum},
    {Witness::mixed_steps, "mixed_steps", WitnessJoin::max},
    {Witness::prefill_chunks, "prefill_chunks", WitnessJoin::sum},
    {Witness::rows_max, "rows_max", WitnessJoin::max},
    {Witness::preemptions, "preemptions", WitnessJoin::sum},
    {Witness::prefix_hits, "prefix_hits", WitnessJoin::sum},
    {Witness::prefix_hit_tokens, "prefix_hit_tokens", WitnessJoin::sum},
    {Witness::blocks_evicted, "blocks_evicted", WitnessJoin::sum},
    {Witness::blocks_used_max, "blocks_used_max", WitnessJoin::max},
    {Witness::window_blocks_freed, "window_blocks_freed", WitnessJoin::sum},
    {Witness::window_blocks_max, "window_blocks_max", WitnessJoin::max},
    {Witness::exchange_rounds, "exchange_rounds", WitnessJoin::max},
    {Witness::exchange_rows, "exchange_rows", WitnessJoin::sum},
    {Witness::exchange_planned_bytes, "exchange_planned_bytes", WitnessJoin::sum},
    {Witness::exchange_group_bytes, "exchange_group_bytes", WitnessJoin::sum},
    {Witness::step_words, "step_words", WitnessJoin::sum},
    {Witness::leaf_sums, "leaf_sums", WitnessJoin::max},
    {Witness::work_claims, "work_claims", WitnessJoin::sum},
    {Witness::kernels_isa, "kernels_isa", WitnessJoin::max},
    {Witness::threads, "threads", WitnessJoin::max},
    {Witness::requests_done, "requests_done", WitnessJoin::sum},
    {Witness::requests_failed, "requests_failed", WitnessJoin::sum},
    {Witness::sequences_sampled, "sequences_sampled", WitnessJoin::sum},
    {Witness::journal_records, "journal_records", WitnessJoin::sum},
    {Witness::step_sent_bytes, "step_sent_bytes", WitnessJoin::sum},
    {Witness::step_cost_bytes, "step_cost_bytes", WitnessJoin::sum},
    {Witness::step_megaflops, "step_megaflops", WitnessJoin::sum},
    {Witness::limit_prefill_us, "limit_prefill_us", WitnessJoin::max},
    {Witness::limit_decode_us, "limit_decode_us", WitnessJoin::max},
};

constexpr bool in_order() {
    for (int i = 0; i < kWitnessCount; ++i) {
        if (kWitnesses[i].witness != static_cast<Witness>(i)) return false;
    }
    return true;
}
static_assert(std::size(kWitnesses) == kWitnessCount && in_order(), "the table of witnesses follows the enum");

constexpr std::string_view kTokenClassNames[] = {"uncached input", "cached input", "delivered output", "rejected draft",
                                                 "discarded"};
constexpr std::string_view kTokenClassKeys[] = {"uncached_input", "cached_input", "delivered_output", "rejected_draft",
                                                "discarded"};
static_assert(std::size(kTokenClassNames) == kTokenClassCount && std::size(kTokenClassKeys) == kTokenClassCount);

constexpr std::string_view kVerbNames[] = {"barrier",    "broadcast",    "all-gather", "all-gather-v",
                                           "all-to-all", "all-to-all-v", "send",       "put"};
constexpr std::string_view kVerbKeys[] = {"barrier",    "broadcast",    "all_gather", "all_gather_v",
                                          "all_to_all", "all_to_all_v", "send",       "put"};
static_assert(std::size(kVerbNames) == kSentVerbCount && std::size(kVerbKeys) == kSentVerbCount);

using Mask = std::array<std::uint64_t, kCpuMaskWords>;

bool has(const Mask& mask, int cpu) { return (mask[static_cast<std::size_t>(cpu / 64)] >> (cpu % 64)) & 1; }

int size_of(const Mask& mask) {
    int size = 0;
    for (const std::uint64_t word : mask) size += std::popcount(word);
    return size;
}

bool within(const Mask& inner, const Mask& outer) {
    for (int i = 0; i < kCpuMaskWords; ++i) {
        if (inner[static_cast<std::size_t>(i)] & ~outer[static_cast<std::size_t>(i)]) return false;
    }
    return true;
}

// Indices of ranks, by node.
std::map<std::string, std::vector<std::size_t>> by_node(std::span<const RankLedger> ranks) {
    std::map<std::string, std::vector<std::size_t>> nodes;
    for (std::size_t i = 0; i < ranks.size(); ++i) nodes[node_of(ranks[i])].push_back(i);
    return nodes;
}

}  // namespace

std::string_view name_of(TokenClass token_class) { return kTokenClassNames[static_cast<int>(token_class)]; }
std::string_view key_of(TokenClass token_class) { return kTokenClassKeys[static_cast<int>(token_class)]; }
std::string_view name_of(SentVerb verb) { return kVerbNames[static_cast<int>(verb)]; }
std::string_view key_of(SentVerb verb) { return kVerbKeys[static_cast<int>(verb)]; }
std::span<const WitnessInfo> witness_table() { return kWitnesses; }
std::string_view key_of(Witness witness) { return kWitnesses[static_cast<int>(witness)].key; }

std::int64_t tokens_of(const RankLedger& ledger, TokenClass token_class) {
    std::int64_t sum = 0;
    for (const auto& phase : ledger.tokens) sum += phase[static_cast<std::size_t>(token_class)];
    return sum;
}

std::int64_t bytes_sent_of(const RankLedger& ledger) {
    std::int64_t sum = 0;
    for (const std::int64_t bytes : ledger.bytes_sent) sum += bytes;
    return sum;
}

std::string node_of(const RankLedger& ledger) { return {ledger.node, strnlen(ledger.node, kNodeNameBytes)}; }

void set_node(RankLedger& ledger, std::string_view node) {
    const std::size_t bytes = std::min(node.size(), std::size_t{kNodeNameBytes - 1});
    std::memset(ledger.node, 0, kNodeNameBytes);
    std::memcpy(ledger.node, node.data(), bytes);
}

std::int64_t joined(std::span<const RankLedger> ranks, Witness witness) {
    const bool sum = kWitnesses[static_cast<int>(witness)].join == WitnessJoin::sum;
    std::int64_t value = 0;
    for (const RankLedger& rank : ranks) {
        const std::int64_t own = rank.witness[static_cast<std::size_t>(witness)];
        value = sum ? value + own : std::max(value, own);
    }
    return value;
}

void set_blame(RankLedger& ledger, std::vector<BlameEntry> blames) {
    std::sort(blames.begin(), blames.end(), [](const BlameEntry& a, const BlameEntry& b) {
        return std::tuple(-a.ns, a.waiting, a.rank, a.account) < std::tuple(-b.ns, b.waiting, b.rank, b.account);
    });
    constexpr std::size_t kRests =
        static_cast<std::size_t>(Account::barrier) - static_cast<std::size_t>(Account::wait_exchange) + 1;
    ledger.blame = {};
    const bool all_fit = blames.size() <= kBlameMax;
    const std::size_t kept = all_fit ? blames.size() : kBlameMax - kRests;
    std::copy(blames.begin(), blames.begin() + static_cast<std::ptrdiff_t>(kept), ledger.blame.begin());
    std::map<Account, BlameEntry> rests;
    for (std::size_t i = kept; i < blames.size(); ++i) {
        BlameEntry& rest = rests[blames[i].waiting];
        rest.waiting = blames[i].waiting;
        rest.ns += blames[i].ns;
        rest.longest_ns = std::max(rest.longest_ns, blames[i].longest_ns);
        rest.waits += blames[i].waits;
    }
    std::size_t at = kept;
    for (const auto& [waiting, rest] : rests) ledger.blame[at++] = rest;
}

std::int64_t blamed_ns(const RankLedger& ledger, Account waiting) {
    std::int64_t sum = 0;
    for (const BlameEntry& entry : ledger.blame) {
        if (entry.waiting == waiting) sum += entry.ns;
    }
    return sum;
}

void take_kernels(RankLedger& ledger, const KernelMeter& meter) {
    std::size_t count = 0;
    for (int p = 0; p < kPhaseCount; ++p) {
        for (int a = 0; a < kAccountCount; ++a) {
            for (int k = 0; k < kKernelCount; ++k) {
                const auto phase = static_cast<Phase>(p);
                const auto account = static_cast<Account>(a);
                const auto kernel = static_cast<Kernel>(k);
                const KernelTotals& totals = meter.of(phase, account, kernel);
                if (totals.calls == 0) continue;
                if (count == ledger.kernels.size())
                    fail(ErrorKind::internal, "Kernels ran in more than {} cells of the ledger.", kKernelEntriesMax);
                ledger.kernels[count++] = {.totals = totals, .kernel = kernel, .phase = phase, .account = account};
            }
        }
    }
}

void take_clock(RankLedger& ledger, AccountClock& clock, std::int64_t now_ns) {
    clock.settle(now_ns);
    ledger.start_ns = clock.start_ns();
    ledger.end_ns = clock.start_ns() + clock.life_ns();
    ledger.totals_ns = clock.totals_ns();
}

void measure_process(RankLedger& ledger) {
    char name[256] = {};
    if (gethostname(name, sizeof(name) - 1) == 0) set_node(ledger, name);
    ledger.cpus = {};
    if (sched_getaffinity(0, sizeof(ledger.cpus), reinterpret_cast<cpu_set_t*>(ledger.cpus.data())) < 0)
        ledger.cpus = {};
    rusage usage{};
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        const auto ns = [](const timeval& time) {
            return time.tv_sec * std::int64_t{1'000'000'000} + time.tv_usec * std::int64_t{1000};
        };
        ledger.cpu_ns = ns(usage.ru_utime) + ns(usage.ru_stime);
        ledger.max_rss_bytes = usage.ru_maxrss * std::int64_t{1024};
    }
}

std::int64_t process_start_ns(std::int64_t fallback_ns) {
    // Field 22 of /proc/self/stat is the start in clock ticks since boot; the second field, the program's name in
    // brackets, may itself hold blanks and brackets, so fields are counted from the last closing one (which ends field
    // 2).
    std::ifstream file("/proc/self/stat");
    std::string line;
    if (!std::getline(file, line)) return fallback_ns;
    const std::size_t bracket = line.rfind(')');
    if (bracket == std::string::npos) return fallback_ns;
    std::istringstream fields(line.substr(bracket + 1));
    std::string field;
    for (int i = 3; i <= 22; ++i) {
        if (!(fields >> field)) return fallback_ns;
    }
    const std::int64_t ticks = std::strtoll(field.c_str(), nullptr, 10);
    const long ticks_per_second = sysconf(_SC_CLK_TCK);
    timespec boot;
    if (ticks <= 0 || ticks_per_second <= 0 || clock_gettime(CLOCK_BOOTTIME, &boot) != 0) return fallback_ns;
    const std::int64_t age_ns = boot.tv_sec * std::int64_t{1'000'000'000} + boot.tv_nsec -
                                ticks * (std::int64_t{1'000'000'000} / ticks_per_second);
    return age_ns < 0 ? fallback_ns : monotonic_ns() - age_ns;
}

void share_cores(std::span<RankLedger> ranks) {
    for (const auto& [node, members] : by_node(ranks)) {
        for (const std::size_t i : members)
            ranks[i].cores_milli = size_of(ranks[i].cpus) == 0 ? 1000 * std::int64_t{ranks[i].threads} : 0;
        for (int cpu = 0; cpu < 64 * kCpuMaskWords; ++cpu) {
            std::vector<std::size_t> users;
            for (const std::size_t i : members) {
                if (has(ranks[i].cpus, cpu)) users.push_back(i);
            }
            // 1000 parts over the users; what does not divide goes round, so that no rank pays it for every CPU.
            const std::size_t n = users.size();
            for (std::size_t k = 0; k < n; ++k) {
                const std::size_t turn = (k + static_cast<std::size_t>(cpu)) % n;
                ranks[users[k]].cores_milli += static_cast<std::int64_t>(1000 / n + (turn < 1000 % n ? 1 : 0));
            }
        }
    }
}

bool ranks_share_cores(std::span<const RankLedger> ranks) {
    // Threads confined to a set of CPUs must not outnumber it. The sets looked at are the ranks' own masks and the
    // node's union.
    for (const auto& [node, members] : by_node(ranks)) {
        std::vector<Mask> sets(1);
        for (const std::size_t i : members) {
            if (size_of(ranks[i].cpus) == 0) continue;
            for (std::size_t w = 0; w < kCpuMaskWords; ++w) sets[0][w] |= ranks[i].cpus[w];
            if (std::find(sets.begin() + 1, sets.end(), ranks[i].cpus) == sets.end()) sets.push_back(ranks[i].cpus);
        }
        for (const Mask& set : sets) {
            std::int64_t threads = 0;
            for (const std::size_t i : members) {
                if (size_of(ranks[i].cpus) > 0 && within(ranks[i].cpus, set)) threads += ranks[i].threads;
            }
            if (threads > size_of(set)) return true;
        }
    }
    return false;
}

}  // namespace argosy
