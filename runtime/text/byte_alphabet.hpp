// The byte alphabet of GPT-2: every byte has a printable character, so that any bytes can be written as text in a
// vocabulary.
#pragma once

#include <array>
#include <cstdint>

namespace argosy {

// '!'..'~', U+00A1..U+00AC and U+00AE..U+00FF stand for themselves; the other 68 bytes, in order, are U+0100, U+0101,
// ... Example: the space, 0x20, is the 33rd of them and is written U+0120, "Ġ"; the newline is "Ċ".
struct ByteAlphabet {
    std::array<char32_t, 256> char_of{};
    std::array<int16_t, 324> byte_of{};  // -1: no byte is written so

    constexpr ByteAlphabet() {
        byte_of.fill(-1);
        char32_t next = 256;
        for (int b = 0; b < 256; ++b) {
            const bool itself = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
            char_of[b] = itself ? static_cast<char32_t>(b) : next++;
            byte_of[char_of[b]] = static_cast<int16_t>(b);
        }
    }
    constexpr int byte(char32_t c) const { return c < byte_of.size() ? byte_of[c] : -1; }
};
inline constexpr ByteAlphabet kByteAlphabet;

}  // namespace argosy
