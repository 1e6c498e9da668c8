// A process's life as an MPI rank: start, who is on which node, agreeing on an error, and the end.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/base/error.hpp"
#include "parallel/communicator.hpp"
#include "parallel/rank_layout.hpp"

namespace argosy {

// An error on its way to all ranks.
struct ErrorReport {
    ErrorKind kind = ErrorKind::internal;
    std::string sentence;
    int rank = -1;  // world rank it happened on; filled in by agree()
    bool operator==(const ErrorReport&) const = default;
};

// An error that run_agreed() threw on every rank: nobody waits for anybody, and one of them should speak.
class AgreedError : public Error {
  public:
    using Error::Error;
};

// Cores and ranks of the node this rank runs on.
struct NodeCensus {
    int ranks = 1;      // of this job on this node
    int rank = 0;       // place among them, by world rank
    int leader = 0;     // world rank of the first of them: names the node
    int cores = 1;      // in this rank's affinity mask
    int cores_all = 1;  // in the union of the masks of the node's ranks
    bool shared_cores =
        false;  // some core is in two ranks' masks, and the ranks together want more cores than there are
    bool operator==(const NodeCensus&) const = default;
};

class MpiSession {
  public:
    // MPI_Init_thread with FUNNELED; if MPI already runs it is joined, and left running at the end. Error(system) when
    // MPI cannot start.
    MpiSession();
    // Finalizes MPI if this session started it. While an exception unwinds it does nothing: the others may not be here,
    // so let the process end with its sentence and the launcher end the rest.
    ~MpiSession();
    MpiSession(const MpiSession&) = delete;
    MpiSession& operator=(const MpiSession&) = delete;

    int rank() const { return rank_; }
    int size() const { return size_; }
    Communicator& world() { return *world_; }
    const std::string& mpi_version() const { return mpi_version_; }             // "Open MPI v4.1.4"
    const std::vector<std::string>& node_names() const { return node_names_; }  // [size] by world rank
    const std::string& node_name() const { return node_names_[static_cast<std::size_t>(rank_)]; }
    int node_count() const { return node_count_; }
    const NodeCensus& node() const { return node_; }

    // When this process started, on the scale of monotonic_ns(); the ledger's life begins here.
    std::int64_t process_start_ns() const { return process_start_ns_; }

    // A sentence when the launcher started several jobs of one rank instead of one job of several (a launcher and an
    // MPI that do not know each other); nothing when all is well.
    std::optional<std::string> launcher_complaint() const;

    // Collective. If any rank brings an error, all learn the one of the lowest rank, so that one speaks and all end
    // with one status.
    std::optional<ErrorReport> agree(const std::optional<ErrorReport>& mine);
    // Runs work() on every rank and agrees: throws the same AgreedError everywhere when it threw an exception anywhere.
    // The sentence names the rank if there are several. work() must not communicate after a point where only some ranks
    // may throw.
    void run_agreed(const std::function<void()>& work);

    // Finalizes MPI now, on all ranks; everything that needs it is gone by then. What a rank does after is its own:
    // no verb, no group, no agreement.
    void end();

    // Ends the whole job now, with this status, from one rank; after end() only this rank.
    [[noreturn]] void abort(int status);

    // New group of the ranks that give the same colour, ordered by key; a group of one gets the self communicator.
    std::unique_ptr<Communicator> split(int colour, int key, std::string name);

    int world_handle() const {
        return world_handle_;
    }  // MPI's integer (Fortran) handle, for the other MPI doors of this folder

  private:
    bool owns_mpi_ = false;
    bool ended_ = false;
    int rank_ = 0;
    int size_ = 1;
    int world_handle_ = 0;
    int exceptions_at_start_ = 0;
    std::int64_t process_start_ns_ = 0;
    std::string mpi_version_;
    std::vector<std::string> node_names_;
    int node_count_ = 1;
    NodeCensus node_;
    std::unique_ptr<Communicator> world_;
};

// The communicators of a layout. A group of one rank is a self communicator. Collective over the world.
struct Groups {
    RankLayout layout;
    RankPlace place;
    Communicator* world = nullptr;        // owned by the session
    std::unique_ptr<Communicator> stage;  // the dp * tp ranks of this replica, by stage rank
    std::unique_ptr<Communicator> tp;     // this dp group, by tp rank
    std::unique_ptr<Communicator> etp;    // the ranks that hold columns of the same experts, by etp rank
};
Groups make_groups(MpiSession& session, const RankLayout& layout);

// Pure core of launcher_complaint: `variable` looks up the environment (null: not set).
std::optional<std::string> launcher_complaint_of(int world_size,
                                                 const std::function<const char*(const char*)>& variable);

// Error(system) with MPI's own words when an MPI function did not return success; `what` is what was tried.
void check_mpi(int code, std::string_view what);

// A communicator over an MPI handle; frees the handle at its end if `owned`. Lives in mpi_communicator.cpp.
std::unique_ptr<Communicator> make_mpi_communicator(int handle, bool owned, std::string name);

}  // namespace argosy
