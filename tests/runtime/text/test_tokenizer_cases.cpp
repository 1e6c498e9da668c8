// Tests of every kind of step and flag: small tokenizer.json documents with the ids and texts that the Python package
// gives.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <sstream>

#include "runtime/text/detokenizer.hpp"
#include "runtime/text/tokenizer.hpp"
#include "tests/runtime/text/text_cases.hpp"
#include "tests/support/shared_data.hpp"

namespace {

using namespace argosy;
using nlohmann::json;

std::string pushed(const Tokenizer& tokenizer, const std::vector<int32_t>& ids, bool skip_special) {
    IncrementalDetokenizer detokenizer(tokenizer, skip_special);
    std::string out;
    for (const int32_t id : ids) out += detokenizer.push(id);
    return out + detokenizer.finish();
}

}  // namespace

TEST_CASE("small tokenizers give the ids and texts of the tokenizers package") {
    const test::TempDir dir;
    std::istringstream lines(test::read_text_file(test::source_dir() / "tests/runtime/text/tokenizer_cases.jsonl"));
    std::string line;
    REQUIRE(std::getline(lines, line));
    const json common = json::parse(line);
    const auto texts = common["texts"].get<std::vector<std::string>>();
    EncodeScratch scratch;  // one for all: it must not mix up the words of different tokenizers
    size_t cases = 0;
    while (std::getline(lines, line)) {
        json c = json::parse(line);
        json& document = c["tokenizer"];
        document["model"] = json(common["models"][document["model"].get<size_t>()]);
        test::write_text_file(dir.path() / "tokenizer.json", document.dump());
        const Tokenizer tokenizer = load_tokenizer(dir.path() / "tokenizer.json");
        for (size_t i = 0; i < texts.size(); ++i) {
            const json& result = c["results"][i];
            const auto expected = result[1].get<std::vector<int32_t>>();
            INFO("case: " << c["name"] << ", text: " << json(texts[i]));
            std::vector<int32_t> ids;
            encode(tokenizer, scratch, texts[i], result[0].get<bool>(), ids);
            REQUIRE(ids == expected);
            REQUIRE(decode(tokenizer, ids, false) == result[2].get<std::string>());
            REQUIRE(decode(tokenizer, ids, true) == result[3].get<std::string>());
            REQUIRE(pushed(tokenizer, ids, false) == result[2].get<std::string>());
            REQUIRE(pushed(tokenizer, ids, true) == result[3].get<std::string>());
        }
        ++cases;
    }
    CHECK(cases > 70);
}

TEST_CASE("text that is not UTF-8 is read with replacement characters") {
    const test::TempDir dir;
    test::write_text_file(dir.path() / "tokenizer.json",
                          R"({"model": {"type": "BPE", "vocab": {"a": 0, "\ufffd": 1, "aa": 2}, "merges": ["a a"]}})");
    const Tokenizer tokenizer = load_tokenizer(dir.path() / "tokenizer.json");
    CHECK(encode(tokenizer,
                 "aa\xFF"
                 "a\xE2\x82",
                 false) == std::vector<int32_t>{2, 1, 0, 1});
}
