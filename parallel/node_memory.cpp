// Memory shared by the ranks of a node through MPI windows, and private memory where nobody shares.
#include "parallel/node_memory.hpp"

#include <fmt/format.h>
#include <mpi.h>
#include <sys/mman.h>
#include <sys/statvfs.h>

#include <atomic>
#include <exception>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "kernels/base/error.hpp"

namespace argosy {

namespace {

constexpr std::size_t kAlignBytes = 4096;
constexpr std::size_t kHugePageBytes = std::size_t{2} << 20;
constexpr const char* kBackingFolder = "/dev/shm";  // where Open MPI keeps shared windows on Linux

// Private zero pages, which the kernel fills when they are first touched, near the core that touches them. data() is
// null when the kernel refused, or for 0 bytes.
class Pages {
  public:
    explicit Pages(std::size_t bytes) : bytes_(bytes) {
        if (bytes == 0) return;
        data_ = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (data_ == MAP_FAILED) data_ = nullptr;
        if (data_ != nullptr && bytes >= kHugePageBytes)
            madvise(data_, bytes, MADV_HUGEPAGE);  // advice: a kernel that declines changes nothing
    }
    Pages(Pages&& other) noexcept
        : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
    Pages(const Pages&) = delete;
    Pages& operator=(const Pages&) = delete;
    Pages& operator=(Pages&&) = delete;
    ~Pages() {
        if (data_ != nullptr) munmap(data_, bytes_);
    }
    void* data() const { return data_; }

  private:
    void* data_ = nullptr;
    std::size_t bytes_ = 0;
};

struct Wish {
    std::uint64_t key = 0;
    std::uint64_t bytes = 0;
    bool operator==(const Wish&) const = default;
};

std::int64_t free_bytes_of(const char* folder) {
    struct statvfs info {};
    if (statvfs(folder, &info) != 0)
        return -1;  // no such folder: MPI keeps its windows elsewhere, and will say when it cannot
    return static_cast<std::int64_t>(info.f_bavail) * static_cast<std::int64_t>(info.f_frsize);
}

// Messages of NodeMemory are small and of one size: bytes of a plain struct from every rank.
template <class T>
std::vector<T> gather(MPI_Comm comm, const T& mine) {
    int size = 0;
    MPI_Comm_size(comm, &size);
    std::vector<T> all(static_cast<std::size_t>(size));
    check_mpi(MPI_Allgather(&mine, sizeof(T), MPI_BYTE, all.data(), sizeof(T), MPI_BYTE, comm),
              "comparing the needs of a node's ranks");
    return all;
}

}  // namespace

struct NodeMemory::State {
    bool share = true;
    int exceptions_at_start = 0;
    NumaPlace numa;
    MPI_Comm node = MPI_COMM_NULL;
    MPI_Comm domain = MPI_COMM_NULL;
    int node_rank = 0;
    int domain_rank = 0;
    std::map<std::pair<MPI_Comm, std::vector<int>>, MPI_Comm> teams;  // by their members in the node or domain group
    std::vector<MPI_Win> windows;
    std::vector<Pages> pages;
    std::int64_t shared_bytes = 0;
    std::int64_t private_bytes = 0;

    MPI_Comm team_of(MPI_Comm parent, const std::vector<int>& members) {
        const auto key = std::pair(parent, members);
        const auto found = teams.find(key);
        if (found != teams.end()) return found->second;
        MPI_Group all = MPI_GROUP_NULL;
        MPI_Group part = MPI_GROUP_NULL;
        MPI_Comm team = MPI_COMM_NULL;
        check_mpi(MPI_Comm_group(parent, &all), "naming the ranks that share memory");
        check_mpi(MPI_Group_incl(all, static_cast<int>(members.size()), members.data(), &part),
                  "naming the ranks that share memory");
        check_mpi(MPI_Comm_create_group(parent, part, 0, &team), "making the group of ranks that share memory");
        MPI_Group_free(&part);
        MPI_Group_free(&all);
        check_mpi(MPI_Comm_set_errhandler(team, MPI_ERRORS_RETURN), "choosing how a group reports errors");
        return teams.emplace(key, team).first->second;
    }

    // All ranks of the node refuse alike when what their leaders want together is not there, or one of them got no
    // private memory.
    void check_room(std::int64_t led_bytes, std::int64_t refused_bytes) {
        struct Need {
            std::int64_t shared;
            std::int64_t refused;
            std::int64_t room;
        };
        const std::vector<Need> needs =
            gather(node, Need{led_bytes, refused_bytes, node_rank == 0 ? free_bytes_of(kBackingFolder) : 0});
        std::int64_t bytes = 0;
        for (const Need& need : needs) {
            if (need.refused > 0) {
                fail(ErrorKind::system, "No memory for a block of {} bytes. Use more ranks, or a smaller --kv-memory.",
                     need.refused);
            }
            bytes += need.shared;
        }
        const std::int64_t room = needs.front().room;
        if (room >= 0 && bytes > room) {
            fail(ErrorKind::system,
                 "Memory shared by the ranks of a node lives in {}, which has {} bytes free, and {} more are needed. "
                 "Make it larger "
                 "(mount -o remount,size=...; in a container --shm-size), or run fewer ranks per node.",
                 kBackingFolder, room, bytes);
        }
    }

    SharedBlock allocate_shared(MPI_Comm parent, int parent_rank, const std::vector<int>& members, std::size_t bytes) {
        SharedBlock block;
        block.bytes = bytes;
        block.sharers = static_cast<int>(members.size());
        for (std::size_t i = 0; i < members.size(); ++i) {
            if (members[i] == parent_rank) block.sharer = static_cast<int>(i);
        }
        MPI_Comm team = team_of(parent, members);
        MPI_Win window = MPI_WIN_NULL;
        void* base = nullptr;
        const MPI_Aint wanted = block.is_leader() ? static_cast<MPI_Aint>(bytes + kAlignBytes) : 0;
        check_mpi(MPI_Win_allocate_shared(wanted, 1, MPI_INFO_NULL, team, &base, &window),
                  fmt::format("sharing {} bytes among {} ranks of a node", bytes, block.sharers));
        windows.push_back(window);
        MPI_Aint size = 0;
        int unit = 0;
        check_mpi(MPI_Win_shared_query(window, 0, &size, &unit, &base), "finding shared memory");
        check_mpi(MPI_Win_lock_all(MPI_MODE_NOCHECK, window), "opening shared memory");
        // Mappings begin at a page on every rank, so all ranks round up to the same byte.
        const auto address = reinterpret_cast<std::uintptr_t>(base);
        block.data = reinterpret_cast<std::byte*>((address + kAlignBytes - 1) / kAlignBytes * kAlignBytes);
        if (block.is_leader()) shared_bytes += static_cast<std::int64_t>(bytes);
        return block;
    }

    SharedBlock allocate(MPI_Comm parent, int parent_rank, const Wish& mine) {
        const std::vector<Wish> wishes = gather(parent, mine);
        std::vector<int> members;
        for (std::size_t r = 0; r < wishes.size(); ++r) {
            if (wishes[r] == mine) members.push_back(static_cast<int>(r));
        }
        if (share && members.size() > 1 && mine.bytes > 0) {
            check_room(members.front() == parent_rank ? static_cast<std::int64_t>(mine.bytes + kAlignBytes) : 0, 0);
            return allocate_shared(parent, parent_rank, members, mine.bytes);
        }
        Pages block(mine.bytes);
        check_room(0, block.data() == nullptr ? static_cast<std::int64_t>(mine.bytes) : 0);
        private_bytes += static_cast<std::int64_t>(mine.bytes);
        pages.push_back(std::move(block));
        return {static_cast<std::byte*>(pages.back().data()), mine.bytes, 1, 0};
    }
};

NodeMemory::NodeMemory(MpiSession& session, bool share) : state_(std::make_unique<State>()) {
    State& s = *state_;
    s.share = share;
    s.exceptions_at_start = std::uncaught_exceptions();
    s.numa = numa_place();
    MPI_Comm world = MPI_Comm_f2c(session.world_handle());
    check_mpi(MPI_Comm_split_type(world, MPI_COMM_TYPE_SHARED, session.rank(), MPI_INFO_NULL, &s.node),
              "finding the ranks of this node");
    check_mpi(MPI_Comm_rank(s.node, &s.node_rank), "asking for the rank on this node");
    check_mpi(MPI_Comm_split(s.node, s.numa.domain + 1, s.node_rank, &s.domain),
              "finding the ranks of this NUMA domain");
    check_mpi(MPI_Comm_rank(s.domain, &s.domain_rank), "asking for the rank in this NUMA domain");
    check_mpi(MPI_Comm_set_errhandler(s.node, MPI_ERRORS_RETURN), "choosing how a group reports errors");
    check_mpi(MPI_Comm_set_errhandler(s.domain, MPI_ERRORS_RETURN), "choosing how a group reports errors");
}

NodeMemory::~NodeMemory() {
    State& s = *state_;
    if (std::uncaught_exceptions() > s.exceptions_at_start) return;  // the others may not come: freeing is collective
    for (auto window = s.windows.rbegin(); window != s.windows.rend(); ++window) {
        MPI_Win_unlock_all(*window);
        MPI_Win_free(&*window);
    }
    for (auto& [members, team] : s.teams) MPI_Comm_free(&team);
    MPI_Comm_free(&s.domain);
    MPI_Comm_free(&s.node);
}

SharedBlock NodeMemory::allocate(std::uint64_t key, std::size_t bytes) {
    return state_->allocate(state_->domain, state_->domain_rank, {key, bytes});
}

SharedBlock NodeMemory::allocate_for_node(std::size_t bytes) {
    return state_->allocate(state_->node, state_->node_rank, {0, bytes});
}

void NodeMemory::publish() {
    for (const MPI_Win window : state_->windows) check_mpi(MPI_Win_sync(window), "publishing shared memory");
    std::atomic_thread_fence(std::memory_order_seq_cst);
    check_mpi(MPI_Barrier(state_->node), "publishing shared memory");
    std::atomic_thread_fence(std::memory_order_seq_cst);
    for (const MPI_Win window : state_->windows) check_mpi(MPI_Win_sync(window), "publishing shared memory");
}

const NumaPlace& NodeMemory::numa() const { return state_->numa; }
std::int64_t NodeMemory::shared_bytes() const { return state_->shared_bytes; }
std::int64_t NodeMemory::private_bytes() const { return state_->private_bytes; }

}  // namespace argosy
