// Strings by number and numbers by string: insertion and growth.
#include "runtime/text/string_table.hpp"

#include <bit>

namespace argosy {

void StringTable::reserve(size_t strings) {
    const size_t slots = std::bit_ceil(strings * 2 + 2);
    if (slots > slots_.size()) grow(slots);
}

void StringTable::grow(size_t slots) {
    std::vector<Slot> old(slots);
    old.swap(slots_);
    mask_ = slots - 1;
    for (const Slot& slot : old) {
        if (slot.id == kNone) continue;
        size_t at = hash_string(text_of(slot)) & mask_;
        while (slots_[at].id != kNone) at = (at + 1) & mask_;
        slots_[at] = slot;
    }
}

int32_t StringTable::insert(std::string_view text, int32_t id) {
    reserve(count_ + 1);
    const uint64_t hash = hash_string(text);
    size_t at = hash & mask_;
    for (; slots_[at].id != kNone; at = (at + 1) & mask_) {
        if (slots_[at].tag == static_cast<uint32_t>(hash >> 32) && text_of(slots_[at]) == text) return slots_[at].id;
    }
    slots_[at] = {static_cast<uint32_t>(hash >> 32), id, static_cast<uint32_t>(bytes_.size()),
                  static_cast<uint32_t>(text.size())};
    bytes_.append(text);
    ++count_;
    return kNone;
}

}  // namespace argosy
