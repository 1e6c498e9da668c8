// Where tests find reference data that is too large or not ours to ship: golden values, tokenizers, prompts.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace argosy::test {

// The folder of reference data: $ARGOSY_SHARED if set, else "shared" beside the project's folder; nothing if neither
// exists.
std::optional<std::filesystem::path> shared_dir();

// True when the reference data has the file or folder `relative`. When not, prints "skipped: NAME (no reference data)"
// and marks this test binary as skipping (the exit status becomes 77 when nothing failed), or fails the test if
// ARGOSY_REQUIRE_SHARED=1.
bool have_shared(const std::string& relative, const std::string& name);

// The same for any other thing a test needs (a command, a package): true if `present`, else reported as above; it is a
// failure when the environment variable `require` is "1".
bool have(bool present, const std::string& name, const std::string& what, const std::string& require);

// Number of tests skipped so far in this process.
int skipped_count();

// A fresh folder under the system's temporary folder, removed with its content when the object ends.
class TempDir {
  public:
    TempDir();
    ~TempDir();
    TempDir(const TempDir&) = delete;
    TempDir& operator=(const TempDir&) = delete;
    const std::filesystem::path& path() const { return path_; }

  private:
    std::filesystem::path path_;
};

// Absolute path of the project's source folder.
std::filesystem::path source_dir();

// Absolute path of the built argosy program.
std::filesystem::path program_path();

}  // namespace argosy::test
