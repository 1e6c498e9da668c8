// Tests of decoding: incremental text equals the whole text, never ends inside a character, and both follow the
// definition.
#include <catch2/catch.hpp>
#include <random>

#include "runtime/text/detokenizer.hpp"
#include "runtime/text/tokenizer.hpp"
#include "runtime/text/utf8.hpp"
#include "tests/runtime/text/text_cases.hpp"
#include "tests/support/shared_data.hpp"

namespace {

using namespace argosy;

Tokenizer load(const test::TempDir& dir, const std::string& decoder, const std::vector<std::string>& tokens) {
    std::string vocab;
    for (size_t i = 0; i < tokens.size(); ++i) vocab += (i ? ", \"" : "\"") + tokens[i] + "\": " + std::to_string(i);
    test::write_text_file(dir.path() / "tokenizer.json",
                          R"({"added_tokens": [{"id": 2, "content": "</s>", "special": true}], "decoder": )" + decoder +
                              R"(, "model": {"type": "BPE", "vocab": {)" + vocab + R"(}, "merges": []}})");
    return load_tokenizer(dir.path() / "tokenizer.json");
}

const char* const kLlamaDecoder =
    R"({"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
    {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]})";

const std::vector<std::string> kLlamaTokens = {"a",      "▁",      "</s>",   "▁b",     "▁▁",
                                               "<0x20>", "<0x41>", "<0xC3>", "<0xA9>", "<0xE2>",
                                               "<0x82>", "<0xAC>", "<0xF0>", "é",      "x▁y"};

// The Llama decoder by its definition: tokens, then runs of bytes, then one text, then one space off its front.
std::string naive_llama(const std::vector<int32_t>& ids, bool skip_special) {
    std::string text, run;
    const auto end_run = [&] {
        if (is_valid_utf8(run)) {
            text += run;
        } else {
            for (size_t i = 0; i < run.size(); ++i) text += "\uFFFD";
        }
        run.clear();
    };
    for (const int32_t id : ids) {
        if (id < 0 || static_cast<size_t>(id) >= kLlamaTokens.size() || (skip_special && id == 2)) continue;
        std::string token = kLlamaTokens[id];
        if (token.starts_with("<0x")) {
            run.push_back(static_cast<char>(std::stoi(token.substr(3, 2), nullptr, 16)));
            continue;
        }
        end_run();
        for (size_t at; (at = token.find("▁")) != token.npos;) token.replace(at, 3, " ");
        text += token;
    }
    end_run();
    return text.starts_with(" ") ? text.substr(1) : text;
}

// Pushes `ids`, checks that every piece is whole characters, and returns all of the text.
std::string pushed(const Tokenizer& tokenizer, const std::vector<int32_t>& ids, bool skip_special) {
    IncrementalDetokenizer detokenizer(tokenizer, skip_special);
    std::string out;
    for (const int32_t id : ids) {
        const std::string piece = detokenizer.push(id);
        REQUIRE(is_valid_utf8(piece));
        out += piece;
    }
    return out + detokenizer.finish();
}

}  // namespace

TEST_CASE("the byte fallback decoder, whole and id by id, follows its definition") {
    const test::TempDir dir;
    const Tokenizer tokenizer = load(dir, kLlamaDecoder, kLlamaTokens);
    std::mt19937 rng(17);
    for (int round = 0; round < 20000; ++round) {
        std::vector<int32_t> ids;
        for (size_t n = rng() % 10; n > 0; --n)
            ids.push_back(static_cast<int32_t>(rng() % (kLlamaTokens.size() + 2)) - 1);
        const bool skip = rng() % 2;
        const std::string expected = naive_llama(ids, skip);
        REQUIRE(decode(tokenizer, ids, skip) == expected);
        REQUIRE(pushed(tokenizer, ids, skip) == expected);
    }
}

TEST_CASE("text leaves as soon as it is certain") {
    const test::TempDir dir;
    const Tokenizer tokenizer = load(dir, kLlamaDecoder, kLlamaTokens);
    IncrementalDetokenizer detokenizer(tokenizer, true);
    CHECK(detokenizer.push(3) == "b");
    CHECK(detokenizer.push(3) == " b");
    CHECK(detokenizer.push(7) == "");
    CHECK(detokenizer.push(8) == "");
    CHECK(detokenizer.push(0) ==
          "\u00e9"
          "a");
    CHECK(detokenizer.push(12) == "");
    CHECK(detokenizer.finish() == "\uFFFD");

    const std::vector<int32_t> prompt = {3, 7};
    IncrementalDetokenizer after(tokenizer, true, prompt);
    CHECK(after.push(8) == "");
    CHECK(after.push(3) == "\u00e9 b");  // the space stays: the text does not begin here

    const Tokenizer bytes = load(dir, R"({"type": "ByteLevel"})", {"a", "Ġb", "</s>", "Ã", "©", "â", "Ĥ", "¬", "a b"});
    IncrementalDetokenizer level(bytes, false);
    CHECK(level.push(5) == "");
    CHECK(level.push(6) == "");
    CHECK(level.push(7) == "\u20ac");
    CHECK(level.push(3) == "");
    CHECK(level.push(1) == "\uFFFD b");
    CHECK(level.push(8) == "a b");
    CHECK(level.push(4) == "\uFFFD");
    CHECK(level.push(2) == "</s>");
    CHECK(level.finish() == "");
}

TEST_CASE("tokens as bytes and as text for logprobs") {
    const test::TempDir dir;
    const Tokenizer llama = load(dir, kLlamaDecoder, kLlamaTokens);
    CHECK(token_text(llama, 3) == " b");
    CHECK(token_text(llama, 6) == "A");
    CHECK(token_text(llama, 8) == "bytes:\\xa9");
    CHECK(token_bytes(llama, 8) == "\xA9");
    CHECK(token_text(llama, 2) == "</s>");
    CHECK(token_text(llama, 99) == "");
    CHECK(token_text(llama, -1) == "");
    CHECK(is_special(llama, 2));
    CHECK_FALSE(is_special(llama, 3));
    CHECK_FALSE(is_special(llama, 1 << 30));
    CHECK(llama.vocab_size == 15);
    CHECK(token_to_id(llama, "▁b") == 3);
    CHECK(token_to_id(llama, "</s>") == 2);
    CHECK_FALSE(token_to_id(llama, "nothing"));
    CHECK(id_to_token(llama, 3) == "▁b");
    const Tokenizer bytes = load(dir, R"({"type": "ByteLevel"})", {"a", "Ġb", "</s>", "Ã", "©", "Ã©"});
    CHECK(token_text(bytes, 1) == " b");
    CHECK(token_text(bytes, 5) == "\u00e9");
    CHECK(token_text(bytes, 3) == "bytes:\\xc3");
    // An added token is text: "ö" is not byte 0xF6 of the alphabet.
    test::write_text_file(dir.path() / "tokenizer.json",
                          R"({"added_tokens": [{"id": 1, "content": "ö"}], "decoder": {"type": "ByteLevel"},
                              "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false},
                              "model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}})");
    const Tokenizer added = load_tokenizer(dir.path() / "tokenizer.json");
    CHECK(encode(added, "a\u00f6", false) == std::vector<int32_t>{0, 1});
    CHECK(decode(added, std::vector<int32_t>{0, 1}, false) == "a\u00f6");
    CHECK(token_text(added, 1) == "\u00f6");
}

TEST_CASE("incremental text equals the whole text for random ids of real vocabularies") {
    for (const test::SharedTokenizer& shared : test::kSharedTokenizers) {
        if (!test::have_shared(shared.file, "incremental text of real vocabularies")) return;
        const Tokenizer tokenizer = load_tokenizer(*test::shared_dir() / shared.file);
        std::mt19937 rng(19);
        for (int round = 0; round < 1500; ++round) {
            std::vector<int32_t> ids;
            for (size_t n = rng() % 30; n > 0; --n) {  // half of them low: there the byte tokens are
                ids.push_back(static_cast<int32_t>(rng() % (rng() % 2 ? 300 : tokenizer.vocab_size + 10)));
            }
            const bool skip = rng() % 2;
            const std::string whole = decode(tokenizer, ids, skip);
            REQUIRE(is_valid_utf8(whole));
            REQUIRE(pushed(tokenizer, ids, skip) == whole);
        }
    }
}
