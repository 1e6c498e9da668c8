// What all communicators share: counting what a rank hands to others, and the time inside the verbs.
#include "parallel/communicator.hpp"

#include <exception>
#include <vector>

#include "kernels/base/account_clock.hpp"
#include "kernels/base/error.hpp"
#include "parallel/wait_meter.hpp"

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

// Messages up to this size leave the sender before the receiver is there (Open MPI's usual eager limit).
constexpr std::int64_t kBufferedBytes = 4096;

void check_parts(const Communicator& group, Verb verb, std::size_t send, std::size_t receive) {
    const auto size = static_cast<std::size_t>(group.size());
    if (send != size || receive != size) {
        fail(ErrorKind::internal, "{} on group {} of {} ranks was given {} parts to send and {} to receive.",
             name_of(verb), group.name(), group.size(), send, receive);
    }
}

}  // namespace

// One verb under way: counted when it ends, in whichever way, and the meter hears of its beginning and its good end.
class Communicator::Call {
  public:
    Call(Communicator& group, Verb verb, std::int64_t bytes_sent)
        : group_(group),
          traffic_(group.traffic_.of(verb)),
          bytes_sent_(bytes_sent),
          exceptions_(std::uncaught_exceptions()),
          start_ns_(monotonic_ns()) {
        if (group_.meter_ != nullptr) group_.meter_->enter(group_.kind_, start_ns_);
    }
    ~Call() {
        const std::int64_t end_ns = monotonic_ns();
        ++traffic_.calls;
        traffic_.bytes_sent += bytes_sent_;
        traffic_.ns += end_ns - start_ns_;
        if (group_.meter_ != nullptr && std::uncaught_exceptions() == exceptions_)
            group_.meter_->leave(group_.kind_, start_ns_, end_ns, group_.partner_);
        group_.partner_.clear();
    }
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;

  private:
    Communicator& group_;
    VerbTraffic& traffic_;
    std::int64_t bytes_sent_;
    int exceptions_;
    std::int64_t start_ns_;
};

void Communicator::barrier() {
    const Call call(*this, Verb::barrier, 0);
    do_barrier();
}

void Communicator::broadcast(void* data, std::int64_t bytes, int root) {
    const Call call(*this, Verb::broadcast, rank_ == root ? bytes * (size_ - 1) : 0);
    do_broadcast(data, bytes, root);
}

void Communicator::all_gather(const void* send, std::int64_t bytes, void* recv) {
    const Call call(*this, Verb::all_gather, bytes * (size_ - 1));
    do_all_gather(send, bytes, recv);
}

void Communicator::all_gather_v(const void* send, void* recv, std::span<const std::int64_t> counts_bytes) {
    check_parts(*this, Verb::all_gather_v, counts_bytes.size(), counts_bytes.size());
    const Call call(*this, Verb::all_gather_v, counts_bytes[static_cast<std::size_t>(rank_)] * (size_ - 1));
    do_all_gather_v(send, recv, counts_bytes);
}

void Communicator::all_to_all(const void* send, std::int64_t bytes_each, void* recv) {
    const Call call(*this, Verb::all_to_all, bytes_each * (size_ - 1));
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
    if (meter_ != nullptr) {
        // Who sends this rank something is waited for; who receives from it only when the message is too large to be
        // taken off its hands before the receiver comes.
        for (int r = 0; r < size_; ++r) {
            const auto at = static_cast<std::size_t>(r);
            partner_.push_back(recv[at].bytes > 0 || send[at].bytes > kBufferedBytes);
        }
    }
    const Call call(*this, Verb::all_to_all_v, bytes);
    do_all_to_all_v(send, recv);
}

}  // namespace argosy
