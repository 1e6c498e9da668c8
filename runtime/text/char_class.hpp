// Which class a character has in the split patterns of tokenizers: one byte of flags per code point, looked up in a
// table.
#pragma once

#include <array>
#include <cstdint>

namespace argosy {

// Flags of a character. Names follow the patterns: \p{L}, \p{N}, \s, and the two letter sets of o200k.
enum CharClass : uint8_t {
    kLetter = 1,        // \p{L}
    kNumber = 2,        // \p{N}
    kSpace = 4,         // \s: White_Space
    kUpperSet = 8,      // [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]
    kLowerSet = 16,     // [\p{Ll}\p{Lm}\p{Lo}\p{M}]
    kPunctuation = 32,  // \p{P} or ASCII punctuation
    kWord = 64,         // \w: Alphabetic, marks, decimal digits, connectors, joiners
    kNewline = 128,     // \r or \n
};

// Flags of all characters of the basic plane; the others are asked from ICU one by one. Plain data, read by all
// threads.
class CharTable {
  public:
    CharTable();
    uint8_t operator[](char32_t code) const { return code < basic_.size() ? basic_[code] : beyond_basic(code); }

  private:
    static uint8_t beyond_basic(char32_t code);
    std::array<uint8_t, 0x10000> basic_;
};

}  // namespace argosy
