// Strings by number and numbers by string: the vocabulary of a tokenizer as two flat tables over one block of bytes.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace argosy {

// A growing list of strings in one block of bytes.
struct StringList {
    std::string bytes;
    std::vector<uint32_t> ends;  // string i is bytes[ends[i-1], ends[i])

    size_t size() const { return ends.size(); }
    std::string_view operator[](size_t i) const {
        const uint32_t begin = i == 0 ? 0 : ends[i - 1];
        return {bytes.data() + begin, ends[i] - begin};
    }
    void push_back(std::string_view text) {
        bytes.append(text);
        ends.push_back(static_cast<uint32_t>(bytes.size()));
    }
};

// A quick hash of a short string, good enough for tables (not against an adversary).
inline uint64_t hash_string(std::string_view text) {
    constexpr uint64_t kA = 0x9E3779B97F4A7C15u, kB = 0xC2B2AE3D27D4EB4Fu;
    uint64_t h = text.size() * kA;
    const char* p = text.data();
    size_t n = text.size();
    for (; n >= 8; p += 8, n -= 8) {
        uint64_t word;
        std::memcpy(&word, p, 8);
        h = (h ^ word) * kB;
        h ^= h >> 32;
    }
    uint64_t word = 0;
    if (n) std::memcpy(&word, p, n);
    h = (h ^ word) * kB;
    h ^= h >> 29;
    h *= kA;
    return h ^ h >> 32;
}

// Finds ids by string. Open addressing; a slot keeps 32 bits of the hash, so that a miss seldom touches the strings.
class StringTable {
  public:
    static constexpr int32_t kNone = -1;

    void reserve(size_t strings);
    // Adds `text` with `id`; returns the id it already has when it is there (and then changes nothing), else kNone.
    int32_t insert(std::string_view text, int32_t id);
    int32_t find(std::string_view text) const { return find(text, hash_string(text)); }
    int32_t find(std::string_view text, uint64_t hash) const {
        if (slots_.empty()) return kNone;
        for (size_t at = hash & mask_;; at = (at + 1) & mask_) {
            const Slot& slot = slots_[at];
            if (slot.id == kNone) return kNone;
            if (slot.tag == static_cast<uint32_t>(hash >> 32) && text_of(slot) == text) return slot.id;
        }
    }
    void prefetch(uint64_t hash) const { __builtin_prefetch(&slots_[hash & mask_]); }
    size_t size() const { return count_; }

  private:
    struct Slot {
        uint32_t tag = 0;
        int32_t id = kNone;
        uint32_t begin = 0, length = 0;  // in bytes_
    };
    std::string_view text_of(const Slot& slot) const { return {bytes_.data() + slot.begin, slot.length}; }
    void grow(size_t slots);

    std::vector<Slot> slots_;  // a power of two, at most half full
    size_t mask_ = 0, count_ = 0;
    std::string bytes_;
};

}  // namespace argosy
