// Digests and hashes by xxHash (XXH3). The only file of the library that includes it.
#include "runtime/schedule/token_hash.hpp"

#include <fmt/format.h>

#include <bit>
#include <cstring>

#define XXH_INLINE_ALL  // the functions are compiled here: digests of single blocks are too short for a call each
#include <xxhash.h>

namespace argosy {

static_assert(std::endian::native == std::endian::little, "digests are defined over little-endian bytes");

namespace {

// The parent's 16 bytes and then these. A block's tokens are short enough to be put behind the parent in one piece;
// what is longer goes through a streaming state, which gives the same value.
Digest128 digest_after(const Digest128& parent, const void* bytes, std::size_t size) {
    char piece[sizeof parent + 128];
    if (size <= sizeof piece - sizeof parent) {
        std::memcpy(piece, &parent, sizeof parent);
        if (size > 0) std::memcpy(piece + sizeof parent, bytes, size);
        const XXH128_hash_t hash = XXH3_128bits(piece, sizeof parent + size);
        return {.low = hash.low64, .high = hash.high64};
    }
    XXH3_state_t state;
    XXH3_INITSTATE(&state);
    XXH3_128bits_reset(&state);
    XXH3_128bits_update(&state, &parent, sizeof parent);
    XXH3_128bits_update(&state, bytes, size);
    const XXH128_hash_t hash = XXH3_128bits_digest(&state);
    return {.low = hash.low64, .high = hash.high64};
}

}  // namespace

Digest128 chain_digest(const Digest128& parent, std::span<const std::int32_t> tokens) {
    return digest_after(parent, tokens.data(), tokens.size_bytes());
}

Digest128 chain_digest_bytes(const Digest128& parent, std::string_view bytes) {
    return digest_after(parent, bytes.data(), bytes.size());
}

Digest128 group_address(const Digest128& digest, std::size_t group) {
    return {.low = digest.low + group * 0x9e3779b97f4a7c15ULL, .high = digest.high};
}

std::uint64_t hash64(std::string_view bytes, std::uint64_t seed) {
    return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

std::string to_string(const Digest128& digest) { return fmt::format("{:016x}{:016x}", digest.high, digest.low); }

}  // namespace argosy
