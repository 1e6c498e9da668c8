// Rows of a stored tensor on their way from a file to those who keep them: what a reader reads of a piece, how it may
// change their format, and what it sends of them.
//
// A piece in memory is as in the file: codes (or plain elements) of its rows, then the rows of scales that belong to
// them. What travels is a row per row of the part that a home keeps, in the form of block_format.hpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "runtime/forward/load_plan.hpp"
#include "runtime/model/checkpoint.hpp"

namespace argosy {

// Bytes of a piece's codes, and of its scales as they are stored.
std::int64_t piece_code_bytes(const LoadPiece& piece, const StoredTensor& tensor);
std::int64_t piece_scale_bytes(const LoadPiece& piece, const StoredTensor& tensor);

// Reads both into `into`, and counts on `file` of the codes and `scale_file` of the scales.
void read_piece(const LoadPiece& piece, const StoredTensor& tensor, CheckpointFile& file, CheckpointFile& scale_file,
                std::vector<std::byte>& into);

// Tells the disk that the piece's codes will be read.
void expect_piece(const LoadPiece& piece, const StoredTensor& tensor, const CheckpointFile& file);

// Bytes that the part of a piece takes on its way.
std::int64_t part_bytes(const StoredTensor& tensor, const TensorSlice& part);
// Of all parts of `piece` that a rank with these homes is sent, in the order of its homes. `wanted_arenas` says which
// arenas the rank fills (it is their leader); others hold them for it.
std::int64_t bytes_wanted(const LoadPiece& piece, const StoredTensor& tensor, std::span<const TensorHome> homes,
                          unsigned wanted_arenas);
// Writes one part; returns the end.
std::byte* put_part(const LoadPiece& piece, const StoredTensor& tensor, const TensorSlice& part, const std::byte* from,
                    std::byte* into);

// The tensor as it would be stored in another format: file and offsets mean nothing then.
StoredTensor in_format(const StoredTensor& tensor, DType dtype);
// A piece of `tensor` as it would stand in the files of `as`, which is in_format(tensor, ...).
void convert_piece(const LoadPiece& piece, const StoredTensor& tensor, const StoredTensor& as,
                   const std::vector<std::byte>& from, std::vector<std::byte>& into);
// The largest magnitude of a piece's elements.
float largest_of_piece(const LoadPiece& piece, const StoredTensor& tensor, const std::vector<std::byte>& from);

}  // namespace argosy
