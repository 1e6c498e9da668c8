// One copy per NUMA domain of what several ranks hold alike: weights of replicas, attention weights of dp groups,
// heartbeats.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "parallel/mpi_session.hpp"
#include "parallel/numa.hpp"

namespace argosy {

// A view of memory that lives as long as its NodeMemory. Zero-filled where it was allocated.
struct SharedBlock {
    std::byte* data = nullptr;  // 64-byte aligned
    std::size_t bytes = 0;
    int sharers = 1;                                // ranks that see this copy
    int sharer = 0;                                 // this rank's place among them, by world rank
    bool is_leader() const { return sharer == 0; }  // who writes what all share
    template <class T>
    T* as() const {
        return reinterpret_cast<T*>(data);
    }
};

// Construct, allocate, publish and destroy are collective over the ranks of a node. Destroy before the MpiSession ends.
// A block costs an MPI window: allocate arenas, not single tensors.
class NodeMemory {
  public:
    // With share = false every block is private: each rank keeps its own copy.
    explicit NodeMemory(MpiSession& session, bool share = true);
    ~NodeMemory();
    NodeMemory(const NodeMemory&) = delete;
    NodeMemory& operator=(const NodeMemory&) = delete;

    // Ranks of one NUMA domain that give the same key and bytes share one copy; a rank alone with its key gets private
    // memory. All ranks of the node call in the same order (0 bytes is allowed). Error(system), on all alike, when
    // /dev/shm has no room for it or memory is not to be had.
    SharedBlock allocate(std::uint64_t key, std::size_t bytes);
    // One copy for all ranks of the node, whatever their domain.
    SharedBlock allocate_for_node(std::size_t bytes);

    // What any rank wrote before is visible to all ranks of the node after.
    void publish();

    const NumaPlace& numa() const;
    std::int64_t shared_bytes() const;   // of the copies that this rank leads
    std::int64_t private_bytes() const;  // of this rank's own blocks

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace argosy
