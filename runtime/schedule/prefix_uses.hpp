// Who will look for which block: for every block address, the waiting sequences whose tokens begin with it.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <unordered_map>
#include <vector>

#include "runtime/schedule/token_hash.hpp"

namespace argosy {

// Feeds eviction by farthest next use: sequences start in the order of their numbers, so the next use of a block is the
// lowest number of a waiting sequence that wants it.
class PrefixUses {
  public:
    // Sequence `sequence` waits and will look for each of these blocks.
    void add(std::int32_t sequence, std::span<const Digest128> chain);
    // It no longer waits.
    void remove(std::int32_t sequence, std::span<const Digest128> chain);
    // The lowest waiting sequence that wants the block, or kNeverUsedAgain.
    std::int64_t next_use(const Digest128& digest) const;
    std::size_t size() const { return users_.size(); }

  private:
    // Ascending. Sequences leave mostly from the front, so `head` moves instead of the elements.
    struct Users {
        std::vector<std::int32_t> sequences;
        std::size_t head = 0;
    };
    std::unordered_map<Digest128, Users, Digest128Hash> users_;
};

}  // namespace argosy
