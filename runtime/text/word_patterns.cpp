// The split patterns that most vocabularies share, as hand-written matchers. Each function is one pattern, its
// alternatives in order.
#include "runtime/text/word_patterns.hpp"

#include "runtime/text/utf8.hpp"

namespace argosy {
namespace {

constexpr std::string_view kGpt2 = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::string_view kCl100kOne =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kCl100kThree =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kO200k =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

// A character, its flags and where it ends. Past the end of the text: no flags, and `next` is null.
struct Char {
    uint8_t flags = 0;
    const char* next = nullptr;
};

struct Text {
    const CharTable& chars;
    const char* end;

    Char at(const char* p) const {
        if (p == end) return {};
        const Utf8Char c = utf8_char(p);
        return {chars[c.code], p + c.bytes};
    }
    // End of the run of characters that have any of `flags`.
    const char* run(const char* p, uint8_t flags) const {
        while (p != end) {
            const Utf8Char c = utf8_char(p);
            if (!(chars[c.code] & flags)) break;
            p += c.bytes;
        }
        return p;
    }
    // End of the run of characters that have none of `flags`.
    const char* run_without(const char* p, uint8_t flags) const {
        while (p != end) {
            const Utf8Char c = utf8_char(p);
            if (chars[c.code] & flags) break;
            p += c.bytes;
        }
        return p;
    }
};

// End of 's 't 're 've 'm 'll 'd at `p`, where an apostrophe stands; `p` when there is none. Ignoring case, U+017F is
// an s.
const char* contraction(const char* p, const char* end, bool ignore_case) {
    const auto letter = [&](const char* q) -> char {
        if (q >= end) return 0;
        return ignore_case && *q >= 'A' && *q <= 'Z' ? static_cast<char>(*q + 32) : *q;
    };
    const char first = letter(p + 1), second = letter(p + 2);
    if (first == 's' || first == 't' || first == 'm' || first == 'd') return p + 2;
    if ((first == 'r' && second == 'e') || (first == 'v' && second == 'e') || (first == 'l' && second == 'l'))
        return p + 3;
    if (ignore_case && end - p >= 3 && p[1] == '\xC5' && p[2] == '\xBF') return p + 3;
    return p;
}

// \s*[\r\n]+ (when `newlines`), else \s+(?!\S), else \s+ at `p`, where white space stands.
// Example: in "  \n\n  x" the first takes "  \n\n"; in "   x" the second takes two spaces and leaves one to the next
// word.
const char* white_space(const Text& text, const char* p, bool newlines) {
    const char* last = p;           // start of the run's last character
    const char* after_newline = p;  // behind the run's last newline
    const char* q = p;
    while (true) {
        const Char c = text.at(q);
        if (!(c.flags & kSpace)) break;
        last = q;
        q = c.next;
        if (c.flags & kNewline) after_newline = q;
    }
    if (newlines && after_newline != p) return after_newline;
    return q == text.end || last == p ? q : last;
}

const char* gpt2_end(const Text& text, const char* p) {
    Char c = text.at(p);
    if (*p == '\'') {
        const char* q = contraction(p, text.end, false);
        if (q != p) return q;
    }
    const Char first = c;
    if (*p == ' ') {
        c = text.at(c.next);
        if (c.next == nullptr || (c.flags & kSpace)) return white_space(text, p, false);
    }
    if (c.flags & kLetter) return text.run(c.next, kLetter);
    if (c.flags & kNumber) return text.run(c.next, kNumber);
    if (first.flags & kSpace && *p != ' ') return white_space(text, p, false);
    return text.run_without(c.next, kLetter | kNumber | kSpace);
}

// The alternatives that cl100k and o200k share: numbers, symbols, white space. `p` begins no word.
const char* not_a_word(const Text& text, const char* p, const Char& c, int digits, bool slash) {
    if (c.flags & kNumber) {
        const char* q = c.next;
        for (int i = 1; i < digits; ++i) {
            const Char d = text.at(q);
            if (!(d.flags & kNumber)) break;
            q = d.next;
        }
        return q;
    }
    Char symbol = c;
    if (*p == ' ') symbol = text.at(c.next);
    if (symbol.next != nullptr && !(symbol.flags & (kSpace | kLetter | kNumber))) {
        const char* q = text.run_without(symbol.next, kSpace | kLetter | kNumber);
        while (q != text.end && (*q == '\r' || *q == '\n' || (slash && *q == '/'))) ++q;
        return q;
    }
    return white_space(text, p, true);
}

const char* cl100k_end(const Text& text, const char* p, int digits) {
    const Char c = text.at(p);
    if (c.flags & kLetter) return text.run(c.next, kLetter);
    if (*p == '\'') {
        const char* q = contraction(p, text.end, true);
        if (q != p) return q;
    }
    if (!(c.flags & (kNumber | kNewline))) {
        const Char second = text.at(c.next);
        if (second.flags & kLetter) return text.run(second.next, kLetter);
    }
    return not_a_word(text, p, c, digits, false);
}

// [upper]*[lower]+ at `q`; null when it does not match. The sets share Lm, Lo and marks, so where no lower-case letter
// follows the greedy first part gives back until its last shared character. Example: in "ABªC" the match is "ABª".
const char* upper_then_lower(const Text& text, const char* q) {
    const char* after_shared = nullptr;
    while (true) {
        const Char c = text.at(q);
        if (!(c.flags & kUpperSet)) {
            if (c.flags & kLowerSet) return text.run(c.next, kLowerSet);
            return after_shared;
        }
        q = c.next;
        if (c.flags & kLowerSet) after_shared = q;
    }
}

const char* o200k_end(const Text& text, const char* p) {
    const Char c = text.at(p);
    const bool may_prefix = !(c.flags & (kLetter | kNumber | kNewline));
    const char* q = nullptr;
    if (may_prefix) q = upper_then_lower(text, c.next);
    if (q == nullptr) q = upper_then_lower(text, p);
    if (q == nullptr) {  // no lower-case letter and nothing shared follows: [upper]+ alone
        const char* start = may_prefix && (text.at(c.next).flags & kUpperSet) ? c.next : p;
        const char* stop = text.run(start, kUpperSet);
        if (stop != start) q = stop;
    }
    if (q == nullptr) return not_a_word(text, p, c, 3, true);
    return q != text.end && *q == '\'' ? contraction(q, text.end, true) : q;
}

}  // namespace

std::string_view regex_of(WordPattern pattern) {
    switch (pattern) {
        case WordPattern::gpt2:
            return kGpt2;
        case WordPattern::cl100k_one:
            return kCl100kOne;
        case WordPattern::cl100k_three:
            return kCl100kThree;
        case WordPattern::o200k:
            return kO200k;
    }
    return {};
}

std::optional<WordPattern> find_word_pattern(std::string_view regex) {
    for (const WordPattern pattern : kWordPatterns) {
        if (regex_of(pattern) == regex) return pattern;
    }
    return std::nullopt;
}

const char* word_end(WordPattern pattern, const CharTable& chars, const char* at, const char* end) {
    const Text text{chars, end};
    switch (pattern) {
        case WordPattern::gpt2:
            return gpt2_end(text, at);
        case WordPattern::cl100k_one:
            return cl100k_end(text, at, 1);
        case WordPattern::cl100k_three:
            return cl100k_end(text, at, 3);
        case WordPattern::o200k:
            return o200k_end(text, at);
    }
    return end;
}

}  // namespace argosy
