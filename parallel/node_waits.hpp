// The wait meter of one rank, over memory shared by the ranks of its node, told of every verb of every group.
#pragma once

#include <utility>
#include <vector>

#include "parallel/mpi_session.hpp"
#include "parallel/node_memory.hpp"
#include "parallel/wait_meter.hpp"

namespace argosy {

// Place of every world rank among the ranks of `own_rank`'s node, by world rank; -1 for ranks of other nodes. Pure.
std::vector<int> places_on_node(const std::vector<std::string>& node_names, int own_rank);

// Making one is collective over the world. While it lives, waiting in the verbs of the world and of the groups is
// booked on the clock; it ends before the groups and the memory.
class NodeWaits {
  public:
    NodeWaits(MpiSession& session, Groups& groups, NodeMemory& memory, AccountClock& clock);
    ~NodeWaits();
    NodeWaits(const NodeWaits&) = delete;
    NodeWaits& operator=(const NodeWaits&) = delete;

    // Verbs go unheard until listen(); all ranks call both between the same verbs.
    void ignore();
    void listen();

    std::vector<Blame> blames() const { return meter_.blames(); }

  private:
    std::vector<std::pair<Communicator*, GroupKind>> told_;
    WaitMeter meter_;
};

}  // namespace argosy
