// A cluster profile: what one node of a machine can do, and how fast its ranks reach each other, as `argosy probe`
// measured it. Written as JSON; read by --cluster.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/base/step_cost.hpp"
#include "kernels/probe/timed_threads.hpp"

namespace argosy {

inline constexpr const char* kClusterSchema = "argosy-cluster-1";

// The same measurement twice: all threads of all ranks of a node at once (of the slowest node), which is what a job
// gets, and one thread while all others wait.
struct NodeFigures {
    Figure node;
    Figure alone;
    bool operator==(const NodeFigures&) const = default;
};

struct ArithmeticFigures {
    std::string kind;         // "f32", "int8", "bf16"
    std::string isa;          // "amx", "avx512", "avx2", "portable"
    std::string instruction;  // for the reader
    NodeFigures gops;         // 10^9 operations per second
    bool operator==(const ArithmeticFigures&) const = default;
};

struct CacheFigures {
    int level = 0;
    std::int64_t bytes = 0;
    int cpus = 1;  // that share it
    NodeFigures read_gbytes;
    bool operator==(const CacheFigures&) const = default;
};

// Messages between two ranks, as the expert exchange sends them.
struct LinkFigures {
    std::string between;     // "same node", "other node"
    int pairs = 0;           // that were there to be measured
    Figure latency_us;       // one way, 8 bytes, one pair alone
    Figure gbytes_alone;     // one way, large messages, one pair alone
    Figure gbytes_together;  // of each pair while all pairs send
    bool operator==(const LinkFigures&) const = default;
};

struct DiskFigures {
    std::string path;
    std::string method;      // how caches were kept out
    std::int64_t bytes = 0;  // of the file, per node
    int writers = 1;         // nodes that wrote at once, one rank each
    Figure write_gbytes;     // of all together
    Figure read_gbytes;
    bool operator==(const DiskFigures&) const = default;
};

struct ClusterProfile {
    std::string measured_utc;
    std::string program;  // version
    std::string cpu;
    std::string mpi;
    std::string host;  // node of rank 0
    int nodes = 1;
    int ranks_per_node = 1;  // of the node with most
    int threads_per_rank = 1;
    int cores_per_node = 1;     // that the node's ranks may run on
    bool shared_cores = false;  // more threads than cores: figures of single threads are too low
    bool quick = false;         // few and short rounds
    int rounds = 0;
    std::int64_t memory_bytes = 0;  // that the node could give
    std::int64_t array_bytes = 0;   // read and copied, per node
    std::vector<ArithmeticFigures> arithmetic;
    NodeFigures read_gbytes;
    NodeFigures copy_gbytes;  // bytes read plus bytes written
    std::vector<CacheFigures> caches;
    std::vector<LinkFigures> links;
    Figure step_word_us;  // all-gather of 64 bytes per rank, over all ranks; zero with one rank
    Figure barrier_us;
    std::optional<DiskFigures> disk;
    bool operator==(const ClusterProfile&) const = default;
    int threads_per_node() const { return ranks_per_node * threads_per_rank; }
};

std::string to_json(const ClusterProfile& profile);

// Error(input) naming `path` and the key for text that is no profile, of another version, or with a figure that cannot
// be.
ClusterProfile parse_cluster_profile(std::string_view text, const std::string& path);

// `name` is a file, or a name for which NAME.json stands in one of `folders`. Error(usage) when there is none.
ClusterProfile load_cluster_profile(const std::string& name, const std::vector<std::filesystem::path>& folders);

// What one rank with `threads` threads of the instruction set `isa` can do, while `node_threads` threads of all ranks
// run on its node. Arithmetic and caches of a core scale with threads up to the node's cores; memory and shared caches
// are shared evenly, and a thread gets no more than it got alone. Links to another node count when the job spans nodes.
// `kind`: the arithmetic of the products, "f32", "bf16" or "int8". Error(usage) when the profile has no such figures
// for `isa`.
MachineSpeeds machine_speeds(const ClusterProfile& profile, std::string_view isa, int threads, int node_threads,
                             bool several_nodes, std::string_view kind = "f32");

// A table that a stranger can read.
std::string describe(const ClusterProfile& profile);

}  // namespace argosy
