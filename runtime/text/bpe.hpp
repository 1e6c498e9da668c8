// Byte pair encoding of one word: the merge table, the merge loop, and a per-thread cache of words seen before.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/text/string_table.hpp"
#include "runtime/text/tokenizer_spec.hpp"

namespace argosy {

// A merge as one number: rank in the high half, the id it makes in the low half; the smallest is the one to do first.
using MergeValue = uint64_t;
inline constexpr MergeValue kNoMerge = ~uint64_t{0};

// (left id, right id) -> merge. Open addressing, at most half full.
class MergeTable {
  public:
    void reserve(size_t merges);
    // Stores a merge; a pair that is there already gets the new value (a later line of the file wins).
    void set(int32_t left, int32_t right, uint32_t rank, int32_t made);
    MergeValue find(int32_t left, int32_t right) const {
        const uint64_t key = key_of(left, right);
        for (size_t at = place_of(key);; at = (at + 1) & mask_) {
            const Slot& slot = slots_[at];
            if (slot.key == key) return slot.value;
            if (slot.key == kFree) return kNoMerge;
        }
    }

  private:
    static constexpr uint64_t kFree = ~uint64_t{0};
    struct Slot {
        uint64_t key = kFree;
        MergeValue value = kNoMerge;
    };
    static uint64_t key_of(int32_t left, int32_t right) {
        return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
    }
    size_t place_of(uint64_t key) const { return (key * 0x9E3779B97F4A7C15u) >> shift_; }

    std::vector<Slot> slots_;
    size_t mask_ = 0;
    int shift_ = 63;
};

// Ids of short words, by the word itself. One per thread; words map to one place each, the newest stays.
class WordCache {
  public:
    static constexpr size_t kWordBytesMax = 15;
    static constexpr size_t kIdsMax = 3;
    struct Entry {
        uint64_t low = 0, high = 0;  // the word's bytes, zeros, and its length in the last byte
        std::array<int32_t, kIdsMax> ids{};
        uint32_t count = 0;
    };
    // The place for `word` (1 to kWordBytesMax bytes). hit: it holds this word; else it is to be filled by the caller.
    Entry& place(std::string_view word, bool& hit);
    // Two words that hash to the same place are told apart by their bytes; another tokenizer's words are not.
    void clear() { entries_.clear(); }

  private:
    static constexpr size_t kEntries = size_t{1} << 15;
    std::vector<Entry> entries_;
};

// Memory of the merge loop.
struct BpeScratch {
    WordCache cache;
    std::vector<int32_t> ids;
    std::vector<MergeValue> merges;
    std::vector<int32_t> next, previous;
    struct Candidate {
        MergeValue merge;
        int32_t at;
    };
    std::vector<Candidate> heap;
    std::string mapped;
};

class Bpe {
  public:
    Bpe() = default;
    // byte_level: words are bytes, and the vocabulary spells them in the GPT-2 alphabet. `file` is for error sentences.
    Bpe(const BpeSpec& spec, bool byte_level, const std::string& file);

    // Appends the ids of `word` (not empty; valid UTF-8 unless byte_level) to `out`.
    void encode(std::string_view word, BpeScratch& scratch, std::vector<int32_t>& out) const;

    // Appends the ids of a text that no pre-tokenizer cut: the same ids as encode(text), found word by word where that
    // is proved to be the same (see cut_mark_).
    void encode_uncut(std::string_view text, BpeScratch& scratch, std::vector<int32_t>& out) const;

    // Id of a token by its spelling in the file; StringTable::kNone when there is none.
    int32_t find(std::string_view token) const { return vocabulary_.find(token); }

  private:
    void encode_uncached(std::string_view word, BpeScratch& scratch, std::vector<int32_t>& out) const;
    void start_symbols(std::string_view word, BpeScratch& scratch) const;
    int32_t whole_word(std::string_view word, BpeScratch& scratch) const;
    void merge_short(BpeScratch& scratch) const;
    void merge_long(BpeScratch& scratch) const;
    void read_vocabulary(const BpeSpec& spec, const std::string& file);
    void read_merges(const BpeSpec& spec, const std::string& file);
    void find_cut_mark(const BpeSpec& spec);
    int32_t symbol_of(std::string_view symbol) const { return vocabulary_.find(symbol); }

    StringTable vocabulary_;
    MergeTable merges_;
    std::vector<MergeValue> byte_merges_;  // [256 x 256] merges of two bytes, byte_level only: most lookups are these
    std::array<int32_t, 256> byte_ids_{};  // byte_level: the id of each byte; else of each ASCII character; -1: none
    std::array<int32_t, 256> fallback_ids_{};  // ids of <0x00> to <0xFF>; -1: none
    bool byte_level_ = false, byte_fallback_ = false, fuse_unk_ = false, ignore_merges_ = false;
    bool all_bytes_ = false;  // every byte has an id
    int32_t unk_id_ = StringTable::kNone;
    std::string
        cut_mark_;  // "▁" when no merge makes a token that has one behind another character: words may be cut before it
};

}  // namespace argosy
