// The safetensors format (huggingface/safetensors, README "Format"): 8 bytes of little-endian header length, a JSON
// header, then tensor bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/model/checkpoint.hpp"

namespace argosy {

inline constexpr std::string_view kCheckpointSingle = "model.safetensors";
inline constexpr std::string_view kCheckpointIndex = "model.safetensors.index.json";
inline constexpr std::int64_t kSafetensorsLengthBytes = 8;
inline constexpr std::int64_t kSafetensorsHeaderBytesMax = 100'000'000;  // the limit of the format's own library

// Header length that a file's first 8 bytes announce; 0 when there are fewer, or the file of file_bytes cannot hold
// such a header.
std::int64_t safetensors_header_bytes(std::string_view first_bytes, std::int64_t file_bytes);

// The file names in an index's weight_map, each once, in order of name. Throws Error(input) for names that lead out of
// the folder.
std::vector<std::string> files_of_index(const std::string& index, const std::string& index_path);

// The tensors of one file in order of offset, and where they begin. Throws Error(input), a sentence for each rule of
// the format.
std::vector<StoredTensor> parse_safetensors(const CheckpointHeaders::File& file, const std::string& path, int file_id,
                                            std::int64_t& data_begin);

}  // namespace argosy
