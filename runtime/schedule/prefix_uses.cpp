// Waiting sequences by the blocks they will look for.
#include "runtime/schedule/prefix_uses.hpp"

#include <algorithm>

#include "runtime/schedule/kv_pool.hpp"

namespace argosy {

void PrefixUses::add(std::int32_t sequence, std::span<const Digest128> chain) {
    for (const Digest128& digest : chain) {
        Users& users = users_[digest];
        auto& list = users.sequences;
        // Newcomers have the highest number; a preempted sequence comes back to where it stood.
        const auto place =
            std::lower_bound(list.begin() + static_cast<std::ptrdiff_t>(users.head), list.end(), sequence);
        if (place != list.end() && *place == sequence) continue;
        if (users.head > 0 && place == list.begin() + static_cast<std::ptrdiff_t>(users.head)) {
            list[--users.head] = sequence;
        } else {
            list.insert(place, sequence);
        }
    }
}

void PrefixUses::remove(std::int32_t sequence, std::span<const Digest128> chain) {
    for (const Digest128& digest : chain) {
        const auto found = users_.find(digest);
        if (found == users_.end()) continue;
        Users& users = found->second;
        auto& list = users.sequences;
        const auto place =
            std::lower_bound(list.begin() + static_cast<std::ptrdiff_t>(users.head), list.end(), sequence);
        if (place == list.end() || *place != sequence) continue;
        if (place == list.begin() + static_cast<std::ptrdiff_t>(users.head)) {
            ++users.head;
        } else {
            list.erase(place);
        }
        if (users.head == list.size()) users_.erase(found);
    }
}

std::int64_t PrefixUses::next_use(const Digest128& digest) const {
    const auto found = users_.find(digest);
    return found == users_.end() ? kNeverUsedAgain : found->second.sequences[found->second.head];
}

}  // namespace argosy
