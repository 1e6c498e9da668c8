// Starting and ending MPI, looking around on the nodes, and agreeing on errors.
#include "parallel/mpi_session.hpp"

#include <fmt/format.h>
#include <mpi.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>
#include <iterator>

#include "kernels/base/account_clock.hpp"

namespace argosy {

namespace {

using CoreMask = std::array<std::uint64_t, CPU_SETSIZE / 64>;

CoreMask affinity_mask() {
    CoreMask mask{};
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return mask;  // more cores than a set holds: counted as none, reported as 1
    for (std::size_t core = 0; core < CPU_SETSIZE; ++core) {
        if (CPU_ISSET(core, &set)) mask[core / 64] |= std::uint64_t{1} << (core % 64);
    }
    return mask;
}

int count_cores(const CoreMask& mask) {
    int cores = 0;
    for (const std::uint64_t word : mask) cores += __builtin_popcountll(word);
    return std::max(cores, 1);
}

// The 22nd field of /proc/self/stat is the start in clock ticks since boot; the 2nd, the program's name, may hold
// spaces and brackets.
std::int64_t read_process_start_ns() {
    const std::int64_t now_ns = monotonic_ns();
    std::ifstream file("/proc/self/stat");
    const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    const std::size_t name_end = text.rfind(')');
    timespec boot{};
    if (name_end == std::string::npos || clock_gettime(CLOCK_BOOTTIME, &boot) != 0) return now_ns;
    const char* at = text.c_str() + name_end + 1;
    for (int field = 3; field < 22 && *at != '\0'; ++field) {
        at = std::strchr(at + 1, ' ');
        if (at == nullptr) return now_ns;
    }
    const double start_s = std::strtod(at, nullptr) / static_cast<double>(sysconf(_SC_CLK_TCK));
    const double age_s = static_cast<double>(boot.tv_sec) + static_cast<double>(boot.tv_nsec) * 1e-9 - start_s;
    return now_ns - std::max<std::int64_t>(0, static_cast<std::int64_t>(age_s * 1e9));
}

std::string read_mpi_version() {
    std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> text{};
    int length = 0;
    check_mpi(MPI_Get_library_version(text.data(), &length), "asking for MPI's version");
    const std::string version(text.data());
    return version.substr(0, version.find_first_of(",\n"));
}

// Ranks that wait in MPI spin, unless told to yield. Where this node has more ranks than cores, a spinning rank takes
// the core from the one it waits for, so yielding is asked for before MPI starts. A user's own setting stays.
void ask_for_yielding() {
    const char* ranks = std::getenv("OMPI_COMM_WORLD_LOCAL_SIZE");
    if (ranks != nullptr && std::atoi(ranks) > count_cores(affinity_mask()))
        setenv("OMPI_MCA_mpi_yield_when_idle", "1", 0);
}

NodeCensus take_census() {
    MPI_Comm node = MPI_COMM_NULL;
    check_mpi(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node),
              "finding the ranks of this node");
    NodeCensus census;
    MPI_Comm_size(node, &census.ranks);
    MPI_Comm_rank(node, &census.rank);
    const CoreMask mine = affinity_mask();
    std::vector<CoreMask> masks(static_cast<std::size_t>(census.ranks));
    check_mpi(MPI_Allgather(mine.data(), sizeof(CoreMask), MPI_BYTE, masks.data(), sizeof(CoreMask), MPI_BYTE, node),
              "comparing the cores of this node's ranks");
    CoreMask all{};
    for (const CoreMask& mask : masks) {
        for (std::size_t i = 0; i < all.size(); ++i) {
            census.shared_cores = census.shared_cores || (all[i] & mask[i]) != 0;
            all[i] |= mask[i];
        }
    }
    MPI_Comm_rank(MPI_COMM_WORLD, &census.leader);
    check_mpi(MPI_Bcast(&census.leader, 1, MPI_INT, 0, node), "naming the node");
    census.cores = count_cores(mine);
    census.cores_all = count_cores(all);
    check_mpi(MPI_Comm_free(&node), "freeing a group");
    return census;
}

// "node7" of every rank. Names are cut at 64 characters: the longest that Linux has.
std::vector<std::string> gather_node_names(Communicator& world) {
    constexpr std::size_t kNameBytes = HOST_NAME_MAX + 1;
    std::array<char, kNameBytes> mine{};
    if (gethostname(mine.data(), kNameBytes - 1) != 0) std::strncpy(mine.data(), "unknown", kNameBytes - 1);
    std::vector<char> all(kNameBytes * static_cast<std::size_t>(world.size()));
    world.all_gather(mine.data(), kNameBytes, all.data());
    std::vector<std::string> names;
    for (std::size_t at = 0; at < all.size(); at += kNameBytes) names.emplace_back(&all[at]);
    return names;
}

// Nodes are told apart by the ranks that share memory, not by name: containers may carry one name on several machines.
int count_nodes(Communicator& world, const NodeCensus& node) {
    std::vector<std::int32_t> first(static_cast<std::size_t>(world.size()));
    const std::int32_t mine = node.rank == 0 ? 1 : 0;
    world.all_gather(&mine, sizeof mine, first.data());
    return static_cast<int>(std::count(first.begin(), first.end(), 1));
}

}  // namespace

void check_mpi(int code, std::string_view what) {
    if (code == MPI_SUCCESS) return;
    std::array<char, MPI_MAX_ERROR_STRING> text{};
    int length = 0;
    if (MPI_Error_string(code, text.data(), &length) != MPI_SUCCESS)
        std::snprintf(text.data(), text.size(), "error %d", code);
    fail(ErrorKind::system, "MPI failed while {}: {}. The job cannot go on; resume it when the machine is well again.",
         what, text.data());
}

MpiSession::MpiSession()
    : exceptions_at_start_(std::uncaught_exceptions()), process_start_ns_(read_process_start_ns()) {
    int running = 0;
    check_mpi(MPI_Initialized(&running), "asking whether it runs");
    if (running == 0) {
        ask_for_yielding();
        int provided = 0;
        check_mpi(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided), "starting");
        owns_mpi_ = true;
        if (provided < MPI_THREAD_FUNNELED) {
            fail(ErrorKind::system,
                 "This MPI library cannot serve a program with threads (FUNNELED). Use one that can, such as Open MPI "
                 "4.");
        }
    }
    MPI_Comm world = MPI_COMM_NULL;
    check_mpi(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "choosing how it reports errors");
    check_mpi(MPI_Comm_dup(MPI_COMM_WORLD, &world), "making the group of all ranks");
    check_mpi(MPI_Comm_rank(world, &rank_), "asking for the rank");
    check_mpi(MPI_Comm_size(world, &size_), "asking for the number of ranks");
    world_handle_ = MPI_Comm_c2f(world);
    if (size_ == 1) {
        world_ = make_self_communicator("world");
    } else {
        world_ = make_mpi_communicator(world_handle_, false, "world");
    }
    mpi_version_ = read_mpi_version();
    node_names_ = gather_node_names(*world_);
    node_ = take_census();
    node_count_ = count_nodes(*world_, node_);
    world_->reset_traffic();  // looking around is not the job's traffic
}

MpiSession::~MpiSession() {
    if (std::uncaught_exceptions() > exceptions_at_start_) return;
    end();
}

void MpiSession::end() {
    if (ended_) return;
    ended_ = true;
    world_.reset();
    MPI_Comm world = MPI_Comm_f2c(world_handle_);
    MPI_Comm_free(&world);
    if (owns_mpi_) MPI_Finalize();
}

std::optional<std::string> launcher_complaint_of(int world_size,
                                                 const std::function<const char*(const char*)>& variable) {
    if (world_size != 1) return std::nullopt;
    const auto value_of = [&](const char* name) {
        const char* text = variable(name);
        return text == nullptr ? 0 : std::atoi(text);
    };
    // The launchers' own counts speak before Slurm's, which also stands in the environment of a batch script that
    // starts mpirun -n 1.
    for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_NTASKS"}) {
        const int tasks = value_of(name);
        if (tasks > 1) {
            return fmt::format(
                "The launcher announces {} ranks ({}), but MPI sees one: several jobs of one rank would do the same "
                "work. Start it with "
                "`srun --mpi=pmix argosy ...` or with the mpirun of the MPI library that Argosy was built with; if one "
                "rank is meant, "
                "start it with `mpirun -n 1` or `srun -n 1`.",
                tasks, name);
        }
        if (tasks == 1) return std::nullopt;
    }
    return std::nullopt;
}

std::optional<std::string> MpiSession::launcher_complaint() const {
    return launcher_complaint_of(size_, [](const char* name) { return std::getenv(name); });
}

std::optional<ErrorReport> MpiSession::agree(const std::optional<ErrorReport>& mine) {
    const std::int32_t own_kind = mine ? static_cast<std::int32_t>(mine->kind) : -1;
    std::vector<std::int32_t> kinds(static_cast<std::size_t>(size_));
    world_->all_gather(&own_kind, sizeof own_kind, kinds.data());
    const auto first = std::find_if(kinds.begin(), kinds.end(), [](std::int32_t kind) { return kind >= 0; });
    if (first == kinds.end()) return std::nullopt;
    ErrorReport report;
    report.rank = static_cast<int>(first - kinds.begin());
    report.kind = static_cast<ErrorKind>(*first);
    if (report.rank == rank_) report.sentence = mine->sentence;
    std::int64_t length = static_cast<std::int64_t>(report.sentence.size());
    world_->broadcast(&length, sizeof length, report.rank);
    report.sentence.resize(static_cast<std::size_t>(length));
    world_->broadcast(report.sentence.data(), length, report.rank);
    return report;
}

void MpiSession::run_agreed(const std::function<void()>& work) {
    std::optional<ErrorReport> mine;
    try {
        work();
    } catch (const Error& error) {
        mine = ErrorReport{error.kind(), error.what(), rank_};
    } catch (const std::bad_alloc&) {
        mine = ErrorReport{ErrorKind::system, "There is not enough memory. Use more ranks, or a smaller --kv-memory.",
                           rank_};
    } catch (const std::exception& error) {
        mine = ErrorReport{ErrorKind::internal, error.what(), rank_};
    }
    const std::optional<ErrorReport> agreed = agree(mine);
    if (!agreed) return;
    // A user's mistake is the same seen from any rank; the machine's troubles have a place.
    const bool has_place = size_ > 1 && (agreed->kind == ErrorKind::system || agreed->kind == ErrorKind::internal);
    if (!has_place) throw AgreedError(agreed->kind, agreed->sentence);
    throw AgreedError(agreed->kind, fmt::format("Rank {} on {}: {}", agreed->rank,
                                                node_names_[static_cast<std::size_t>(agreed->rank)], agreed->sentence));
}

void MpiSession::abort(int status) {
    std::fflush(nullptr);
    if (ended_) _exit(status);
    MPI_Abort(MPI_COMM_WORLD, status);
    _exit(status);
}

std::unique_ptr<Communicator> MpiSession::split(int colour, int key, std::string name) {
    if (size_ == 1) return make_self_communicator(std::move(name));
    MPI_Comm part = MPI_COMM_NULL;
    check_mpi(MPI_Comm_split(MPI_Comm_f2c(world_handle_), colour, key, &part),
              fmt::format("making the groups called {}", name));
    int size = 0;
    check_mpi(MPI_Comm_size(part, &size), "asking for the size of a group");
    if (size > 1) return make_mpi_communicator(MPI_Comm_c2f(part), true, std::move(name));
    check_mpi(MPI_Comm_free(&part), "freeing a group of one rank");
    return make_self_communicator(std::move(name));
}

Groups make_groups(MpiSession& session, const RankLayout& layout) {
    if (layout.world_size() != session.size()) {
        fail(ErrorKind::internal, "A layout of {} ranks ({}) cannot be laid over {} ranks.", layout.world_size(),
             describe(layout), session.size());
    }
    Groups groups;
    groups.layout = layout;
    groups.place = place_of(layout, session.rank());
    groups.world = &session.world();
    const RankPlace& place = groups.place;
    const int stage = place.replica * layout.pp + place.pp_rank;
    groups.stage = session.split(stage, place.stage_rank, "stage");
    groups.tp = session.split(stage * layout.dp + place.dp_rank, place.tp_rank, "tp");
    // A dense model's ranks are all ep 0: each is its own etp group.
    const int etp_group = layout.ep * layout.etp > 1 ? stage * layout.ep + place.ep_rank : session.rank();
    groups.etp = session.split(etp_group, place.etp_rank, "etp");
    return groups;
}

}  // namespace argosy
