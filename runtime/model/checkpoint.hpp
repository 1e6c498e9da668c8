// Checkpoint files: which tensor lies where in which safetensors file, checked before a byte of a weight is read; and
// reading the bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/base/dtype.hpp"
#include "runtime/model/tensors.hpp"

namespace argosy {

// One open file, read at offsets. Not thread-safe in its counting: one object per thread.
class CheckpointFile {
  public:
    explicit CheckpointFile(const std::filesystem::path& path);  // throws Error(input) when it cannot be opened
    CheckpointFile(CheckpointFile&& other) noexcept;
    CheckpointFile& operator=(CheckpointFile&& other) noexcept;
    ~CheckpointFile();

    // Fills `into` with the bytes from `offset` on. Throws Error(input) when the file ends before, Error(system) when
    // reading fails.
    void read(std::int64_t offset, std::span<std::byte> into);
    // Says that these bytes will be read soon, so that the disk works while the caller does other things. Advice:
    // nothing goes wrong without it.
    void expect(std::int64_t offset, std::int64_t bytes) const;

    std::int64_t bytes() const { return bytes_; }            // size of the file
    std::int64_t bytes_read() const { return bytes_read_; }  // what read() has taken from the file system so far
    const std::filesystem::path& path() const { return path_; }

  private:
    std::filesystem::path path_;
    int descriptor_ = -1;
    std::int64_t bytes_ = 0;
    std::int64_t bytes_read_ = 0;
};

// What the headers of a model's files say, unparsed, so that one rank reads them and all others get them over the wire.
struct CheckpointHeaders {
    struct File {
        std::string name;        // relative to folder
        std::int64_t bytes = 0;  // size of the file
        std::string prefix;      // the file's first bytes: 8 of length, then the header; shorter if the file is
        bool operator==(const File&) const = default;
    };
    std::string folder;
    std::string index;  // text of model.safetensors.index.json; empty: the model is the one file model.safetensors
    std::vector<File> files;
    bool operator==(const CheckpointHeaders&) const = default;
};

// Reads the headers of model.safetensors.index.json's files, or of model.safetensors, in `folder`. This takes each
// header byte from the file system once; weight bytes are not touched. Throws Error(input) when there is no checkpoint,
// or the index names a file that is not there.
CheckpointHeaders read_checkpoint_headers(const std::filesystem::path& folder);

// To one string and back, for a broadcast. from_wire throws Error(internal) for bytes that to_wire did not make.
std::string to_wire(const CheckpointHeaders& headers);
CheckpointHeaders checkpoint_headers_from_wire(std::string_view wire);

// Scales that stand beside a matrix of codes, as a tensor of their own: [rows, columns].
struct StoredScales {
    int file = 0;
    DType dtype = DType::f32;
    std::int64_t rows = 0;
    std::int64_t columns = 0;
    std::int64_t offset = 0;  // of the first byte, from the start of the file
    bool operator==(const StoredScales&) const = default;
};

// One tensor as it is stored. match_tensors makes one of the several tensors of a block format: its shape is then that
// of the weights, and offset and bytes are those of the codes.
struct StoredTensor {
    std::string name;
    int file = 0;  // index into Checkpoint::files
    DType dtype = DType::f32;
    std::vector<std::int64_t> shape;
    std::int64_t offset = 0;  // of its first byte, from the start of the file
    std::int64_t bytes = 0;
    std::optional<StoredScales> scales = {};         // of blocks
    std::optional<StoredScales> matrix_scales = {};  // the one f32 of an nvfp4 matrix, and
    float matrix_scale = 1;                          // what stands there, once it was read
    bool transposed = false;  // stands as [k, n]: what `shape` calls a row is a column of the file's matrix
    bool operator==(const StoredTensor&) const = default;
};

struct Checkpoint {
    struct File {
        std::filesystem::path path;
        std::int64_t bytes = 0;         // size of the file
        std::int64_t header_bytes = 0;  // where weights begin; already read
        bool operator==(const File&) const = default;
    };
    std::vector<File> files;            // in order of name
    std::vector<StoredTensor> tensors;  // in order of file, then offset
    bool operator==(const Checkpoint&) const = default;
};

// Pure: parses and checks headers. Every safetensors rule is enforced with a sentence of its own: length of the header,
// JSON, number formats, shapes, offsets (inside the file, of the right size, aligned, without overlap or gap), names
// (once), the index's word.
Checkpoint parse_checkpoint(const CheckpointHeaders& headers);

// read_checkpoint_headers, then parse_checkpoint.
Checkpoint open_checkpoint(const std::filesystem::path& folder);

// Bytes of all files, header and all: what a job reads from the file system, once.
std::int64_t total_bytes(const Checkpoint& checkpoint);

// Finds every tensor of the plan: result[i] is where wanted[i] is stored. Throws Error(input) for a tensor that is
// missing, has another shape or a format that cannot be read (stored_format.hpp); for q, k, v of a layer, or gate, up
// (or down) of a layer's experts, that differ in format, because they are packed into one matrix; and for a tensor that
// is stored but unknown, unless it is known to be harmless (rotary_emb.inv_freq, input_scale). `spare` tensors may be
// stored too, all or none of them, and are checked in the same way.
std::vector<StoredTensor> match_tensors(std::span<const TensorSpec> wanted, const Checkpoint& checkpoint,
                                        std::span<const TensorSpec> spare = {});

bool holds_any(const Checkpoint& checkpoint, std::span<const TensorSpec> tensors);

}  // namespace argosy
