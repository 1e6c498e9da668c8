// Where the files that come with the program are: found from the executable's own place, so that build folder and
// installation may be moved.
#pragma once

#include <filesystem>
#include <vector>

namespace argosy {

// PREFIX/share/argosy, where PREFIX/bin/argosy is the running executable.
std::filesystem::path share_dir();

// Folder of the demo model and its requests. Error(usage) when it is not there: the program was moved away from its
// share folder.
std::filesystem::path demo_dir();

// Folders in which names of cost profiles are looked up.
std::vector<std::filesystem::path> cost_profile_dirs();
// The same for cluster profiles.
std::vector<std::filesystem::path> cluster_profile_dirs();

}  // namespace argosy
