// Tests of real vocabularies: published ids and texts, and text that comes back unchanged.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>

#include "runtime/text/tokenizer.hpp"
#include "tests/runtime/text/text_cases.hpp"
#include "tests/support/shared_data.hpp"

namespace {

using namespace argosy;
using nlohmann::json;

// The published decoded texts come from transformers' decode: special tokens left out, then
// "clean_up_tokenization_spaces", which takes spaces away before some marks. Argosy gives text as the model wrote it,
// so the clean-up is done here.
std::string cleaned_up(std::string text) {
    const std::pair<const char*, const char*> rules[] = {{" .", "."},     {" ?", "?"},     {" !", "!"},   {" ,", ","},
                                                         {" ' ", "'"},    {" n't", "n't"}, {" 'm", "'m"}, {" 's", "'s"},
                                                         {" 've", "'ve"}, {" 're", "'re"}};
    for (const auto& [from, to] : rules) {
        for (size_t at; (at = text.find(from)) != text.npos;) text.replace(at, std::string(from).size(), to);
    }
    return text;
}

}  // namespace

TEST_CASE("published ids and decoded texts are reproduced") {
    size_t vectors = 0;
    for (const test::SharedTokenizer& shared : test::kSharedTokenizers) {
        if (!test::have_shared(shared.file, "published ids")) return;
        const auto golden = *test::shared_dir() / "tokenizers/golden" / (std::string(shared.family) + ".jsonl");
        if (!std::filesystem::exists(golden)) continue;
        const Tokenizer tokenizer = load_tokenizer(*test::shared_dir() / shared.file);
        std::istringstream lines(test::read_text_file(golden));
        for (std::string line; std::getline(lines, line); ++vectors) {
            const json vector = json::parse(line);
            INFO(line);
            const auto ids = vector["ids"].get<std::vector<int32_t>>();
            const auto text = vector["text"].get<std::string>();
            CHECK(encode(tokenizer, text, vector["add_special"].get<bool>()) == ids);
            if (vector.contains("decoded")) {
                const bool cleans = shared.family != std::string("llama2");  // as their tokenizer_config.json files say
                const std::string decoded = decode(tokenizer, ids, true);
                CHECK((cleans ? cleaned_up(decoded) : decoded) == vector["decoded"].get<std::string>());
            }
            if (shared.lossless) CHECK(decode(tokenizer, ids, true) == text);
        }
    }
    CHECK(vectors >= 274);
}

TEST_CASE("text comes back unchanged") {
    if (!test::have_shared("prompts/corpora", "text comes back")) return;
    for (const test::SharedTokenizer& shared : test::kSharedTokenizers) {
        const Tokenizer tokenizer = load_tokenizer(*test::shared_dir() / shared.file);
        EncodeScratch scratch;
        for (const char* name : {"war-and-peace-en.txt", "pg4791-verne-fr.txt", "pg23950-three-kingdoms-zh.txt"}) {
            const std::string book = test::read_text_file(*test::shared_dir() / "prompts/corpora" / name);
            const std::string text = book.substr(0, book.find('\n', 300000));
            std::vector<int32_t> ids;
            encode(tokenizer, scratch, text, false, ids);
            INFO(shared.file << " " << name);
            CHECK((decode(tokenizer, ids, false) == text));  // as one truth value: a book is too long to print
            CHECK(ids.size() < text.size());
        }
    }
}

TEST_CASE("threads that share a tokenizer get the ids of one thread alone") {
    const char* file = "tokenizers/llama3/tokenizer.assembled.json";
    if (!test::have_shared(file, "threads")) return;
    const Tokenizer tokenizer = load_tokenizer(*test::shared_dir() / file);
    std::mt19937 rng(23);
    std::vector<std::string> texts;
    for (int i = 0; i < 3000; ++i) texts.push_back(test::random_text(rng, 1 + rng() % 60));
    std::vector<std::vector<int32_t>> together(texts.size());
#pragma omp parallel num_threads(4)
    {
        EncodeScratch scratch;
#pragma omp for schedule(dynamic, 7)
        for (size_t i = 0; i < texts.size(); ++i) encode(tokenizer, scratch, texts[i], true, together[i]);
    }
    for (size_t i = 0; i < texts.size(); ++i) REQUIRE(together[i] == encode(tokenizer, texts[i], true));
}
