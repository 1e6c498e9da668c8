// Paths relative to the executable.
#include "launch/install_paths.hpp"

#include "kernels/base/error.hpp"

namespace argosy {

namespace fs = std::filesystem;

fs::path share_dir() {
    std::error_code error;
    const fs::path executable = fs::read_symlink("/proc/self/exe", error);
    if (error)
        fail(ErrorKind::system,
             "/proc/self/exe cannot be read ({}), so the demo files cannot be found. Give --model and --input.",
             error.message());
    return executable.parent_path().parent_path() / "share" / "argosy";
}

fs::path demo_dir() {
    const fs::path demo = share_dir() / "demo";
    if (!fs::exists(demo / "config.json")) {
        fail(ErrorKind::usage,
             "The demo model is not at {}: the program was moved without its share folder. Give --model and --input.",
             demo.string());
    }
    return demo;
}

std::vector<fs::path> cost_profile_dirs() { return {share_dir() / "costs"}; }

std::vector<fs::path> cluster_profile_dirs() { return {share_dir() / "clusters"}; }

}  // namespace argosy
