// Measures the tokenizer in a fresh process: loads a tokenizer.json, cuts text files into documents, encodes them with
// OpenMP threads. Usage: tokenizer_speed TOKENIZER_JSON THREADS LINES_PER_DOCUMENT TEXT_FILE... Prints one JSON line:
// seconds to load and to encode, bytes, documents, tokens, and a hash of all ids in order.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/base/error.hpp"
#include "runtime/text/tokenizer.hpp"

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Documents of `lines` lines each, the newlines included; 0: the whole text is one. The same rule as in
// tokenizer_speed.py.
std::vector<std::string_view> cut_documents(std::string_view text, size_t lines) {
    std::vector<std::string_view> out;
    size_t begin = 0, seen = 0;
    for (size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '\n' || lines == 0 || ++seen < lines) continue;
        out.push_back(text.substr(begin, i + 1 - begin));
        begin = i + 1;
        seen = 0;
    }
    if (begin < text.size()) out.push_back(text.substr(begin));
    return out;
}

int measure(const std::string& tokenizer_path, int threads, size_t lines, const std::vector<std::string>& files) {
    std::string text;
    for (const std::string& file : files) {
        std::ifstream in(file, std::ios::binary);
        text.append(std::istreambuf_iterator<char>(in), {});
    }
    const std::vector<std::string_view> documents = cut_documents(text, lines);

    const auto load_start = Clock::now();
    const argosy::Tokenizer tokenizer = argosy::load_tokenizer(tokenizer_path);
    const double load_seconds = seconds_since(load_start);

    std::vector<std::vector<int32_t>> ids(documents.size());
    const auto encode_start = Clock::now();
#pragma omp parallel num_threads(threads)
    {
        argosy::EncodeScratch scratch;
#pragma omp for schedule(dynamic, 16)
        for (size_t i = 0; i < documents.size(); ++i) argosy::encode(tokenizer, scratch, documents[i], false, ids[i]);
    }
    const double encode_seconds = seconds_since(encode_start);

    uint64_t hash = 0;  // h = h * 1000003 + id + 1 over all ids, modulo 2^64
    size_t tokens = 0;
    for (const auto& list : ids) {
        for (const int32_t id : list) hash = hash * 1000003u + static_cast<uint64_t>(id) + 1;
        tokens += list.size();
    }
    fmt::print(
        "{{\"load_seconds\": {:.6f}, \"encode_seconds\": {:.6f}, \"bytes\": {}, \"documents\": {}, \"tokens\": {}, "
        "\"hash\": \"{:016x}\"}}\n",
        load_seconds, encode_seconds, text.size(), documents.size(), tokens, hash);
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 5) {
        std::fputs("usage: tokenizer_speed TOKENIZER_JSON THREADS LINES_PER_DOCUMENT TEXT_FILE...\n", stderr);
        return 64;
    }
    try {
        return measure(argv[1], std::max(1, std::stoi(argv[2])), std::stoul(argv[3]), {argv + 4, argv + argc});
    } catch (const argosy::Error& e) {
        std::fprintf(stderr, "%s\n", e.what());
        return argosy::exit_status(e.kind());
    } catch (const std::exception& e) {
        std::fprintf(stderr, "tokenizer_speed: an argument is not a number (%s).\n", e.what());
        return 64;
    }
}
