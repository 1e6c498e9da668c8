// Reading the manifest's file, and appending to it.
#include "runtime/job/manifest_file.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "kernels/base/error.hpp"

namespace argosy {

namespace fs = std::filesystem;

namespace {

// Makes the file, or cuts off its unfinished end.
const fs::path& prepared(const fs::path& path) {
    std::error_code error;
    if (!fs::exists(path, error)) {
        replace_file(path, "", true);
        return path;
    }
    const Manifest manifest = parse_manifest(read_whole_file(path));
    if (::truncate(path.c_str(), manifest.whole_bytes) != 0) {
        fail(ErrorKind::system, "The unfinished end of {} cannot be cut off: {}.", path.string(), std::strerror(errno));
    }
    return path;
}

}  // namespace

std::optional<Manifest> read_manifest(const fs::path& run_dir) {
    const fs::path path = run_dir / "manifest.jsonl";
    std::error_code error;
    if (!fs::exists(path, error)) return std::nullopt;
    return parse_manifest(read_whole_file(path));
}

ManifestWriter::ManifestWriter(const fs::path& path) : file_(prepared(path), FileWriter::Mode::append) {}

void ManifestWriter::append(const std::vector<std::string>& lines) {
    if (lines.empty()) return;
    for (const std::string& line : lines) {
        file_.write(line);
        file_.write("\n");
    }
    file_.sync();
}

}  // namespace argosy
