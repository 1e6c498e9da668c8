// Tests of the stop strings: against a search of the whole text, over all ways to cut it into pieces.
#include <catch2/catch.hpp>
#include <random>

#include "kernels/base/error.hpp"
#include "runtime/text/stop_strings.hpp"

namespace {

using argosy::StopMatcher;

struct Expected {
    bool stopped = false;
    size_t offset = 0, index = 0;
};

// The match that ends first; among those the longest. By trying every end and every stop string.
Expected search(const std::vector<std::string>& stops, const std::string& text) {
    for (size_t end = 1; end <= text.size(); ++end) {
        Expected best;
        for (size_t i = 0; i < stops.size(); ++i) {
            const size_t n = stops[i].size();
            if (n > end || text.compare(end - n, n, stops[i]) != 0) continue;
            if (!best.stopped || end - n < best.offset) best = {true, end - n, i};
        }
        if (best.stopped) return best;
    }
    return {};
}

// Whether a stop string may yet begin in the last `held` bytes of `text`.
bool may_begin(const std::vector<std::string>& stops, const std::string& text, size_t held) {
    for (const std::string& stop : stops) {
        if (held < stop.size() && text.compare(text.size() - held, held, stop, 0, held) == 0) return true;
    }
    return false;
}

}  // namespace

TEST_CASE("stop strings across pieces") {
    StopMatcher matcher({"END"});
    CHECK(matcher.push("the E") == "the ");
    CHECK(matcher.push("N") == "");
    CHECK(matcher.push("V") == "ENV");
    CHECK(matcher.push("END.") == "");
    CHECK(matcher.stopped());
    CHECK(matcher.stop_offset() == 7);
    CHECK(matcher.push("more") == "");
    CHECK(matcher.finish() == "");

    StopMatcher open({"END"});
    CHECK(open.push("EEN") == "E");
    CHECK(open.finish() == "EN");
    CHECK_FALSE(open.stopped());
    CHECK_THROWS_AS(StopMatcher({"a", ""}), argosy::Error);
    CHECK(StopMatcher(std::vector<std::string>{}).push("all") == "all");
}

TEST_CASE("the match does not depend on the pieces, and nothing is held without need") {
    std::mt19937 rng(3);
    int stopped = 0, inner = 0;
    for (int round = 0; round < 30000; ++round) {
        const auto word = [&](size_t least, size_t most) {
            std::string out;
            for (size_t n = least + rng() % (most - least + 1); n > 0; --n)
                out.push_back(static_cast<char>('a' + rng() % 2 + (rng() % 9 == 0)));
            return out;
        };
        std::vector<std::string> stops;
        for (size_t n = 1 + rng() % 4; n > 0; --n) stops.push_back(word(1 + rng() % 3, 5));
        const std::string text = word(0, 14);
        const Expected expected = search(stops, text);
        StopMatcher matcher(stops);
        std::string out, fed;
        for (size_t i = 0; i < text.size() && !matcher.stopped();) {
            const size_t n = std::min(text.size() - i, size_t{1} + rng() % 4);
            out += matcher.push(std::string_view(text).substr(i, n));
            i += n;
            fed = text.substr(0, i);
            if (!matcher.stopped() && out.size() < fed.size()) REQUIRE(may_begin(stops, fed, fed.size() - out.size()));
        }
        REQUIRE(matcher.stopped() == expected.stopped);
        out += matcher.finish();
        REQUIRE(out == (expected.stopped ? text.substr(0, expected.offset) : text));
        if (!expected.stopped) continue;
        ++stopped;
        REQUIRE(matcher.stop_offset() == expected.offset);
        REQUIRE(matcher.stops()[matcher.stop_index()] == stops[expected.index]);
        inner += stops[expected.index].size() < fed.size();
    }
    CHECK(stopped > 5000);
    CHECK(inner > 1000);
}
