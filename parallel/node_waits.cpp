// Who sits where on this node, and which groups a rank's wait meter hears of.
#include "parallel/node_waits.hpp"

namespace argosy {

std::vector<int> places_on_node(const std::vector<std::string>& node_names, int own_rank) {
    std::vector<int> places;
    int next = 0;
    for (const std::string& name : node_names)
        places.push_back(name == node_names.at(static_cast<std::size_t>(own_rank)) ? next++ : -1);
    return places;
}

namespace {

std::span<ArrivalBoard> make_boards(NodeMemory& memory, int ranks) {
    return WaitMeter::boards_in(memory.allocate_for_node(WaitMeter::bytes_for(ranks)).data, ranks);
}

}  // namespace

NodeWaits::NodeWaits(MpiSession& session, Groups& groups, NodeMemory& memory, AccountClock& clock)
    : meter_(make_boards(memory, session.node().ranks), session.node().rank, session.rank(), clock) {
    const std::vector<int> places = places_on_node(session.node_names(), session.rank());
    const std::pair<GroupKind, Communicator*> all[] = {{GroupKind::world, &session.world()},
                                                       {GroupKind::stage, groups.stage.get()},
                                                       {GroupKind::tp, groups.tp.get()},
                                                       {GroupKind::etp, groups.etp.get()}};
    for (const auto& [kind, group] : all) {
        if (group == nullptr || group->size() == 1) continue;
        std::vector<int> members(static_cast<std::size_t>(group->size()));
        const int own = session.rank();
        group->all_gather(&own, sizeof own, members.data());
        if (kind != GroupKind::world) group->reset_traffic();  // groups count what steps send, and begin with nothing
        std::vector<int> boards;
        for (const int member : members) boards.push_back(places[static_cast<std::size_t>(member)]);
        meter_.set_group(kind, group->rank(), std::move(boards), std::move(members));
        told_.emplace_back(group, kind);
    }
    listen();
}

NodeWaits::~NodeWaits() { ignore(); }

void NodeWaits::ignore() {
    for (const auto& [group, kind] : told_) group->tell(nullptr, {});
}

void NodeWaits::listen() {
    for (const auto& [group, kind] : told_) group->tell(&meter_, kind);
}

}  // namespace argosy
