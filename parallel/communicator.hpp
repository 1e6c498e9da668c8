// The seam between Argosy and what moves its bytes: a group of ranks and a few verbs. Verbs move bytes and nothing
// else: no verb adds floating-point numbers (rule R1). Every rank of the group calls the same verbs in the same order,
// from its main thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace argosy {

class WaitMeter;
enum class GroupKind : std::uint8_t;

enum class Verb : std::uint8_t { barrier, broadcast, all_gather, all_gather_v, all_to_all, all_to_all_v };
inline constexpr int kVerbCount = 6;
std::string_view name_of(Verb verb);

// bytes_sent is the payload that this rank hands to OTHER ranks, whatever the transport does with it: broadcast counts
// bytes * (size - 1) at the root and 0 elsewhere, all_gather and all_gather_v the own bytes * (size - 1), all_to_all
// bytes_each * (size - 1), all_to_all_v the counts to others; what a rank keeps for itself is not counted.
struct VerbTraffic {
    std::int64_t calls = 0;
    std::int64_t bytes_sent = 0;
    std::int64_t ns = 0;  // time inside the verb, waiting included
    bool operator==(const VerbTraffic&) const = default;
};
struct TrafficCounters {
    std::array<VerbTraffic, kVerbCount> verb{};
    VerbTraffic& of(Verb v) { return verb[static_cast<std::size_t>(v)]; }
    const VerbTraffic& of(Verb v) const { return verb[static_cast<std::size_t>(v)]; }
    std::int64_t bytes_sent() const;
    TrafficCounters& operator+=(const TrafficCounters& other);
    bool operator==(const TrafficCounters&) const = default;
};

// One rank's part of an all_to_all_v, where the parts do not stand side by side.
struct SendPart {
    const void* data = nullptr;
    std::int64_t bytes = 0;
};
struct ReceivePart {
    void* data = nullptr;
    std::int64_t bytes = 0;
};

// Sizes are checked by the caller: a verb trusts that every rank announces counts that fit the others'. Any size is
// allowed, beyond 2 GiB too. A transport that fails throws Error(system) naming the verb and the rank.
class Communicator {
  public:
    virtual ~Communicator() = default;
    Communicator(const Communicator&) = delete;
    Communicator& operator=(const Communicator&) = delete;

    int rank() const { return rank_; }
    int size() const { return size_; }
    const std::string& name() const { return name_; }  // "world", "stage", "tp", "etp": for messages

    void barrier();
    void broadcast(void* data, std::int64_t bytes, int root);

    // recv: [size] blocks of `bytes`, in rank order. send may be recv's own block.
    void all_gather(const void* send, std::int64_t bytes, void* recv);
    // counts_bytes [size], known to all; recv holds them side by side in rank order. send may be recv's own block.
    void all_gather_v(const void* send, void* recv, std::span<const std::int64_t> counts_bytes);

    // send, recv: [size] blocks of bytes_each.
    void all_to_all(const void* send, std::int64_t bytes_each, void* recv);
    // Parts side by side in rank order: the displacements are prefix sums of the counts.
    void all_to_all_v(const void* send, std::span<const std::int64_t> send_counts_bytes, void* recv,
                      std::span<const std::int64_t> recv_counts_bytes);
    // The same verb with a pointer for every part; a part may be sent to several ranks, empty parts need no pointer.
    void all_to_all_v(std::span<const SendPart> send, std::span<const ReceivePart> recv);

    const TrafficCounters& traffic() const { return traffic_; }
    void reset_traffic() { traffic_ = {}; }

    // From here on the meter is told of every verb, as one of group `kind`; null: of none. All members call it between
    // the same verbs.
    void tell(WaitMeter* meter, GroupKind kind) {
        meter_ = meter;
        kind_ = kind;
    }

  protected:
    Communicator(int rank, int size, std::string name) : rank_(rank), size_(size), name_(std::move(name)) {}

    virtual void do_barrier() = 0;
    virtual void do_broadcast(void* data, std::int64_t bytes, int root) = 0;
    virtual void do_all_gather(const void* send, std::int64_t bytes, void* recv) = 0;
    virtual void do_all_gather_v(const void* send, void* recv, std::span<const std::int64_t> counts_bytes) = 0;
    virtual void do_all_to_all(const void* send, std::int64_t bytes_each, void* recv) = 0;
    virtual void do_all_to_all_v(std::span<const SendPart> send, std::span<const ReceivePart> recv) = 0;

  private:
    class Call;
    int rank_;
    int size_;
    std::string name_;
    TrafficCounters traffic_;
    WaitMeter* meter_ = nullptr;
    GroupKind kind_{};
    std::vector<std::uint8_t> partner_;  // of the verb under way, where not all members matter
};

// A group of one rank: verbs copy or do nothing. Lives in argosy_layout: it needs no MPI.
std::unique_ptr<Communicator> make_self_communicator(std::string name);

}  // namespace argosy
