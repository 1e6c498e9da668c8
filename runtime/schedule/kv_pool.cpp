// Reference counts, the free list, the table of cached contents and the order of eviction.
#include "runtime/schedule/kv_pool.hpp"

#include <tuple>

#include "kernels/base/error.hpp"

namespace argosy {

bool KvPool::EvictKey::operator<(const EvictKey& other) const {
    // Farthest next use first; then the longest unused; then the lowest id.
    return std::tuple(-next_use, released, block) < std::tuple(-other.next_use, other.released, other.block);
}

KvPool::KvPool(int blocks) {
    if (blocks < 1)
        fail(ErrorKind::usage, "The KV pool has {} blocks; it needs at least one. Raise --kv-memory.", blocks);
    blocks_.resize(static_cast<std::size_t>(blocks));
    free_.reserve(blocks_.size());
    for (int block = blocks - 1; block >= 0; --block) free_.push_back(block);  // the lowest id is handed out first
}

KvPool::EvictKey KvPool::key(std::int32_t block) const {
    const Block& state = blocks_[static_cast<std::size_t>(block)];
    return {.next_use = state.next_use, .released = state.released, .block = block};
}

void KvPool::insert_evictable(std::int32_t block) {
    evictable_.insert(key(block));
    wanted_ += blocks_[static_cast<std::size_t>(block)].next_use != kNeverUsedAgain ? 1 : 0;
}

void KvPool::erase_evictable(std::int32_t block) {
    evictable_.erase(key(block));
    wanted_ -= blocks_[static_cast<std::size_t>(block)].next_use != kNeverUsedAgain ? 1 : 0;
}

KvPool::Block& KvPool::at(std::int32_t block, const char* verb) {
    if (block < 0 || block >= block_count()) {
        fail(ErrorKind::internal, "KV block {} cannot be {}: the pool has {} blocks.", block, verb, block_count());
    }
    return blocks_[static_cast<std::size_t>(block)];
}

int KvPool::references(std::int32_t block) const { return blocks_.at(static_cast<std::size_t>(block)).references; }

std::int32_t KvPool::acquire() {
    std::int32_t block = kNoBlock;
    if (!free_.empty()) {
        block = free_.back();
        free_.pop_back();
    } else if (!evictable_.empty()) {
        block = evictable_.begin()->block;
        erase_evictable(block);
        Block& evicted = blocks_[static_cast<std::size_t>(block)];
        by_digest_.erase(evicted.digest);
        evicted.published = false;
        ++counters_.evictions;
    } else {
        return kNoBlock;
    }
    blocks_[static_cast<std::size_t>(block)].references = 1;
    ++counters_.acquired;
    return block;
}

void KvPool::retain(std::int32_t block) {
    Block& state = at(block, "retained");
    if (state.references == 0) {
        if (!state.published) fail(ErrorKind::internal, "KV block {} is free and cannot be retained.", block);
        erase_evictable(block);
    }
    ++state.references;
}

void KvPool::release(std::int32_t block, std::int64_t next_use) {
    Block& state = at(block, "released");
    if (state.references < 1) fail(ErrorKind::internal, "KV block {} was released more often than retained.", block);
    if (--state.references > 0) return;
    if (!state.published) {
        free_.push_back(block);
        return;
    }
    state.next_use = next_use;
    state.released = clock_++;
    insert_evictable(block);
}

void KvPool::publish(std::int32_t block, const Digest128& digest) {
    Block& state = at(block, "published");
    if (state.references < 1 || state.published) {
        fail(ErrorKind::internal, "KV block {} cannot be published: it has {} references and is {}published already.",
             block, state.references, state.published ? "" : "not ");
    }
    if (!by_digest_.try_emplace(digest, block).second) return;
    state.published = true;
    state.digest = digest;
    ++counters_.published;
}

std::int32_t KvPool::find(const Digest128& digest) const {
    const auto found = by_digest_.find(digest);
    return found == by_digest_.end() ? kNoBlock : found->second;
}

void KvPool::retain_hit(std::int32_t block) {
    retain(block);
    ++counters_.hits;
}

void KvPool::set_next_use(const Digest128& digest, std::int64_t next_use) {
    const std::int32_t block = find(digest);
    if (block == kNoBlock) return;
    Block& state = blocks_[static_cast<std::size_t>(block)];
    if (state.references > 0 || state.next_use == next_use) return;
    erase_evictable(block);
    state.next_use = next_use;
    insert_evictable(block);
}

void KvPool::check() const {
    std::vector<int> places(blocks_.size(), 0);
    for (const std::int32_t block : free_) {
        const Block& state = blocks_.at(static_cast<std::size_t>(block));
        if (state.references != 0 || state.published) fail(ErrorKind::internal, "Free KV block {} is in use.", block);
        ++places[static_cast<std::size_t>(block)];
    }
    int wanted = 0;
    for (const EvictKey& entry : evictable_) {
        wanted += entry.next_use != kNeverUsedAgain ? 1 : 0;
        const Block& state = blocks_.at(static_cast<std::size_t>(entry.block));
        if (state.references != 0 || !state.published || find(state.digest) != entry.block) {
            fail(ErrorKind::internal, "Cached KV block {} cannot be found, or is held.", entry.block);
        }
        ++places[static_cast<std::size_t>(entry.block)];
    }
    if (wanted != wanted_) fail(ErrorKind::internal, "{} cached KV blocks are wanted, not {}.", wanted, wanted_);
    std::size_t published = 0;
    for (std::size_t block = 0; block < blocks_.size(); ++block) {
        places[block] += blocks_[block].references > 0 ? 1 : 0;
        published += blocks_[block].published ? 1 : 0;
        if (places[block] != 1) fail(ErrorKind::internal, "KV block {} stands in {} places.", block, places[block]);
    }
    if (published != by_digest_.size()) {
        fail(ErrorKind::internal, "{} KV blocks are published, {} are findable.", published, by_digest_.size());
    }
}

}  // namespace argosy
