// What all communicators share: counting what a rank hands to others, and the time inside the verbs.
#include "parallel/communicator.hpp"

#include <vector>

#include "kernels/base/account_clock.hpp"
#include "kernels/base/error.hpp"

namespace argosy {

std::string_view name_of(Verb verb) {
    constexpr std::string_view kNames[kVerbCount] = {"barrier",      "broadcast",  "all_gather",
                                                     "all_gather_v", "all_to_all", "all_to_all_v"};
    return kNames[static_cast<std::size_t>(verb)];
}

std::int64_t TrafficCounters::bytes_sent() const {
    std::int64_t sum = 0;
    for (const VerbTraffic& v : verb) sum += v.bytes_sent;
    return sum;
}

TrafficCounters& TrafficCounters::operator+=(const TrafficCounters& other) {
    for (std::size_t i = 0; i < verb.size(); ++i) {
        verb[i].calls += other.verb[i].calls;
        verb[i].bytes_sent += other.verb[i].bytes_sent;
        verb[i].ns += other.verb[i].ns;
    }
    return *this;
}

namespace {

// Adds one call to a verb's counters when it ends, in whichever way.
class Counted {
  public:
    Counted(VerbTraffic& traffic, std::int64_t bytes_sent)
        : traffic_(traffic), bytes_sent_(bytes_sent), start_ns_(monotonic_ns()) {}
    ~Counted() {
        ++traffic_.calls;
        traffic_.bytes_sent += bytes_sent_;
        traffic_.ns += monotonic_ns() - start_ns_;
    }
    Counted(const Counted&) = delete;
    Counted& operator=(const Counted&) = delete;

  private:
    VerbTraffic& traffic_;
    std::int64_t bytes_sent_;
    std::int64_t start_ns_;
};

void check_parts(const Communicator& group, Verb verb, std::size_t send, std::size_t receive) {
    const auto size = static_cast<std::size_t>(group.size());
    if (send != size || receive != size) {
        fail(ErrorKind::internal, "{} on group {} of {} ranks was given {} parts to send and {} to receive.",
             name_of(verb), group.name(), group.size(), send, receive);
    }
}

}  // namespace

void Communicator::barrier() {
    const Counted counted(traffic_.of(Verb::barrier), 0);
    do_barrier();
}

void Communicator::broadcast(void* data, std::int64_t bytes, int root) {
    const Counted counted(traffic_.of(Verb::broadcast), rank_ == root ? bytes * (size_ - 1) : 0);
    do_broadcast(data, bytes, root);
}

void Communicator::all_gather(const void* send, std::int64_t bytes, void* recv) {
    const Counted counted(traffic_.of(Verb::all_gather), bytes * (size_ - 1));
    do_all_gather(send, bytes, recv);
}

void Communicator::all_gather_v(const void* send, void* recv, std::span<const std::int64_t> counts_bytes) {
    check_parts(*this, Verb::all_gather_v, counts_bytes.size(), counts_bytes.size());
    const Counted counted(traffic_.of(Verb::all_gather_v), counts_bytes[static_cast<std::size_t>(rank_)] * (size_ - 1));
    do_all_gather_v(send, recv, counts_bytes);
}

void Communicator::all_to_all(const void* send, std::int64_t bytes_each, void* recv) {
    const Counted counted(traffic_.of(Verb::all_to_all), bytes_each * (size_ - 1));
    do_all_to_all(send, bytes_each, recv);
}

void Communicator::all_to_all_v(const void* send, std::span<const std::int64_t> send_counts_bytes, void* recv,
                                std::span<const std::int64_t> recv_counts_bytes) {
    check_parts(*this, Verb::all_to_all_v, send_counts_bytes.size(), recv_counts_bytes.size());
    std::vector<SendPart> send_parts;
    std::vector<ReceivePart> receive_parts;
    const auto* from = static_cast<const std::byte*>(send);
    auto* to = static_cast<std::byte*>(recv);
    for (int r = 0; r < size_; ++r) {
        send_parts.push_back({from, send_counts_bytes[static_cast<std::size_t>(r)]});
        receive_parts.push_back({to, recv_counts_bytes[static_cast<std::size_t>(r)]});
        from += send_parts.back().bytes;
        to += receive_parts.back().bytes;
    }
    all_to_all_v(send_parts, receive_parts);
}

void Communicator::all_to_all_v(std::span<const SendPart> send, std::span<const ReceivePart> recv) {
    check_parts(*this, Verb::all_to_all_v, send.size(), recv.size());
    std::int64_t bytes = 0;
    for (int r = 0; r < size_; ++r) {
        if (r != rank_) bytes += send[static_cast<std::size_t>(r)].bytes;
    }
    const auto self = static_cast<std::size_t>(rank_);
    if (send[self].bytes != recv[self].bytes) {
        fail(ErrorKind::internal, "all_to_all_v on group {}: rank {} hands itself {} bytes and expects {}.", name_,
             rank_, send[self].bytes, recv[self].bytes);
    }
    const Counted counted(traffic_.of(Verb::all_to_all_v), bytes);
    do_all_to_all_v(send, recv);
}

}  // namespace argosy
