// Stop strings: an automaton over bytes, so that each byte of text costs the same however many stop strings there are.
#include "runtime/text/stop_strings.hpp"

#include <deque>

#include "kernels/base/error.hpp"

namespace argosy {

StopMatcher::StopMatcher(std::vector<std::string> stops) : stops_(std::move(stops)), nodes_(1) {
    for (size_t i = 0; i < stops_.size(); ++i) {
        if (stops_[i].empty()) fail(ErrorKind::input, "Stop string number {} is empty. Leave it out.", i + 1);
        int32_t node = 0;
        for (const char c : stops_[i]) {
            int32_t next = child(node, static_cast<unsigned char>(c));
            if (next < 0) {
                next = static_cast<int32_t>(nodes_.size());
                nodes_[node].children.push_back(next);
                nodes_.push_back({{}, 0, -1, nodes_[node].depth + 1, static_cast<unsigned char>(c)});
            }
            node = next;
        }
        if (nodes_[node].stop < 0) nodes_[node].stop = static_cast<int32_t>(i);
    }
    std::deque<int32_t> order = {0};  // by depth, so that a node's suffix is ready before the node
    for (; !order.empty(); order.pop_front()) {
        const int32_t parent = order.front();
        for (const int32_t node : nodes_[parent].children) {
            order.push_back(node);
            if (parent == 0) continue;
            int32_t from = nodes_[parent].suffix, to = -1;
            while ((to = child(from, nodes_[node].byte)) < 0 && from != 0) from = nodes_[from].suffix;
            nodes_[node].suffix = to < 0 ? 0 : to;
            if (nodes_[node].stop < 0) nodes_[node].stop = nodes_[nodes_[node].suffix].stop;
        }
    }
}

int32_t StopMatcher::child(int32_t node, unsigned char byte) const {
    for (const int32_t next : nodes_[node].children) {
        if (nodes_[next].byte == byte) return next;
    }
    return -1;
}

std::string StopMatcher::push(std::string_view piece) {
    std::string out;
    if (stopped_) return out;
    for (const char c : piece) {
        held_.push_back(c);
        int32_t next = -1;
        while ((next = child(node_, static_cast<unsigned char>(c))) < 0 && node_ != 0) node_ = nodes_[node_].suffix;
        node_ = next < 0 ? 0 : next;
        const Node& at = nodes_[node_];
        const size_t keep = at.stop < 0 ? at.depth : stops_[at.stop].size();
        out.append(held_, 0, held_.size() - keep);
        held_.erase(0, held_.size() - keep);
        if (at.stop < 0) continue;
        stopped_ = true;
        stop_index_ = static_cast<size_t>(at.stop);
        stop_offset_ = passed_ + out.size();
        held_.clear();
        break;
    }
    passed_ += out.size();
    return out;
}

std::string StopMatcher::finish() {
    passed_ += held_.size();
    return std::move(held_);
}

}  // namespace argosy
