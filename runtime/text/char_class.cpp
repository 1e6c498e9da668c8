// Which class a character has in the split patterns of tokenizers: filled from ICU's general categories.
#include "runtime/text/char_class.hpp"

#include "runtime/text/unicode_icu.hpp"

namespace argosy {
namespace {

bool ascii_punctuation(char32_t c) {
    return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
}

uint8_t classify(char32_t code) {
    const CharFacts facts = unicode_char_facts(code);
    const bool both = facts.modifier || facts.other_letter || facts.mark;
    const bool letter = facts.upper || facts.title || facts.lower || facts.modifier || facts.other_letter;
    uint8_t flags = 0;
    if (letter) flags |= kLetter;
    if (facts.number) flags |= kNumber;
    if (facts.white_space) flags |= kSpace;
    if (both || facts.upper || facts.title) flags |= kUpperSet;
    if (both || facts.lower) flags |= kLowerSet;
    if (facts.punctuation || ascii_punctuation(code)) flags |= kPunctuation;
    if (facts.alphabetic || facts.mark || facts.decimal || facts.connector || facts.join_control) flags |= kWord;
    if (code == '\r' || code == '\n') flags |= kNewline;
    return flags;
}

}  // namespace

CharTable::CharTable() {
    for (char32_t code = 0; code < basic_.size(); ++code) basic_[code] = classify(code);
}

uint8_t CharTable::beyond_basic(char32_t code) { return classify(code); }

}  // namespace argosy
