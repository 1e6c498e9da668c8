// The door to ICU: general categories of characters, the normal form NFC, upper and lower case.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace argosy {

// The general categories that tokenizer patterns ask for, folded to what they need, and White_Space.
struct CharFacts {
    bool upper = false;         // Lu
    bool title = false;         // Lt
    bool lower = false;         // Ll
    bool modifier = false;      // Lm
    bool other_letter = false;  // Lo
    bool mark = false;          // M
    bool decimal = false;       // Nd
    bool number = false;        // N
    bool punctuation = false;   // P
    bool connector = false;     // Pc
    bool white_space = false;   // property White_Space
    bool alphabetic = false;    // property Alphabetic
    bool join_control = false;  // property Join_Control
};
CharFacts unicode_char_facts(char32_t code);

// False for controls, format characters, surrogates, private and unassigned code points, and separators but U+0020:
// what Python escapes when it spells a string.
bool unicode_is_printable(char32_t code);

// Full case mapping of valid UTF-8, without a language's own rules.
std::string unicode_upper(std::string_view text);
std::string unicode_lower(std::string_view text);

// NFC of valid UTF-8. Returns false, leaving `out` alone, when the text is in that form already.
bool normalize_nfc(std::string_view text, std::string& out);

}  // namespace argosy
