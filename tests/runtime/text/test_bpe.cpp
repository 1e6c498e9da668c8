// Tests of byte pair encoding: the merge loops, the cache and the cut at word marks against the definition, on random
// vocabularies.
#include <catch2/catch.hpp>
#include <map>
#include <random>

#include "runtime/text/bpe.hpp"

namespace {

using namespace argosy;

// A vocabulary grown by random merges over `letters`, each a character of UTF-8.
BpeSpec random_spec(std::mt19937& rng, const std::vector<std::string>& letters, size_t merges) {
    BpeSpec spec;
    spec.unk_token = letters[0];  // nothing is dropped, so that texts may be cut at word marks
    std::vector<std::string> tokens = letters;
    std::map<std::string, int32_t> ids;
    for (const std::string& letter : letters) ids.emplace(letter, static_cast<int32_t>(ids.size()));
    for (size_t i = 0; i < merges; ++i) {
        const std::string left = tokens[rng() % tokens.size()], right = tokens[rng() % tokens.size()];
        spec.merge_left.push_back(left);
        spec.merge_right.push_back(right);
        if (ids.emplace(left + right, static_cast<int32_t>(ids.size())).second) tokens.push_back(left + right);
    }
    for (const auto& [token, id] : ids) {
        spec.tokens.push_back(token);
        spec.ids.push_back(id);
    }
    return spec;
}

// The definition: of all adjacent pairs, the one of lowest rank, leftmost; again until there is none. A pair listed
// twice has its last rank.
std::vector<int32_t> naive(const BpeSpec& spec, std::vector<std::string> symbols) {
    std::map<std::pair<std::string, std::string>, size_t> ranks;
    for (size_t i = 0; i < spec.merge_left.size(); ++i) {
        ranks[{std::string(spec.merge_left[i]), std::string(spec.merge_right[i])}] = i;
    }
    while (true) {
        size_t best = symbols.size(), best_rank = SIZE_MAX;
        for (size_t i = 0; i + 1 < symbols.size(); ++i) {
            const auto it = ranks.find({symbols[i], symbols[i + 1]});
            if (it != ranks.end() && it->second < best_rank) {
                best = i;
                best_rank = it->second;
            }
        }
        if (best == symbols.size()) break;
        symbols[best] += symbols[best + 1];
        symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
    }
    std::map<std::string, int32_t> ids;
    for (size_t i = 0; i < spec.tokens.size(); ++i) ids[std::string(spec.tokens[i])] = spec.ids[i];
    std::vector<int32_t> out;
    for (const std::string& symbol : symbols) out.push_back(ids.at(symbol));
    return out;
}

std::vector<std::string> random_symbols(std::mt19937& rng, const std::vector<std::string>& letters, size_t count) {
    std::vector<std::string> out;
    for (size_t i = 0; i < count; ++i) out.push_back(letters[rng() % letters.size()]);
    return out;
}

std::string join(const std::vector<std::string>& symbols) {
    std::string out;
    for (const std::string& symbol : symbols) out += symbol;
    return out;
}

}  // namespace

TEST_CASE("merges follow the definition, in short words, long words and out of the cache") {
    std::mt19937 rng(5);
    const std::vector<std::string> letters = {"a", "b", "c", "\xC3\xA9", "\xE2\x96\x81"};
    for (int vocabulary = 0; vocabulary < 60; ++vocabulary) {
        const BpeSpec spec = random_spec(rng, letters, 3 + rng() % 60);
        const Bpe bpe(spec, false, "test");
        BpeScratch scratch;
        for (int round = 0; round < 60; ++round) {
            const auto symbols = random_symbols(rng, letters, 1 + rng() % (round % 3 ? 9 : 150));
            const std::string word = join(symbols);
            const std::vector<int32_t> expected = naive(spec, symbols);
            for (int again = 0; again < 2; ++again) {  // the second time, short words come from the cache
                std::vector<int32_t> ids = {-7};
                bpe.encode(word, scratch, ids);
                REQUIRE(ids.front() == -7);
                REQUIRE(std::vector<int32_t>(ids.begin() + 1, ids.end()) == expected);
            }
            std::vector<int32_t> uncut;
            bpe.encode_uncut(word, scratch, uncut);
            REQUIRE(uncut == expected);
        }
    }
}

TEST_CASE("text is cut at word marks only where no merge reaches across") {
    BpeSpec spec;
    spec.unk_token = "a";
    for (const char* token : {"a", "b", "\xE2\x96\x81",
                              "\xE2\x96\x81"
                              "a",
                              "\xE2\x96\x81\xE2\x96\x81", "ab"}) {
        spec.ids.push_back(static_cast<int32_t>(spec.tokens.size()));
        spec.tokens.push_back(token);
    }
    const auto merge = [&](const char* left, const char* right) {
        spec.merge_left.push_back(left);
        spec.merge_right.push_back(right);
    };
    merge("\xE2\x96\x81", "a");
    merge("\xE2\x96\x81", "\xE2\x96\x81");
    merge("a", "b");
    BpeScratch scratch;
    const auto words = [&](const Bpe& bpe) {
        std::vector<int32_t> ids;
        bpe.encode_uncut(
            "\xE2\x96\x81"
            "ab\xE2\x96\x81\xE2\x96\x81"
            "b",
            scratch, ids);
        scratch.cache.clear();
        return ids;
    };
    CHECK(words(Bpe(spec, false, "test")) == std::vector<int32_t>{3, 1, 4, 1});
    spec.tokens.push_back("b\xE2\x96\x81");  // now a word can end in the mark of the next one
    spec.ids.push_back(6);
    merge("b", "\xE2\x96\x81");
    std::vector<int32_t> whole;
    Bpe across(spec, false, "test");
    across.encode(
        "\xE2\x96\x81"
        "ab\xE2\x96\x81\xE2\x96\x81"
        "b",
        scratch, whole);
    scratch.cache.clear();
    CHECK(words(across) == whole);
    BpeSpec first = spec;  // the same with the crossing merge of lowest rank: cutting would change the ids
    first.merge_left = {}, first.merge_right = {};
    first.merge_left.push_back("b"), first.merge_right.push_back("\xE2\x96\x81");
    CHECK(words(Bpe(first, false, "test")) == std::vector<int32_t>{2, 0, 6, 2, 1});
}

TEST_CASE("the cache tells words apart by all of their bytes") {
    std::mt19937 rng(9);
    WordCache cache;
    std::map<std::string, int32_t> stored;
    size_t hits = 0;
    for (int round = 0; round < 400000; ++round) {
        std::string word;
        const size_t length = 1 + rng() % WordCache::kWordBytesMax;
        for (size_t i = 0; i < length; ++i)
            word.push_back(static_cast<char>(rng() % 8 == 0 ? 'b' : 'a') - (rng() % 16 == 0 ? 'a' : 0));
        bool hit = false;
        WordCache::Entry& entry = cache.place(word, hit);
        if (hit) {
            ++hits;
            REQUIRE(entry.ids[0] == stored.at(word));
        } else {
            entry.ids[0] = stored[word] = round;
            entry.count = 1;
        }
    }
    CHECK(hits > 100000);
}
