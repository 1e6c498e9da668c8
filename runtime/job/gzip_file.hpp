// Gzip files unpacked to a file: the one door to zlib.
#pragma once

#include <filesystem>

namespace argosy {

// True when the file begins with gzip's two bytes.
bool is_gzip(int descriptor);

// Unpacks the gzip file (all members) behind `descriptor` into the open, empty file `to`. Damaged or cut:
// ErrorKind::input; disk full: system.
void unpack_gzip(int descriptor, int to, const std::filesystem::path& name);

}  // namespace argosy
