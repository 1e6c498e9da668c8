// The KV pool's bookkeeping: which blocks are free, held by sequences, or cached by content; and which one is evicted
// next.
#pragma once

#include <cstdint>
#include <limits>
#include <set>
#include <unordered_map>
#include <vector>

#include "runtime/schedule/token_hash.hpp"

namespace argosy {

inline constexpr std::int64_t kNeverUsedAgain = std::numeric_limits<std::int64_t>::max();
inline constexpr std::int32_t kNoBlock = -1;

struct KvPoolCounters {
    std::int64_t acquired = 0;   // blocks handed out
    std::int64_t hits = 0;       // cached blocks found and retained
    std::int64_t evictions = 0;  // cached blocks that made room for others
    std::int64_t published = 0;  // blocks whose content became findable
    bool operator==(const KvPoolCounters&) const = default;
};

// Block ids 0 .. blocks-1 with reference counts. A block is free (empty), held (references > 0) or cached (references
// 0, its content findable by digest until it is evicted). All choices are functions of the calls made so far: every
// rank that makes the same calls holds the same pool. A broken promise (releasing what nobody holds) is an internal
// error.
class KvPool {
  public:
    // blocks >= 1, else ErrorKind::usage.
    explicit KvPool(int blocks);

    int block_count() const { return static_cast<int>(blocks_.size()); }
    // Blocks that acquire() can hand out: free and cached.
    int available() const { return static_cast<int>(free_.size() + evictable_.size()); }
    int held() const { return block_count() - available(); }
    int cached() const { return static_cast<int>(evictable_.size()); }
    int wanted() const { return wanted_; }  // cached blocks that will be used again
    int references(std::int32_t block) const;

    // A block with one reference and no content, or kNoBlock when every block is held. Takes a free one, else evicts
    // the cached block whose next use is farthest; ties: the one released first, then the lowest id.
    std::int32_t acquire();

    // One more, one less reference. A block without references stays cached when it was published, with the next use
    // given.
    void retain(std::int32_t block);
    void release(std::int32_t block, std::int64_t next_use = kNeverUsedAgain);

    // Makes a held block findable. When another block has that content already, nothing changes.
    void publish(std::int32_t block, const Digest128& digest);

    // The block with this content, or kNoBlock. Does not count as a hit; retain_hit does.
    std::int32_t find(const Digest128& digest) const;
    void retain_hit(std::int32_t block);

    // Tells when a cached block will be wanted again: smaller is sooner. Without effect when nothing cached has this
    // content.
    void set_next_use(const Digest128& digest, std::int64_t next_use);

    const KvPoolCounters& counters() const { return counters_; }

    // Every invariant of the bookkeeping, for tests: throws ErrorKind::internal with the first that does not hold.
    void check() const;

  private:
    struct Block {
        int references = 0;
        bool published = false;
        Digest128 digest;
        std::int64_t next_use = kNeverUsedAgain;
        std::int64_t released = 0;  // clock of the last release
    };
    struct EvictKey {
        std::int64_t next_use;
        std::int64_t released;
        std::int32_t block;
        bool operator<(const EvictKey& other) const;  // the first is evicted next
    };

    EvictKey key(std::int32_t block) const;
    void insert_evictable(std::int32_t block);
    void erase_evictable(std::int32_t block);
    Block& at(std::int32_t block, const char* verb);

    std::vector<Block> blocks_;
    std::vector<std::int32_t> free_;  // a stack
    std::set<EvictKey> evictable_;
    std::unordered_map<Digest128, std::int32_t, Digest128Hash> by_digest_;
    int wanted_ = 0;
    std::int64_t clock_ = 0;
    KvPoolCounters counters_;
};

}  // namespace argosy
