// Tests of malformed tokenizer.json files: each gives an Error(input) that names the file and says what is wrong; none
// gives a crash.
#include <catch2/catch.hpp>
#include <random>

#include "kernels/base/error.hpp"
#include "runtime/text/tokenizer.hpp"
#include "tests/runtime/text/text_cases.hpp"
#include "tests/support/shared_data.hpp"

namespace {

using namespace argosy;

// A document with one member after another replaced.
std::string document(const std::string& model_extra, const std::string& rest) {
    return R"({"model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"])" + model_extra + "}" +
           rest + "}";
}

// The sentence of the Error that loading `text` gives.
std::string error_of(const test::TempDir& dir, const std::string& text) {
    test::write_text_file(dir.path() / "tokenizer.json", text);
    try {
        load_tokenizer(dir.path() / "tokenizer.json");
    } catch (const Error& e) {
        CHECK(e.kind() == ErrorKind::input);
        CHECK(std::string(e.what()).find("tokenizer.json") != std::string::npos);
        return e.what();
    }
    return "no error";
}

}  // namespace

TEST_CASE("a wrong tokenizer.json is refused with a sentence") {
    const test::TempDir dir;
    REQUIRE(error_of(dir, document("", "")) == "no error");
    struct Wrong {
        std::string text;
        const char* says;
    };
    const std::string split = R"(, "pre_tokenizer": {"type": "Split", "pattern": )";
    const Wrong list[] = {
        {"", "not valid JSON"},
        {"[1]", "not a JSON object"},
        {"7", "not a JSON object"},
        {"{}", "no \"model\""},
        {R"({"model": 3})", "not an object"},
        {R"({"model": {"type": "WordPiece"}})", "\"WordPiece\""},
        {R"({"model": {"type": "Unigram", "vocab": [["a", 0.5]]}})", "\"Unigram\""},
        {R"({"model": {"type": "BPE", "merges": []}})", "model.vocab is missing"},
        {R"({"model": {"type": "BPE", "vocab": {}}})", "model.merges is missing"},
        {R"({"model": {"vocab": {"a": "b"}, "merges": []}})", "not an id"},
        {R"({"model": {"vocab": {"a": {}}, "merges": []}})", "not an id"},
        {R"({"model": {"vocab": {"a": -1}, "merges": []}})", "outside 0"},
        {R"({"model": {"vocab": {"a": 99999999999}, "merges": []}})", "outside 0"},
        {R"({"model": {"vocab": {"a": 18446744073709551615}, "merges": []}})", "outside 0"},
        {R"({"model": {"vocab": {"a": 2147483647}, "merges": []}})", "outside 0"},
        {R"({"model": {"vocab": {"a": 1.5}, "merges": []}})", "not an id"},
        {R"({"model": {"vocab": {"a": 0, "b": 0}, "merges": []}})", "both \"a\" and \"b\""},
        {R"({"model": {"vocab": {"a": 0, "a": 1}, "merges": []}})", "twice"},
        {R"({"model": {"vocab": {"a": 0}, "merges": ["a a"]}})", "\"aa\", which is not"},
        {R"({"model": {"vocab": {"a": 0}, "merges": ["a c"]}})", "\"c\", which is not"},
        {R"({"model": {"vocab": {"a": 0}, "merges": ["aa"]}})", "not two tokens"},
        {R"({"model": {"vocab": {"a": 0}, "merges": ["a a a"]}})", "not two tokens"},
        {R"({"model": {"vocab": {"a": 0}, "merges": [["a"]]}})", "not two tokens"},
        {R"({"model": {"vocab": {"a": 0}, "merges": [["a", "a", "a"]]}})", "not two tokens"},
        {R"({"model": {"vocab": {"a": 0}, "merges": [["a", 1]]}})", "not two tokens"},
        {R"({"model": {"vocab": {"a": 0}, "merges": [1]}})", "not two tokens"},
        {R"({"model": {"vocab": {"a": 0}, "merges": [{"a": 1}]}})", "not two tokens"},
        {R"({"model": {"vocab": {"a": 0}, "merges": {"a": 1}}})", "model.merges is object"},
        {document(R"(, "unk_token": "zz")", ""), "\"zz\""},
        {document(R"(, "dropout": 0.1)", ""), "dropout"},
        {document(R"(, "end_of_word_suffix": "</w>")", ""), "</w>"},
        {document(R"(, "fuse_unk": 1)", ""), "fuse_unk is number"},
        {document("", R"(, "added_tokens": {})"), "added_tokens is object"},
        {document("", R"(, "added_tokens": [{"id": -3, "content": "x"}])"), "is -3, outside"},
        {document("", R"(, "added_tokens": [{"id": 4294967296, "content": "x"}])"), "outside"},
        {document("", R"(, "added_tokens": [{"id": 5}])"), "content is missing"},
        {document("", R"(, "added_tokens": [{"id": 5, "content": "a"}])"), "model.vocab gives it 0"},
        {document("", R"(, "added_tokens": [{"id": 1, "content": "x"}])"), "id 1 is both \"b\" and \"x\""},
        {document("", R"(, "added_tokens": [{"id": 5, "content": "x"}, {"id": 6, "content": "x"}])"), "ids 5 and 6"},
        {document("", R"(, "normalizer": {"type": "Lowercase"})"), "\"Lowercase\""},
        {document("", R"(, "normalizer": {"type": "Sequence", "normalizers": {}})"), "normalizers is object"},
        {document("", R"(, "normalizer": {"type": "Replace", "pattern": {"Regex": "("}, "content": ""})"), "PCRE2"},
        {document("", R"(, "pre_tokenizer": {"type": "Whitespace"})"), "\"Whitespace\""},
        {document("", R"(, "pre_tokenizer": [])"), "not an object"},
        {document("", split + R"({"Regex": "[a"}, "behavior": "Isolated"})"), "PCRE2"},
        {document("", split + R"({"Regex": ""}, "behavior": "Isolated"})"), "is empty"},
        {document("", split + R"("a", "behavior": "Isolated"})"), "pattern is string"},
        {document("", split + R"({"String": "a"}, "behavior": "Merged"})"), "\"Merged\""},
        {document(
             "",
             R"(, "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "ByteLevel"}, {"type": "Digits"}]})"),
         "last one"},
        {document("", R"(, "pre_tokenizer": {"type": "Metaspace", "replacement": "ab"})"), "one character"},
        {document("", R"(, "post_processor": {"type": "BertProcessing"})"), "\"BertProcessing\""},
        {document("", R"(, "post_processor": {"type": "TemplateProcessing", "single": [], "special_tokens": {}})"),
         "leaves the text out"},
        {document(
             "",
             R"(, "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "x"}}, {"Sequence": {"id": "A"}}],
                           "special_tokens": {"x": {"id": "x", "ids": [77]}}})"),
         "adds id 77"},
        {document("", R"(, "post_processor": {"type": "Sequence", "processors": [
                           {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A"}}]},
                           {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A"}}]}]})"),
         "second template"},
        {document("", R"(, "decoder": {"type": "WordPiece"})"), "\"WordPiece\""},
        {document("", R"(, "decoder": {"type": "Strip", "content": " ", "start": -1, "stop": 0})"), "start is -1"},
        {document("", R"(, "decoder": {"type": "Sequence", "decoders": [{"type": "Fuse"}, {"type": "ByteFallback"}]})"),
         "whole text at once"},
    };
    for (const Wrong& wrong : list) {
        const std::string sentence = error_of(dir, wrong.text);
        INFO("file: " << wrong.text << "\nsentence: " << sentence);
        CHECK(sentence.find(wrong.says) != std::string::npos);
    }
    std::string deep = R"({"type": "NFC"})";
    for (int i = 0; i < 100000; ++i) deep = R"({"type":"Sequence","normalizers":[)" + std::move(deep) + "]}";
    CHECK(error_of(dir, document("", ", \"normalizer\": " + deep)).find("deep") != std::string::npos);
    CHECK_THROWS_AS(load_tokenizer(dir.path() / "absent.json"), Error);
    CHECK_THROWS_AS(load_tokenizer(dir.path()), Error);
}

TEST_CASE("a tokenizer.json cut short or with bytes changed loads or is refused, and never crashes") {
    const test::TempDir dir;
    const std::string whole =
        document(R"(, "unk_token": "a", "fuse_unk": false)",
                 R"(, "added_tokens": [{"id": 7, "content": "<x>", "special": true, "lstrip": true}],
             "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Replace", "pattern": {"String": " "}, "content": "b"}]},
             "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "\\s+|[^a]"}, "behavior": "MergedWithNext", "invert": true},
             "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<x>"}}, {"Sequence": {"id": "A"}}],
                                "special_tokens": {"<x>": {"id": "<x>", "ids": [7], "tokens": ["<x>"]}}},
             "decoder": {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": "b", "start": 1, "stop": 0}]})");
    REQUIRE(error_of(dir, whole) == "no error");
    for (size_t n = 0; n < whole.size(); ++n) REQUIRE(error_of(dir, whole.substr(0, n)) != "no error");
    std::mt19937 rng(13);
    size_t loaded = 0;
    for (int round = 0; round < 4000; ++round) {
        std::string changed = whole;
        for (size_t n = 1 + rng() % 3; n > 0; --n) {
            const char replacement[] = "\"{}[]:,0179-ab<>\\ \xE2tfn";
            changed[rng() % changed.size()] = replacement[rng() % (sizeof replacement - 1)];
        }
        if (error_of(dir, changed) != "no error") continue;
        ++loaded;
        const Tokenizer tokenizer = load_tokenizer(dir.path() / "tokenizer.json");
        const std::vector<int32_t> ids = encode(tokenizer, "ab <x> abba \xC3\xA9 b", true);
        decode(tokenizer, ids, false);
    }
    CHECK(loaded > 100);
    CHECK(loaded < 3900);
}
