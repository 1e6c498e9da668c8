// Byte pair encoding of one word: always the merge of lowest rank, leftmost first among equals, until none is left.
#include "runtime/text/bpe.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "kernels/base/error.hpp"
#include "runtime/text/byte_alphabet.hpp"
#include "runtime/text/utf8.hpp"

namespace argosy {
namespace {

constexpr size_t kShortSymbolsMax = 48;                  // up to here a scan for the lowest rank beats a heap
constexpr std::string_view kMetaspace = "\xE2\x96\x81";  // "▁"

uint32_t rank_of(MergeValue merge) { return static_cast<uint32_t>(merge >> 32); }
int32_t made_by(MergeValue merge) { return static_cast<int32_t>(static_cast<uint32_t>(merge)); }

}  // namespace

void MergeTable::reserve(size_t merges) {
    const size_t slots = std::bit_ceil(merges * 2 + 2);
    slots_.assign(slots, Slot{});
    mask_ = slots - 1;
    shift_ = 64 - std::countr_zero(slots);
}

void MergeTable::set(int32_t left, int32_t right, uint32_t rank, int32_t made) {
    const uint64_t key = key_of(left, right);
    size_t at = place_of(key);
    while (slots_[at].key != key && slots_[at].key != kFree) at = (at + 1) & mask_;
    slots_[at] = {key, static_cast<uint64_t>(rank) << 32 | static_cast<uint32_t>(made)};
}

WordCache::Entry& WordCache::place(std::string_view word, bool& hit) {
    if (entries_.empty()) entries_.resize(kEntries);
    uint64_t low = 0, high = 0;
    const size_t n = word.size();
    if (n >= 8) {
        std::memcpy(&low, word.data(), 8);
        if (n > 8) {
            std::memcpy(&high, word.data() + n - 8, 8);
            high >>= 8 * (16 - n);
        }
    } else if (n >= 4) {
        uint32_t a, b;
        std::memcpy(&a, word.data(), 4);
        std::memcpy(&b, word.data() + n - 4, 4);
        low = a | static_cast<uint64_t>(b) << (8 * (n - 4));
    } else {
        const auto byte = [&](size_t i) { return static_cast<uint64_t>(static_cast<unsigned char>(word[i])); };
        low = byte(0) | byte(n / 2) << (8 * (n / 2)) | byte(n - 1) << (8 * (n - 1));
    }
    high |= static_cast<uint64_t>(n) << 56;
    uint64_t hash = (low ^ high * 0xC2B2AE3D27D4EB4Fu) * 0x9E3779B97F4A7C15u;
    hash ^= hash >> 32;
    hash *= 0x9E3779B97F4A7C15u;
    Entry& entry = entries_[hash >> (64 - std::countr_zero(kEntries))];
    hit = entry.low == low && entry.high == high;
    if (!hit) {
        entry.low = low;
        entry.high = high;
        entry.count = 0;
    }
    return entry;
}

Bpe::Bpe(const BpeSpec& spec, bool byte_level, const std::string& file)
    : byte_level_(byte_level),
      byte_fallback_(spec.byte_fallback),
      fuse_unk_(spec.fuse_unk),
      ignore_merges_(spec.ignore_merges) {
    read_vocabulary(spec, file);
    read_merges(spec, file);
    if (!byte_level_ && !ignore_merges_) find_cut_mark(spec);
}

void Bpe::read_vocabulary(const BpeSpec& spec, const std::string& file) {
    vocabulary_.reserve(spec.tokens.size());
    for (size_t i = 0; i < spec.tokens.size(); ++i) {
        if (vocabulary_.insert(spec.tokens[i], spec.ids[i]) != StringTable::kNone) {
            fail(ErrorKind::input, "{}: model.vocab has the token \"{}\" twice. Fetch the file again.", file,
                 spec.tokens[i]);
        }
    }
    if (spec.unk_token) {
        unk_id_ = vocabulary_.find(*spec.unk_token);
        if (unk_id_ == StringTable::kNone) {
            fail(ErrorKind::input, "{}: model.unk_token is \"{}\", which is not in model.vocab. Fetch the file again.",
                 file, *spec.unk_token);
        }
    }
    all_bytes_ = true;
    for (int b = 0; b < 256; ++b) {
        std::string spelled;
        append_utf8(spelled, byte_level_ ? kByteAlphabet.char_of[b] : static_cast<char32_t>(b));
        byte_ids_[b] = byte_level_ || b < 128 ? vocabulary_.find(spelled) : StringTable::kNone;
        fallback_ids_[b] = vocabulary_.find(fmt::format("<0x{:02X}>", b));
        all_bytes_ = all_bytes_ && byte_ids_[b] != StringTable::kNone;
    }
}

void Bpe::read_merges(const BpeSpec& spec, const std::string& file) {
    const size_t count = spec.merge_left.size();
    merges_.reserve(count);
    constexpr size_t kAhead = 16;  // lookups wait for memory, so a batch of them is announced first
    std::array<std::string, kAhead> joined;
    std::array<std::array<uint64_t, 3>, kAhead> hashes;
    std::vector<std::array<int32_t, 3>> found(count);
    for (size_t first = 0; first < count; first += kAhead) {
        const size_t batch = std::min(kAhead, count - first);
        for (size_t i = 0; i < batch; ++i) {
            const std::string_view left = spec.merge_left[first + i], right = spec.merge_right[first + i];
            joined[i].assign(left).append(right);
            hashes[i] = {hash_string(left), hash_string(right), hash_string(joined[i])};
            for (const uint64_t hash : hashes[i]) vocabulary_.prefetch(hash);
        }
        for (size_t i = 0; i < batch; ++i) {
            const std::string_view parts[3] = {spec.merge_left[first + i], spec.merge_right[first + i], joined[i]};
            for (int part = 0; part < 3; ++part) {
                const int32_t id = vocabulary_.find(parts[part], hashes[i][part]);
                if (id == StringTable::kNone) {
                    fail(ErrorKind::input,
                         "{}: merge number {} of model.merges, \"{}\" and \"{}\", needs the token \"{}\", which is not "
                         "in model.vocab. "
                         "Fetch the file again.",
                         file, first + i, parts[0], parts[1], parts[part]);
                }
                found[first + i][part] = id;
            }
        }
    }
    for (size_t i = 0; i < count; ++i) merges_.set(found[i][0], found[i][1], static_cast<uint32_t>(i), found[i][2]);
    if (!byte_level_) return;
    byte_merges_.assign(256 * 256, kNoMerge);
    for (int a = 0; a < 256; ++a) {
        for (int b = 0; b < 256; ++b) {
            if (byte_ids_[a] >= 0 && byte_ids_[b] >= 0)
                byte_merges_[a * 256 + b] = merges_.find(byte_ids_[a], byte_ids_[b]);
        }
    }
}

// When no merge makes a token in which "▁" follows another character, no merge ever joins the two sides of such a
// place, so what stands before it and what stands behind it can be encoded apart. Example: "▁to▁be" is "▁to" and "▁be".
// Llama's and Mixtral's vocabularies are like that. The mark must be a token, so that unknown characters before it end
// there; and no character may be dropped, because the marks on both sides of it would meet.
void Bpe::find_cut_mark(const BpeSpec& spec) {
    if (vocabulary_.find(kMetaspace) == StringTable::kNone) return;
    const bool all_fallback =
        std::find(fallback_ids_.begin(), fallback_ids_.end(), StringTable::kNone) == fallback_ids_.end();
    if (unk_id_ == StringTable::kNone && !(byte_fallback_ && all_fallback)) return;
    for (size_t i = 0; i < spec.merge_left.size(); ++i) {
        const std::string token = std::string(spec.merge_left[i]).append(spec.merge_right[i]);
        for (size_t at = token.find(kMetaspace, 1); at != token.npos; at = token.find(kMetaspace, at + 1)) {
            if (at < kMetaspace.size() ||
                std::string_view(token).substr(at - kMetaspace.size(), kMetaspace.size()) != kMetaspace)
                return;
        }
    }
    cut_mark_ = kMetaspace;
}

void Bpe::encode_uncut(std::string_view text, BpeScratch& scratch, std::vector<int32_t>& out) const {
    if (cut_mark_.empty()) return encode(text, scratch, out);
    size_t begin = 0;
    while (begin < text.size()) {
        size_t end = begin;
        while (text.substr(end, cut_mark_.size()) == cut_mark_)
            end += cut_mark_.size();  // leading marks stay with their word
        end = std::min(text.find(cut_mark_, end), text.size());
        encode(text.substr(begin, end - begin), scratch, out);
        begin = end;
    }
}

void Bpe::encode(std::string_view word, BpeScratch& scratch, std::vector<int32_t>& out) const {
    if (word.size() > WordCache::kWordBytesMax) return encode_uncached(word, scratch, out);
    bool hit = false;
    WordCache::Entry& entry = scratch.cache.place(word, hit);
    if (hit) {
        const size_t old = out.size();
        out.resize(old + entry.count);
        for (uint32_t i = 0; i < entry.count; ++i) out[old + i] = entry.ids[i];
        return;
    }
    const size_t old = out.size();
    encode_uncached(word, scratch, out);
    const size_t count = out.size() - old;
    if (count > WordCache::kIdsMax) {
        entry.high = 0;  // not kept: no word has length 0
        return;
    }
    std::copy_n(out.begin() + static_cast<std::ptrdiff_t>(old), count, entry.ids.begin());
    entry.count = static_cast<uint32_t>(count);
}

int32_t Bpe::whole_word(std::string_view word, BpeScratch& scratch) const {
    if (!byte_level_) return vocabulary_.find(word);
    scratch.mapped.clear();
    for (const char c : word) append_utf8(scratch.mapped, kByteAlphabet.char_of[static_cast<unsigned char>(c)]);
    return vocabulary_.find(scratch.mapped);
}

void Bpe::encode_uncached(std::string_view word, BpeScratch& scratch, std::vector<int32_t>& out) const {
    if (ignore_merges_) {
        const int32_t id = whole_word(word, scratch);
        if (id != StringTable::kNone) return out.push_back(id);
    }
    std::vector<int32_t>& ids = scratch.ids;
    std::vector<MergeValue>& merges = scratch.merges;
    ids.clear();
    if (byte_level_ && all_bytes_) {
        const auto* bytes = reinterpret_cast<const unsigned char*>(word.data());
        ids.resize(word.size());
        merges.resize(word.size());
        for (size_t i = 0; i < word.size(); ++i) ids[i] = byte_ids_[bytes[i]];
        for (size_t i = 0; i + 1 < word.size(); ++i) merges[i] = byte_merges_[bytes[i] * 256 + bytes[i + 1]];
    } else {
        start_symbols(word, scratch);
        merges.resize(ids.size());
        for (size_t i = 0; i + 1 < ids.size(); ++i) merges[i] = merges_.find(ids[i], ids[i + 1]);
    }
    if (ids.size() > 1) {
        if (ids.size() <= kShortSymbolsMax) {
            merge_short(scratch);
        } else {
            merge_long(scratch);
        }
    }
    out.insert(out.end(), ids.begin(), ids.end());
}

// The ids that merging starts from: one per character, or its bytes' fallback ids, or unk. What unk stands for ends
// where a known character begins, not where fallback bytes do; that is how the tokenizers library orders them.
void Bpe::start_symbols(std::string_view word, BpeScratch& scratch) const {
    std::string_view text = word;
    if (byte_level_) {
        scratch.mapped.clear();
        for (const char c : word) append_utf8(scratch.mapped, kByteAlphabet.char_of[static_cast<unsigned char>(c)]);
        text = scratch.mapped;
    }
    bool pending_unk = false;
    for (size_t i = 0; i < text.size();) {
        const std::string_view symbol = text.substr(i, utf8_char(text.data() + i).bytes);
        i += symbol.size();
        const int32_t id =
            symbol.size() == 1 && !byte_level_ ? byte_ids_[static_cast<unsigned char>(symbol[0])] : symbol_of(symbol);
        if (id != StringTable::kNone) {
            if (pending_unk) scratch.ids.push_back(unk_id_);
            pending_unk = false;
            scratch.ids.push_back(id);
            continue;
        }
        const auto has_fallback = [&](char c) {
            return fallback_ids_[static_cast<unsigned char>(c)] != StringTable::kNone;
        };
        if (byte_fallback_ && std::all_of(symbol.begin(), symbol.end(), has_fallback)) {
            for (const char c : symbol) scratch.ids.push_back(fallback_ids_[static_cast<unsigned char>(c)]);
            continue;
        }
        if (unk_id_ == StringTable::kNone) continue;  // a model without unk drops the character
        if (pending_unk && !fuse_unk_) scratch.ids.push_back(unk_id_);
        pending_unk = true;
    }
    if (pending_unk) scratch.ids.push_back(unk_id_);
}

// Few symbols: scan for the lowest rank, close the gap, look up the two new neighbours.
void Bpe::merge_short(BpeScratch& scratch) const {
    int32_t* ids = scratch.ids.data();
    MergeValue* merges = scratch.merges.data();  // [n - 1] the merge of symbols i and i + 1
    size_t n = scratch.ids.size();
    while (n > 1) {
        size_t best = 0;
        MergeValue lowest = merges[0];
        for (size_t i = 1; i + 1 < n; ++i) {
            if (merges[i] < lowest) {
                lowest = merges[i];
                best = i;
            }
        }
        if (lowest == kNoMerge) break;
        ids[best] = made_by(lowest);
        std::memmove(ids + best + 1, ids + best + 2, (n - best - 2) * sizeof *ids);
        if (best + 2 < n) std::memmove(merges + best, merges + best + 1, (n - best - 2) * sizeof *merges);
        --n;
        if (best > 0) merges[best - 1] = merges_.find(ids[best - 1], ids[best]);
        if (best + 1 < n) merges[best] = merges_.find(ids[best], ids[best + 1]);
    }
    scratch.ids.resize(n);
}

// Many symbols: a heap of candidates over a linked list. A candidate is stale when its place now has another merge.
void Bpe::merge_long(BpeScratch& scratch) const {
    std::vector<int32_t>& ids = scratch.ids;
    std::vector<MergeValue>& merges = scratch.merges;
    const auto n = static_cast<int32_t>(ids.size());
    merges[n - 1] = kNoMerge;
    scratch.next.resize(ids.size());
    scratch.previous.resize(ids.size());
    auto& heap = scratch.heap;
    heap.clear();
    for (int32_t i = 0; i < n; ++i) {
        scratch.next[i] = i + 1;
        scratch.previous[i] = i - 1;
        if (merges[i] != kNoMerge) heap.push_back({merges[i], i});
    }
    const auto later = [](const BpeScratch::Candidate& a, const BpeScratch::Candidate& b) {
        return rank_of(a.merge) != rank_of(b.merge) ? a.merge > b.merge : a.at > b.at;
    };
    std::make_heap(heap.begin(), heap.end(), later);
    const auto look_up = [&](int32_t at) {
        merges[at] = scratch.next[at] < n ? merges_.find(ids[at], ids[scratch.next[at]]) : kNoMerge;
        if (merges[at] == kNoMerge) return;
        heap.push_back({merges[at], at});
        std::push_heap(heap.begin(), heap.end(), later);
    };
    while (!heap.empty()) {
        const BpeScratch::Candidate top = heap.front();
        std::pop_heap(heap.begin(), heap.end(), later);
        heap.pop_back();
        if (merges[top.at] != top.merge) continue;
        const int32_t gone = scratch.next[top.at];
        ids[top.at] = made_by(top.merge);
        ids[gone] = -1;
        merges[gone] = kNoMerge;
        scratch.next[top.at] = scratch.next[gone];
        if (scratch.next[gone] < n) scratch.previous[scratch.next[gone]] = top.at;
        look_up(top.at);
        if (scratch.previous[top.at] >= 0) look_up(scratch.previous[top.at]);
    }
    ids.erase(std::remove(ids.begin(), ids.end(), -1), ids.end());
}

}  // namespace argosy
