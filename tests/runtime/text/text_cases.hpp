// What the text tests share: tokenizer files of the reference data, the small cases beside the tests, random text.
#pragma once

#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

namespace argosy::test {

inline std::string read_text_file(const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

inline void write_text_file(const std::filesystem::path& path, const std::string& text) {
    std::ofstream(path, std::ios::binary) << text;
}

// The tokenizer files of the reference data, relative to its folder. One list: every test of real vocabularies goes
// over it.
struct SharedTokenizer {
    const char* family;  // golden vectors are golden/FAMILY.jsonl
    const char* file;
    bool lossless;  // decode(encode(text)) is text, for text in NFC without special tokens
};
inline constexpr SharedTokenizer kSharedTokenizers[] = {
    {"gpt2", "tokenizers/gpt2/tokenizer.json", true},
    {"qwen2", "tokenizers/qwen2/tokenizer.assembled.json", true},
    {"qwen3", "tokenizers/qwen3/tokenizer.assembled.json", true},
    {"llama3", "tokenizers/llama3/tokenizer.assembled.json", true},
    {"o200k", "tokenizers/o200k/tokenizer.assembled.json", true},
    {"olmoe", "tokenizers/olmoe/tokenizer.json", true},
    {"dolma2", "tokenizers/olmoe/dolma2-tokenizer.json", true},
    {"deepseek-v2", "tokenizers/deepseek-v2/tokenizer.assembled.json", true},
    {"llama2", "tokenizers/llama2/tokenizer.assembled.json", true},
    {"stories260K", "models-raw/stories260K-hf/tokenizer.json", true},
};

// Characters that split patterns, normalization and UTF-8 treat differently from one another.
inline const std::vector<std::string>& tricky_characters() {
    static const std::vector<std::string> list = {
        " ",
        " ",
        "\t",
        "\n",
        "\r",
        "\r\n",
        "\x0B",
        "\xC2\x85",
        "\xC2\xA0",
        "\xE2\x80\x83",
        "\xE3\x80\x80",
        "\xE1\xA0\x8E",
        "\xE2\x80\x8B",
        "a",
        "b",
        "e",
        "s",
        "S",
        "t",
        "T",
        "d",
        "m",
        "l",
        "L",
        "v",
        "r",
        "R",
        "E",
        "Z",
        "'",
        "'",
        "\xE2\x80\x99",
        "\xC5\xBF",
        "\xC3\xA9",
        "\xC3\x80",
        "\xC7\x85",
        "\xCA\xB0",
        "\xC2\xAA",
        "\xE2\x84\xAA",
        "\xD0\x96",
        "\xD7\xA9",
        "\xD6\xB4",
        "\xCC\x81",
        "\xE0\xA4\x83",
        "\xE2\x83\x9D",
        "0",
        "1",
        "9",
        "\xC2\xBD",
        "\xC2\xB2",
        "\xE2\x85\xA7",
        "\xD9\xA3",
        "\xEF\xBC\x95",
        "!",
        "?",
        ".",
        ",",
        "/",
        "-",
        "_",
        "(",
        "<",
        "|",
        ">",
        "$",
        "+",
        "\xE4\xB8\xAD",
        "\xE6\x96\x87",
        "\xE3\x81\x82",
        "\xED\x95\x9C",
        "\xF0\x9F\x98\x80",
        "\xF0\x9F\x8F\xBD",
        "\xF0\x90\x90\x80",
        "\xEF\xBB\xBF",
        "\xE2\x96\x81",
        std::string(1, '\0'),
        "\x7F",
    };
    return list;
}

inline std::string random_text(std::mt19937& rng, size_t characters) {
    const auto& list = tricky_characters();
    std::string out;
    const size_t first = rng() % list.size();
    for (size_t i = 0; i < characters; ++i) {  // half of the characters from a narrow choice, so that runs happen
        out += rng() % 2 ? list[rng() % list.size()] : list[(first + rng() % 4) % list.size()];
    }
    return out;
}

}  // namespace argosy::test
