// Content addresses: 128-bit chained digests of token blocks, and fixed hashes of bytes. The one door to xxHash in this
// library.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace argosy {

struct Digest128 {
    std::uint64_t low = 0;
    std::uint64_t high = 0;
    auto operator<=>(const Digest128&) const = default;
};

struct Digest128Hash {
    std::size_t operator()(const Digest128& digest) const { return static_cast<std::size_t>(digest.low); }
};

// Address of a block of tokens that follows the blocks addressed by `parent`: XXH3-128 over the parent's 16 bytes and
// the tokens as little-endian int32. Two sequences have equal digests at block i exactly when (but for 2^-64 chances)
// they agree on all tokens up to its end.
Digest128 chain_digest(const Digest128& parent, std::span<const std::int32_t> tokens);

// The same over bytes: used for input files and as the root of a chain.
Digest128 chain_digest_bytes(const Digest128& parent, std::string_view bytes);

// Address of the same tokens' block in another group of layers; in group 0 the digest itself.
Digest128 group_address(const Digest128& digest, std::size_t group);

// XXH3-64 of bytes under a seed. Fixed for ever: random numbers and checksums hang on it.
std::uint64_t hash64(std::string_view bytes, std::uint64_t seed);

// 32 hexadecimal digits, high half first.
std::string to_string(const Digest128& digest);

}  // namespace argosy
