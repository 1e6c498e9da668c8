// Messages between ranks of one node and of two, and the small collectives of a step.
#include <algorithm>

#include "kernels/base/account_clock.hpp"
#include "kernels/base/buffer.hpp"
#include "runtime/probe/machine_probe.hpp"

namespace argosy {

namespace {

constexpr std::int64_t kSmallBytes = 8;
constexpr std::int64_t kLargeBytes = std::int64_t{4} << 20;
constexpr std::int64_t kStepWordBytes = 64;

// Two ranks that send to each other in turn; on a rank without a partner a group of one, which does nothing.
class Pair {
  public:
    explicit Pair(std::unique_ptr<Communicator> group)
        : group_(std::move(group)), send_(static_cast<std::size_t>(kLargeBytes)), receive_(send_.bytes()) {}

    // Nanoseconds of one way, over `trips` there and back. Zero without a partner.
    double one_way_ns(std::int64_t bytes, int trips) {
        if (group_->size() == 1) return 0;
        one_trip(bytes);
        const std::int64_t start = monotonic_ns();
        for (int i = 0; i < trips; ++i) one_trip(bytes);
        return static_cast<double>(monotonic_ns() - start) / (2.0 * trips);
    }
    bool complete() const { return group_->size() == 2; }

  private:
    void one_trip(std::int64_t bytes) {
        for (const int sender : {0, 1}) {
            SendPart send[2];
            ReceivePart receive[2];
            const auto other = static_cast<std::size_t>(1 - group_->rank());
            if (group_->rank() == sender) {
                send[other] = {send_.data(), bytes};
            } else {
                receive[other] = {receive_.data(), bytes};
            }
            group_->all_to_all_v(send, receive);
        }
    }

    std::unique_ptr<Communicator> group_;
    Buffer send_;
    Buffer receive_;
};

// Number of this rank's node, counted by first rank.
int node_number(MpiSession& session) {
    std::vector<std::int32_t> leaders(static_cast<std::size_t>(session.size()));
    const std::int32_t mine = session.node().leader;
    session.world().all_gather(&mine, sizeof mine, leaders.data());
    std::sort(leaders.begin(), leaders.end());
    leaders.erase(std::unique(leaders.begin(), leaders.end()), leaders.end());
    return static_cast<int>(std::find(leaders.begin(), leaders.end(), mine) - leaders.begin());
}

// Rounds of a measurement in which rank 0's pair, or every pair, takes part: the figure of the first pair alone, or of
// the slowest pair of each round.
Figure measured(MpiSession& session, const ProbePace& pace, bool takes_part, const std::function<double()>& one_round) {
    std::vector<double> mine;
    for (int round = 0; round < pace.rounds; ++round) {
        session.world().barrier();
        mine.push_back(takes_part ? one_round() : 0);
    }
    const auto all = gather_rounds(session, mine);
    std::vector<double> slowest(mine.size(), 0);
    for (const auto& rank : all) {
        for (std::size_t i = 0; i < slowest.size(); ++i) slowest[i] = std::max(slowest[i], rank[i]);
    }
    return spread_of(slowest);
}

Figure per_second(const Figure& ns, double amount) {
    const auto rate = [&](double value) { return value > 0 ? amount / value : 0; };
    return {.median = rate(ns.median), .low = rate(ns.high), .high = rate(ns.low)};
}
Figure in_us(const Figure& ns) { return {.median = ns.median / 1e3, .low = ns.low / 1e3, .high = ns.high / 1e3}; }

// colour: the pair that this rank belongs to.
void probe_link(MpiSession& session, const ProbePace& pace, const std::string& between, int colour,
                ClusterProfile& profile) {
    Pair pair(session.split(colour, session.rank(), "pair"));
    std::vector<std::int32_t> complete(static_cast<std::size_t>(session.size()));
    const std::int32_t mine = pair.complete() ? 1 + colour : 0;
    session.world().all_gather(&mine, sizeof mine, complete.data());
    const auto ranks = std::count_if(complete.begin(), complete.end(), [](std::int32_t c) { return c > 0; });
    if (ranks == 0) return;
    const std::int32_t first = *std::find_if(complete.begin(), complete.end(), [](std::int32_t c) { return c > 0; });
    const int large_trips = std::max(1, pace.pings / 50);
    LinkFigures link;
    link.between = between;
    link.pairs = static_cast<int>(ranks / 2);
    link.latency_us =
        in_us(measured(session, pace, mine == first, [&] { return pair.one_way_ns(kSmallBytes, pace.pings); }));
    link.gbytes_alone = per_second(
        measured(session, pace, mine == first, [&] { return pair.one_way_ns(kLargeBytes, large_trips); }), kLargeBytes);
    link.gbytes_together = per_second(
        measured(session, pace, mine > 0, [&] { return pair.one_way_ns(kLargeBytes, large_trips); }), kLargeBytes);
    profile.links.push_back(link);
}

}  // namespace

void probe_network(MpiSession& session, const ProbePace& pace, ClusterProfile& profile) {
    if (session.size() == 1) return;
    const int node = node_number(session);
    const int local = session.node().rank;
    // Neighbours within a node: local ranks 0 and 1, 2 and 3, ... Across nodes: equal local ranks of nodes 0 and 1, 2
    // and 3, ...
    probe_link(session, pace, "same node", node * profile.ranks_per_node + local / 2, profile);
    if (profile.nodes > 1) probe_link(session, pace, "other node", node / 2 * profile.ranks_per_node + local, profile);

    std::vector<std::byte> words(static_cast<std::size_t>(kStepWordBytes * session.size()));
    const auto repeated = [&](const std::function<void()>& verb) {
        return in_us(measured(session, pace, true, [&] {
            const std::int64_t start = monotonic_ns();
            for (int i = 0; i < pace.pings; ++i) verb();
            return static_cast<double>(monotonic_ns() - start) / pace.pings;
        }));
    };
    profile.step_word_us = repeated([&] {
        const std::byte* own = words.data() + kStepWordBytes * session.rank();
        session.world().all_gather(own, kStepWordBytes, words.data());
    });
    profile.barrier_us = repeated([&] { session.world().barrier(); });
}

}  // namespace argosy
