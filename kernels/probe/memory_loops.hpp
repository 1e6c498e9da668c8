// Reading and copying memory as fast as one thread can, with the widest loads that the CPU has.
#pragma once

#include <cstddef>
#include <cstdint>

namespace argosy {

// Reads `bytes` (a multiple of 512) in order; data is 64-byte aligned. The result is for the compiler's sake.
std::uint64_t read_memory(const std::byte* data, std::size_t bytes);

// Copies; moves 2 * bytes, one reading and one writing.
void copy_memory(std::byte* to, const std::byte* from, std::size_t bytes);

}  // namespace argosy
