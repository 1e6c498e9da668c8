// Tests of the hand-written matchers: the same pieces as PCRE2 finds with the regex they stand for.
#include <catch2/catch.hpp>
#include <random>

#include "runtime/text/pre_tokenizer.hpp"
#include "runtime/text/utf8.hpp"
#include "runtime/text/word_patterns.hpp"
#include "tests/runtime/text/text_cases.hpp"
#include "tests/support/shared_data.hpp"

namespace {

using namespace argosy;

// Compares all pieces of `text`; returns their number. Reports the first difference.
size_t compare(WordPattern pattern, const CharTable& chars, const Regex& regex, RegexState& state,
               const std::string& text) {
    size_t at = 0, pieces = 0;
    while (at < text.size()) {
        Match match;
        REQUIRE(regex.find(state, text, at, match));
        const auto end =
            static_cast<size_t>(word_end(pattern, chars, text.data() + at, text.data() + text.size()) - text.data());
        if (match.begin != at || match.end != end) {
            INFO("text: " << text.substr(at, 40) << " at byte " << at << ", regex: " << regex_of(pattern));
            REQUIRE(match.begin == at);
            REQUIRE(match.end == end);
        }
        at = end;
        ++pieces;
    }
    return pieces;
}

}  // namespace

TEST_CASE("hand-written matchers agree with PCRE2 on random text") {
    const CharTable chars;
    RegexState state;
    for (const WordPattern pattern : kWordPatterns) {
        REQUIRE(find_word_pattern(regex_of(pattern)) == pattern);
        const Regex regex(regex_of(pattern), "test");
        std::mt19937 rng(11);
        size_t pieces = 0;
        for (int round = 0; round < 20000; ++round)
            pieces += compare(pattern, chars, regex, state, test::random_text(rng, 1 + rng() % 24));
        CHECK(pieces > 50000);
    }
    CHECK_FALSE(find_word_pattern(R"(\s+)"));
}

TEST_CASE("hand-written matchers agree with PCRE2 on every character that both know") {
    // PCRE2 10.42 has the properties of Unicode 14; the characters that came later count as unassigned there and are
    // left out.
    const CharTable chars;
    RegexState state;
    const Regex unassigned(R"(\p{Cn})", "test");
    for (const WordPattern pattern : kWordPatterns) {
        const Regex regex(regex_of(pattern), "test");
        for (char32_t code = 0; code < 0x32000; ++code) {
            if (code >= 0xD800 && code < 0xE000) continue;
            std::string one;
            append_utf8(one, code);
            Match match;
            if (unassigned.find(state, one, 0, match)) continue;
            compare(pattern, chars, regex, state, "a" + one + " " + one + "B" + one + one + "b\n" + one);
        }
    }
}

TEST_CASE("hand-written matchers agree with PCRE2 on books") {
    if (!test::have_shared("prompts/corpora", "matchers on books")) return;
    const CharTable chars;
    RegexState state;
    for (const char* name : {"war-and-peace-en.txt", "pg4791-verne-fr.txt", "pg23950-three-kingdoms-zh.txt"}) {
        const std::string book = test::read_text_file(*test::shared_dir() / "prompts/corpora" / name);
        const std::string text = book.substr(0, 400000);
        for (const WordPattern pattern : kWordPatterns) {
            const Regex regex(regex_of(pattern), "test");
            CHECK(compare(pattern, chars, regex, state, text.substr(0, text.rfind('\n') + 1)) > 1000);
        }
    }
}

TEST_CASE("patterns of Oniguruma are spelled for PCRE2") {
    CHECK(to_pcre2_pattern(R"(\s+(?!\S))") == R"([\t-\r\x{85}\p{Z}]+(?![^\t-\r\x{85}\p{Z}]))");
    CHECK(to_pcre2_pattern(R"([^\s\p{L}]\\s)") == R"([^\t-\r\x{85}\p{Z}\p{L}]\\s)");
    CHECK(
        to_pcre2_pattern(R"([]\w]\w)") ==
        R"([]\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\xB2\xB3\xB9\xBC-\xBE][\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\xB2\xB3\xB9\xBC-\xBE])");
    RegexState state;
    Match match;
    CHECK_FALSE(Regex(R"(\s)", "test").find(state, "\xE1\xA0\x8E", 0, match));  // U+180E is no white space
    CHECK(Regex(R"(\s)", "test").find(state, "\xC2\x85", 0, match));            // U+0085 is
    CHECK(Regex(R"(^\w$)", "test")
              .find(state, "ab\n\xCC\x81\nc", 0, match));  // marks are word characters; $ stands at line ends
    CHECK(match.begin == 3);
    CHECK_FALSE(Regex(R"(\h)", "test").find(state, " g", 0, match));  // a hexadecimal digit
}
