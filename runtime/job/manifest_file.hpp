// The file manifest.jsonl: read by anybody at any time, appended to by world rank 0 alone.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "runtime/job/file_writer.hpp"
#include "runtime/job/manifest.hpp"

namespace argosy {

// The manifest of a run directory; nothing when it has none.
std::optional<Manifest> read_manifest(const std::filesystem::path& run_dir);

// The one writer. Opening cuts off a last line that a crash left half written.
class ManifestWriter {
  public:
    explicit ManifestWriter(const std::filesystem::path& path);
    // The lines are on the disk when it returns.
    void append(const std::vector<std::string>& lines);

  private:
    FileWriter file_;
};

}  // namespace argosy
