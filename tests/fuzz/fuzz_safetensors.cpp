// Fuzzes the header of a safetensors file and the index of a checkpoint of several files.
#include <algorithm>

#include "runtime/model/safetensors.hpp"
#include "tests/fuzz/fuzz_input.hpp"

using namespace argosy;

namespace {

// The header as it stands in a file: its length before it, tensor bytes behind it.
void whole_file(std::string_view header, std::int64_t data_bytes) {
    CheckpointHeaders headers;
    headers.folder = "model";
    CheckpointHeaders::File& file = headers.files.emplace_back();
    file.name = std::string(kCheckpointSingle);
    for (int byte = 0; byte < 8; ++byte) file.prefix += static_cast<char>(header.size() >> (8 * byte));
    file.prefix += header;
    file.bytes = static_cast<std::int64_t>(file.prefix.size()) + data_bytes;
    parse_checkpoint(headers);
}

// The first bytes as somebody found them.
void raw_file(std::string_view bytes, std::int64_t data_bytes) {
    const std::int64_t file_bytes = static_cast<std::int64_t>(bytes.size()) + data_bytes;
    const std::int64_t header = safetensors_header_bytes(bytes, file_bytes);
    if (header < 0 || header > file_bytes) std::abort();
    // As the reader of headers does: no more is passed on than the header, and it may end before.
    const std::string prefix(bytes.substr(0, static_cast<std::size_t>(kSafetensorsLengthBytes + header)));
    if (static_cast<std::int64_t>(prefix.size()) < std::min(kSafetensorsLengthBytes + header, file_bytes)) return;
    CheckpointHeaders headers;
    headers.files.push_back({.name = std::string(kCheckpointSingle), .bytes = file_bytes, .prefix = prefix});
    parse_checkpoint(headers);
}

// An index and the header of the one file that it may name.
void index_and_file(std::string_view text, std::int64_t data_bytes) {
    const std::size_t cut = text.find('\n');
    CheckpointHeaders headers;
    headers.index = std::string(text.substr(0, cut));
    std::string header(cut == text.npos ? std::string_view{} : text.substr(cut + 1));
    for (const std::string& name : files_of_index(headers.index, "model/index.json")) {
        CheckpointHeaders::File& file = headers.files.emplace_back();
        file.name = name;
        for (int byte = 0; byte < 8; ++byte) file.prefix += static_cast<char>(header.size() >> (8 * byte));
        file.prefix += header;
        file.bytes = static_cast<std::int64_t>(file.prefix.size()) + data_bytes;
    }
    parse_checkpoint(headers);
}

}  // namespace

// First byte: which of the three; second: how many tensor bytes follow, in units of 4.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return 0;
    const std::string_view text = fuzz::text_of(data + 2, size - 2);
    const std::int64_t data_bytes = 4 * std::int64_t{data[1]};
    fuzz::answers_or_refuses([&] {
        if (data[0] % 3 == 0) whole_file(text, data_bytes);
        if (data[0] % 3 == 1) raw_file(text, data_bytes);
        if (data[0] % 3 == 2) index_and_file(text, data_bytes);
    });
    return 0;
}
