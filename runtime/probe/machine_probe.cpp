// Arithmetic, caches and memory of every node, all threads at once and one alone.
#include "runtime/probe/machine_probe.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <ctime>
#include <fstream>
#include <limits>
#include <map>
#include <thread>

#include "kernels/base/buffer.hpp"
#include "kernels/base/error.hpp"
#include "kernels/probe/arithmetic_loops.hpp"
#include "kernels/probe/caches.hpp"
#include "kernels/probe/memory_loops.hpp"

namespace argosy {

namespace {

constexpr std::size_t kAlign = 4096;
constexpr std::int64_t kArrayBytesLeast = std::int64_t{256} << 20;  // per node
constexpr std::int64_t kArrayBytesMost = std::int64_t{4} << 30;

// What a thread does in a round: `times` times something that counts `unit` operations or bytes.
struct Work {
    double unit = 0;
    std::function<void(int thread, std::int64_t times)> run;
};

// Measures one kind of work on the ranks of all nodes.
class NodeMeter {
  public:
    NodeMeter(MpiSession& session, const ProbePace& pace, int threads)
        : session_(session), pace_(pace), threads_(threads) {
        leaders_.resize(static_cast<std::size_t>(session.size()));
        const std::int32_t leader = session.node().leader;
        session.world().all_gather(&leader, sizeof leader, leaders_.data());
    }

    // Units per nanosecond: 10^9 per second.
    NodeFigures measure(const Work& work) {
        const bool alone = session_.node().rank == 0;
        NodeFigures figures;
        figures.node = slowest_node(rates(work, threads_, true));
        figures.alone = slowest_node(rates(work, 1, alone));
        return figures;
    }

  private:
    // This rank's rate in every round; ranks that take no part wait for the others.
    std::vector<double> rates(const Work& work, int threads, bool takes_part) {
        std::int64_t times = takes_part ? times_for(work) : 0;
        std::vector<std::int64_t> all(static_cast<std::size_t>(session_.size()));
        session_.world().all_gather(&times, sizeof times, all.data());
        times = *std::max_element(all.begin(), all.end());
        std::vector<double> rates;
        for (int round = 0; round < pace_.rounds; ++round) {
            session_.world().barrier();
            double rate = 0;
            if (!takes_part) {
                // A rank that waits in MPI spins: it sleeps instead while the others work.
                std::this_thread::sleep_for(std::chrono::nanoseconds(pace_.round_ns));
            } else {
                const std::int64_t ns = timed_threads_ns(threads, [&](int t) { work.run(t, times); });
                rate = threads * work.unit * static_cast<double>(times) / static_cast<double>(ns);
            }
            rates.push_back(rate);
        }
        return rates;
    }

    // Repetitions that fill a round, by this thread's own time: other work on the machine does not count. The first
    // call also brings memory in and the clock up.
    std::int64_t times_for(const Work& work) const {
        for (std::int64_t times = 1;; times *= 4) {
            const std::int64_t start = own_ns();
            work.run(0, times);
            const std::int64_t ns = own_ns() - start;
            if (ns >= pace_.round_ns / 16) return std::max<std::int64_t>(1, times * pace_.round_ns / ns);
        }
    }
    static std::int64_t own_ns() {
        timespec now{};
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
        return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
    }

    Figure slowest_node(const std::vector<double>& mine) {
        const auto all = gather_rounds(session_, mine);
        std::map<std::int32_t, std::vector<double>> nodes;
        for (std::size_t rank = 0; rank < all.size(); ++rank) {
            std::vector<double>& sum = nodes[leaders_[rank]];
            sum.resize(mine.size());
            for (std::size_t i = 0; i < mine.size(); ++i) sum[i] += all[rank][i];
        }
        std::vector<Figure> figures;
        for (const auto& [leader, sum] : nodes) figures.push_back(spread_of(sum));
        return *std::min_element(figures.begin(), figures.end(),
                                 [](const Figure& a, const Figure& b) { return a.median < b.median; });
    }

    MpiSession& session_;
    const ProbePace& pace_;
    int threads_;
    std::vector<std::int32_t> leaders_;  // [ranks]
};

std::vector<ArithmeticFigures> probe_arithmetic(MpiSession& session, NodeMeter& meter) {
    std::vector<ArithmeticFigures> figures;
    constexpr std::int64_t kSteps = 4096;
    for (const ArithmeticLoop& loop : arithmetic_loops()) {
        // Nodes may differ: only what all have can be compared.
        std::vector<std::uint8_t> each(static_cast<std::size_t>(session.size()));
        const std::uint8_t here = loop.runs_here() ? 1 : 0;
        session.world().all_gather(&here, sizeof here, each.data());
        if (std::find(each.begin(), each.end(), 0) != each.end()) continue;
        const Work work{.unit = loop.operations_per_step * static_cast<double>(kSteps),
                        .run = [&](int, std::int64_t times) {
                            volatile float sink = loop.run(times * kSteps);
                            (void)sink;
                        }};
        figures.push_back({std::string(name_of(loop.kind)), std::string(loop.isa), std::string(loop.instruction),
                           meter.measure(work)});
    }
    return figures;
}

// Threads read the same number of bytes each, from their own part of a buffer.
Work reading(const std::byte* data, std::size_t stride, std::size_t bytes_each) {
    return {.unit = static_cast<double>(bytes_each), .run = [=](int thread, std::int64_t times) {
                const std::byte* mine = data + static_cast<std::size_t>(thread) * stride;
                for (std::int64_t i = 0; i < times; ++i) {
                    volatile std::uint64_t sink = read_memory(mine, bytes_each);
                    (void)sink;
                }
            }};
}

std::vector<CacheFigures> probe_caches(MpiSession& session, NodeMeter& meter, const std::vector<DataCache>& caches,
                                       const Buffer& memory, int threads) {
    std::vector<CacheFigures> figures;
    for (const DataCache& cache : caches) {
        // Half of a thread's share: the rest is for what else the core touches.
        const int sharers = std::max(1, std::min(cache.cpus, session.node().ranks * threads));
        const std::size_t stride = memory.bytes() / static_cast<std::size_t>(threads) / kAlign * kAlign;
        const std::size_t bytes =
            std::min(static_cast<std::size_t>(cache.bytes / sharers / 2), stride) / kAlign * kAlign;
        if (bytes == 0) continue;
        figures.push_back(
            {cache.level, cache.bytes, cache.cpus, meter.measure(reading(memory.as<std::byte>(), stride, bytes))});
    }
    return figures;
}

void probe_memory(NodeMeter& meter, Buffer& memory, int threads, ClusterProfile& profile) {
    const std::size_t each = memory.bytes() / static_cast<std::size_t>(threads) / kAlign * kAlign;
    profile.read_gbytes = meter.measure(reading(memory.as<std::byte>(), each, each));
    const std::size_t half = each / 2 / kAlign * kAlign;
    profile.copy_gbytes =
        meter.measure({.unit = 2.0 * static_cast<double>(half), .run = [&](int thread, std::int64_t times) {
                           std::byte* mine = memory.as<std::byte>() + static_cast<std::size_t>(thread) * each;
                           for (std::int64_t i = 0; i < times; ++i) {
                               std::byte* other = mine + half;
                               i % 2 == 0 ? copy_memory(other, mine, half) : copy_memory(mine, other, half);
                           }
                       }});
}

// The same for all ranks: the first's caches, and the least memory of any node.
std::vector<DataCache> agreed_caches(MpiSession& session) {
    std::vector<DataCache> caches = data_caches();
    caches.resize(8);  // more levels than any CPU has
    session.world().broadcast(caches.data(), static_cast<std::int64_t>(caches.size() * sizeof(DataCache)), 0);
    caches.erase(std::remove(caches.begin(), caches.end(), DataCache{}), caches.end());
    return caches;
}

// Far more than the caches hold, at most a quarter of what there is.
std::int64_t array_bytes(const std::vector<DataCache>& caches, std::int64_t memory_bytes, bool quick) {
    std::int64_t largest = 0;
    for (const DataCache& cache : caches) largest = std::max(largest, cache.bytes);
    const std::int64_t wanted = std::clamp((quick ? 2 : 4) * largest, kArrayBytesLeast, kArrayBytesMost);
    return std::min(wanted, memory_bytes / 4);
}

std::int64_t least_of_all(MpiSession& session, std::int64_t mine) {
    std::vector<std::int64_t> all(static_cast<std::size_t>(session.size()));
    session.world().all_gather(&mine, sizeof mine, all.data());
    return *std::min_element(all.begin(), all.end());
}
std::int64_t most_of_all(MpiSession& session, std::int64_t mine) { return -least_of_all(session, -mine); }

std::string cpu_model() {
    std::ifstream file("/proc/cpuinfo");
    for (std::string line; std::getline(file, line);) {
        if (line.rfind("model name", 0) == 0) return line.substr(line.find(':') + 2);
    }
    return "unknown CPU";
}

std::string utc_text() {
    const std::time_t now = std::time(nullptr);
    std::tm parts{};
    gmtime_r(&now, &parts);
    char text[32];
    std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    return text;
}

// Rank 0's words for all: the profile is written by one rank and compared on all.
void take_from_first(MpiSession& session, std::string& text) {
    auto bytes = static_cast<std::int64_t>(text.size());
    session.world().broadcast(&bytes, sizeof bytes, 0);
    text.resize(static_cast<std::size_t>(bytes));
    session.world().broadcast(text.data(), bytes, 0);
}

}  // namespace

ProbePace pace_of(bool quick) {
    constexpr std::int64_t kMillisecond = 1'000'000;
    return quick ? ProbePace{3, 15 * kMillisecond, 50, std::int64_t{16} << 20, 1}
                 : ProbePace{7, 50 * kMillisecond, 400, std::int64_t{128} << 20, 3};
}

std::vector<std::vector<double>> gather_rounds(MpiSession& session, const std::vector<double>& mine) {
    const std::size_t rounds = mine.size();
    std::vector<double> flat(rounds * static_cast<std::size_t>(session.size()));
    session.world().all_gather(mine.data(), static_cast<std::int64_t>(rounds * sizeof(double)), flat.data());
    std::vector<std::vector<double>> all;
    for (std::size_t at = 0; at < flat.size(); at += rounds)
        all.emplace_back(flat.begin() + static_cast<std::ptrdiff_t>(at),
                         flat.begin() + static_cast<std::ptrdiff_t>(at + rounds));
    return all;
}

ClusterProfile probe_machine(MpiSession& session, const ProbeOptions& options) {
    if (!options.path.empty()) check_disk(session, options.path);
    const ProbePace pace = pace_of(options.quick);
    const NodeCensus& node = session.node();
    ClusterProfile profile;
    profile.measured_utc = utc_text();
    profile.program = options.program;
    profile.cpu = cpu_model();
    profile.mpi = session.mpi_version();
    profile.host = session.node_names()[0];
    for (std::string* text : {&profile.measured_utc, &profile.program, &profile.cpu}) take_from_first(session, *text);
    profile.nodes = session.node_count();
    profile.ranks_per_node = static_cast<int>(most_of_all(session, node.ranks));
    profile.threads_per_rank = static_cast<int>(most_of_all(session, options.threads));
    profile.cores_per_node = static_cast<int>(least_of_all(session, node.cores_all));
    profile.shared_cores = profile.threads_per_node() > profile.cores_per_node;
    profile.quick = options.quick;
    profile.rounds = pace.rounds;
    profile.memory_bytes = least_of_all(session, options.memory_bytes);

    const std::vector<DataCache> caches = agreed_caches(session);
    profile.array_bytes = array_bytes(caches, profile.memory_bytes, options.quick);
    NodeMeter meter(session, pace, options.threads);
    profile.arithmetic = probe_arithmetic(session, meter);
    {
        const std::int64_t mine = profile.array_bytes / node.ranks;
        Buffer memory(static_cast<std::size_t>(std::max<std::int64_t>(mine, 1 << 20)));
        timed_threads_ns(options.threads, [&](int t) {  // pages come to the threads that will read them
            const std::size_t each = memory.bytes() / static_cast<std::size_t>(options.threads) / kAlign * kAlign;
            std::memset(memory.as<std::byte>() + static_cast<std::size_t>(t) * each, t + 1, each);
        });
        profile.caches = probe_caches(session, meter, caches, memory, options.threads);
        probe_memory(meter, memory, options.threads, profile);
    }
    probe_network(session, pace, profile);
    if (!options.path.empty()) profile.disk = probe_disk(session, pace, options.path);
    return profile;
}

}  // namespace argosy
