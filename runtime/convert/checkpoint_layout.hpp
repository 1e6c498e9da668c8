// Which tensor of a new checkpoint stands where: safetensors files of bounded size, their headers and the index. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kernels/base/dtype.hpp"

namespace argosy {

// One tensor of a file.
struct NewTensor {
    std::string name;
    DType dtype = DType::f32;  // an element format: codes are u8, i8 or f8_e4m3
    std::vector<std::int64_t> shape;
    int file = 0;
    std::int64_t offset = 0;  // of its first byte, from the start of the file
    std::int64_t bytes() const;
    bool operator==(const NewTensor&) const = default;
};

struct NewFile {
    std::string name;        // "model.safetensors", "model-00001-of-00003.safetensors"
    std::string header;      // with its 8 bytes of length
    std::int64_t bytes = 0;  // of the whole file
    bool operator==(const NewFile&) const = default;
};

struct CheckpointLayout {
    std::vector<NewTensor> tensors;  // as given, with file and offset
    std::vector<NewFile> files;
    std::string index;  // model.safetensors.index.json; empty where there is one file
};

// Cuts tensors [groups[i], groups[i + 1]) into files of at most file_bytes_max, each group in one (a group larger than
// that has a file of its own). Within a file larger elements come first, then names in order, so that every element is
// aligned.
CheckpointLayout lay_out_checkpoint(std::vector<NewTensor> tensors, std::span<const std::size_t> groups,
                                    std::int64_t file_bytes_max);

}  // namespace argosy
