// UTF-8 in small pieces: the step function follows table 3-7 of the Unicode standard (well-formed byte sequences).
#include "runtime/text/utf8.hpp"

#include <cstring>

namespace argosy {

Utf8Step utf8_step(std::string_view text) {
    const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned char lead = byte(0);
    if (lead < 0x80) return {Utf8Kind::valid, 1};
    if (lead < 0xC2 || lead > 0xF4) return {Utf8Kind::invalid, 1};
    const size_t want = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    for (size_t i = 1; i < want; ++i) {
        if (i == text.size()) return {Utf8Kind::incomplete, i};
        unsigned char low = 0x80, high = 0xBF;
        if (i == 1) {  // no overlong forms, no surrogates, nothing above U+10FFFF
            if (lead == 0xE0) low = 0xA0;
            if (lead == 0xED) high = 0x9F;
            if (lead == 0xF0) low = 0x90;
            if (lead == 0xF4) high = 0x8F;
        }
        if (byte(i) < low || byte(i) > high) return {Utf8Kind::invalid, i};
    }
    return {Utf8Kind::valid, want};
}

void append_utf8(std::string& out, char32_t code) {
    const auto put = [&](uint32_t byte) { out.push_back(static_cast<char>(byte)); };
    if (code < 0x80) {
        put(code);
    } else if (code < 0x800) {
        put(0xC0 | code >> 6), put(0x80 | (code & 0x3F));
    } else if (code < 0x10000) {
        put(0xE0 | code >> 12), put(0x80 | (code >> 6 & 0x3F)), put(0x80 | (code & 0x3F));
    } else {
        put(0xF0 | code >> 18), put(0x80 | (code >> 12 & 0x3F)), put(0x80 | (code >> 6 & 0x3F)),
            put(0x80 | (code & 0x3F));
    }
}

bool is_valid_utf8(std::string_view text) {
    size_t i = 0;
    while (i < text.size()) {
        while (i + 8 <= text.size()) {  // eight ASCII bytes at a time
            uint64_t word;
            std::memcpy(&word, text.data() + i, 8);
            if (word & 0x8080808080808080u) break;
            i += 8;
        }
        if (i == text.size()) break;
        const Utf8Step step = utf8_step(text.substr(i));
        if (step.kind != Utf8Kind::valid) return false;
        i += step.bytes;
    }
    return true;
}

size_t append_lossy(std::string& out, std::string_view bytes, bool last) {
    size_t from = 0, i = 0;  // [from, i) is valid and not yet appended
    while (i < bytes.size()) {
        const Utf8Step step = utf8_step(bytes.substr(i));
        if (step.kind == Utf8Kind::valid) {
            i += step.bytes;
            continue;
        }
        out.append(bytes.substr(from, i - from));
        if (step.kind == Utf8Kind::incomplete && !last) return bytes.size() - i;
        out.append(kReplacementChar);
        i += step.bytes;
        from = i;
    }
    out.append(bytes.substr(from));
    return 0;
}

}  // namespace argosy
