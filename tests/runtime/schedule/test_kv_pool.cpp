// The KV pool's bookkeeping: references, the cache by content, the order of eviction, and random use against its own
// invariants.
#include <catch2/catch.hpp>
#include <random>

#include "kernels/base/error.hpp"
#include "runtime/schedule/kv_pool.hpp"
#include "runtime/schedule/prefix_uses.hpp"

using namespace argosy;

namespace {

Digest128 digest(std::int32_t content) { return chain_digest({}, std::span(&content, 1)); }

}  // namespace

TEST_CASE("chained digests: every token and the parent count, pieces of any length agree with XXH3") {
    const std::vector<std::int32_t> tokens{1, 2, 3};
    const Digest128 base = chain_digest({}, tokens);
    CHECK(chain_digest({.low = 1, .high = 0}, tokens) != base);
    CHECK(chain_digest({.low = 0, .high = 1}, tokens) != base);
    CHECK(chain_digest({}, std::vector<std::int32_t>{1, 2, 4}) != base);
    CHECK(chain_digest({}, std::vector<std::int32_t>{1, 2}) != base);
    CHECK(chain_digest({}, tokens) == base);
    // Published values, so that identities and addresses never change unseen.
    CHECK(to_string(base) == "314bcfbba8cda5e99f59a8edb9f7a5f5");
    CHECK(to_string(chain_digest_bytes({}, std::string(1000, 'a'))) == "07f452720a2a70daf346360f88e0038b");
    CHECK(hash64("argosy", 1) == 4843435791512108883ULL);
}

TEST_CASE("pool: blocks are handed out once, and a pool without blocks is refused") {
    CHECK_THROWS_AS(KvPool(0), Error);
    KvPool pool(3);
    CHECK(pool.acquire() == 0);
    CHECK(pool.acquire() == 1);
    CHECK(pool.acquire() == 2);
    CHECK(pool.acquire() == kNoBlock);
    pool.retain(1);
    pool.release(1);
    CHECK(pool.available() == 0);
    pool.release(1);
    CHECK(pool.available() == 1);
    CHECK(pool.acquire() == 1);
    pool.release(2);
    CHECK_THROWS_AS(pool.release(2), Error);
    CHECK_THROWS_AS(pool.retain(2), Error);
    CHECK_THROWS_AS(pool.retain(3), Error);
    pool.check();
}

TEST_CASE("pool: published content is found until it is evicted, farthest next use first, then least recently used") {
    KvPool pool(4);
    for (int block = 0; block < 4; ++block) {
        REQUIRE(pool.acquire() == block);
        pool.publish(block, digest(block));
    }
    CHECK_THROWS_AS(pool.publish(0, digest(9)), Error);
    pool.release(2);  // never used again, released first
    pool.release(0);  // never used again, released later
    pool.release(1, 50);
    pool.release(3, 7);
    CHECK(pool.cached() == 4);
    CHECK(pool.find(digest(2)) == 2);
    CHECK(pool.acquire() == 2);
    CHECK(pool.find(digest(2)) == kNoBlock);
    pool.set_next_use(digest(0), 10);  // somebody will come for it before block 1 is wanted
    CHECK(pool.acquire() == 1);
    pool.retain_hit(3);
    CHECK(pool.acquire() == 0);
    CHECK(pool.acquire() == kNoBlock);
    CHECK(pool.counters() == KvPoolCounters{.acquired = 7, .hits = 1, .evictions = 3, .published = 4});
    pool.check();
}

TEST_CASE("pool: of two blocks with one content the first is kept") {
    KvPool pool(2);
    pool.acquire();
    pool.acquire();
    pool.publish(0, digest(1));
    pool.publish(1, digest(1));
    CHECK(pool.find(digest(1)) == 0);
    pool.release(1);
    CHECK(pool.cached() == 0);
    CHECK(pool.acquire() == 1);
    pool.check();
}

TEST_CASE("prefix uses: the lowest waiting sequence, as sequences come, go and come back") {
    PrefixUses uses;
    const std::vector<Digest128> chain{digest(1), digest(2)};
    const auto front = std::span(chain).first(1);
    CHECK(uses.next_use(digest(1)) == kNeverUsedAgain);
    uses.add(3, chain);
    uses.add(5, chain);
    uses.add(9, front);
    CHECK(uses.next_use(digest(2)) == 3);
    uses.remove(3, chain);
    CHECK(uses.next_use(digest(1)) == 5);
    uses.remove(9, front);
    uses.add(3, chain);  // preempted
    uses.add(4, front);
    CHECK(uses.next_use(digest(1)) == 3);
    uses.remove(3, chain);
    CHECK(uses.next_use(digest(1)) == 4);
    CHECK(uses.next_use(digest(2)) == 5);
    uses.remove(4, front);
    uses.remove(5, chain);
    CHECK(uses.next_use(digest(1)) == kNeverUsedAgain);
    CHECK(uses.size() == 0);
}

TEST_CASE("pool: random use keeps every invariant and ends with nothing held") {
    std::mt19937 random(3);
    for (int round = 0; round < 30; ++round) {
        const int blocks = 1 + static_cast<int>(random() % 12);
        KvPool pool(blocks);
        std::vector<std::int32_t> held;
        std::vector<bool> published(static_cast<std::size_t>(blocks));
        for (int step = 0; step < 400; ++step) {
            const int verb = static_cast<int>(random() % 6);
            const auto any = held.empty() ? 0 : random() % held.size();
            if (verb <= 1) {
                const std::int32_t block = pool.acquire();
                if (block != kNoBlock) {
                    held.push_back(block);
                    published[static_cast<std::size_t>(block)] = false;
                }
            } else if (verb == 2 && !held.empty()) {
                pool.release(held[any], static_cast<std::int64_t>(random() % 5));
                held.erase(held.begin() + static_cast<std::ptrdiff_t>(any));
            } else if (verb == 3 && !held.empty() && !published[static_cast<std::size_t>(held[any])]) {
                const Digest128 content = digest(static_cast<std::int32_t>(random() % 9));
                pool.publish(held[any], content);
                published[static_cast<std::size_t>(held[any])] = pool.find(content) == held[any];
            } else if (verb == 4) {
                const std::int32_t block = pool.find(digest(static_cast<std::int32_t>(random() % 9)));
                if (block != kNoBlock) {
                    pool.retain_hit(block);
                    held.push_back(block);
                }
            } else if (verb == 5) {
                pool.set_next_use(digest(static_cast<std::int32_t>(random() % 9)),
                                  static_cast<std::int64_t>(random() % 9));
            }
            pool.check();
        }
        for (const std::int32_t block : held) pool.release(block);
        pool.check();
        CHECK(pool.held() == 0);
    }
}
