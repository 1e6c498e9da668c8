// Finding reference data, skipping aloud when it is absent, temporary folders.
#include "tests/support/shared_data.hpp"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <iostream>

#include "kernels/base/error.hpp"

namespace argosy::test {

namespace fs = std::filesystem;

namespace {
int skipped = 0;  // counted per process, read once by main

bool is_one(const char* value) { return value != nullptr && std::string(value) == "1"; }
}  // namespace

fs::path source_dir() { return ARGOSY_SOURCE_DIR; }
fs::path program_path() { return ARGOSY_PROGRAM; }

std::optional<fs::path> shared_dir() {
    if (const char* set = std::getenv("ARGOSY_SHARED")) return fs::path(set);
    const fs::path beside = source_dir().parent_path() / "shared";
    if (fs::is_directory(beside)) return beside;
    return std::nullopt;
}

bool have(bool present, const std::string& name, const std::string& what, const std::string& require) {
    if (present) return true;
    if (is_one(std::getenv(require.c_str())))
        FAIL(name << " needs " << what << ", and " << require << "=1 forbids skipping");
    ++skipped;
    std::cout << "skipped: " << name << " (" << what << " is not here)\n";
    return false;
}

bool have_shared(const std::string& relative, const std::string& name) {
    const auto dir = shared_dir();
    return have(dir && fs::exists(*dir / relative), name, "reference data " + relative, "ARGOSY_REQUIRE_SHARED");
}

int skipped_count() { return skipped; }

TempDir::TempDir() {
    std::string name = (fs::temp_directory_path() / "argosy-test-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) fail(ErrorKind::system, "Cannot make a temporary folder like {}.", name);
    path_ = name;
}

TempDir::~TempDir() {
    std::error_code ignored;  // a destructor must not throw; a leftover folder in /tmp harms nothing
    fs::remove_all(path_, ignored);
}

}  // namespace argosy::test
