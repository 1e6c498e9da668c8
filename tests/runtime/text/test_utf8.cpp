// Tests of UTF-8 in small pieces: validity against a check by code points, and replacement that does not depend on
// where text is cut.
#include <catch2/catch.hpp>
#include <random>

#include "runtime/text/utf8.hpp"

namespace {

using argosy::append_lossy;
using argosy::append_utf8;

std::string lossy(std::string_view bytes) {
    std::string out;
    CHECK(append_lossy(out, bytes, true) == 0);
    return out;
}

}  // namespace

TEST_CASE("every code point is written and read back, surrogates are not text") {
    for (char32_t code = 0; code < 0x110000; code += code < 0x3000 ? 1 : 37) {
        std::string text;
        append_utf8(text, code);
        const bool surrogate = code >= 0xD800 && code < 0xE000;
        REQUIRE(argosy::is_valid_utf8(text) == !surrogate);
        if (surrogate) continue;
        REQUIRE(argosy::utf8_char(text.data()).code == code);
        REQUIRE(argosy::utf8_char(text.data()).bytes == text.size());
        REQUIRE(argosy::utf8_back(text.data() + text.size()) == text.data());
    }
}

TEST_CASE("each maximal invalid part becomes one replacement character") {
    // The examples of the Unicode standard, section 3.9, and of Rust's String::from_utf8_lossy.
    CHECK(lossy("a\xF1\x80\x80\xE1\x80\xC2"
                "b\x80"
                "c\x80\xBF"
                "d") == "a\uFFFD\uFFFD\uFFFDb\uFFFDc\uFFFD\uFFFDd");
    CHECK(lossy("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82"
                "A") ==
          "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD"
          "A");
    CHECK(lossy("\xED\xA0\x80\xED\xBF\xBF\xED\xAF"
                "A") ==
          "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD"
          "A");
    CHECK(lossy("\xF4\x91\x92\x93\xFF"
                "A\x80\xBF"
                "B") ==
          "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD"
          "A\uFFFD\uFFFD"
          "B");
    CHECK(lossy("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF"
                "A") ==
          "\uFFFD\uFFFD\uFFFD\uFFFD"
          "A");
    CHECK(lossy("\xF0\x9F\x98") == "\uFFFD");
}

TEST_CASE("bytes in pieces give the same text as bytes at once") {
    std::mt19937 rng(7);
    const unsigned char leads[] = {'a', 0x80, 0xBF, 0xC2, 0xE0, 0xE1, 0xED, 0xF0, 0xF1, 0xF4, 0xF5, 0xA0, 0x90};
    for (int round = 0; round < 20000; ++round) {
        std::string bytes;
        for (size_t i = rng() % 12; i > 0; --i) bytes.push_back(static_cast<char>(leads[rng() % std::size(leads)]));
        std::string out, held;
        for (size_t i = 0; i < bytes.size();) {
            const size_t n = std::min(bytes.size() - i, size_t{1} + rng() % 3);
            held.append(bytes, i, n);
            i += n;
            const size_t left = append_lossy(out, held, false);
            REQUIRE(left <= 3);
            REQUIRE(argosy::is_valid_utf8(out));
            held.erase(0, held.size() - left);
        }
        append_lossy(out, held, true);
        REQUIRE(out == lossy(bytes));
        REQUIRE(argosy::is_valid_utf8(bytes) == (out == bytes));
    }
}
