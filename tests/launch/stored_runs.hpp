// Jobs whose run directories a test reads: requests of every kind, and what must hold of the shards at any moment.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/launch/mistakes.hpp"

namespace argosy::test {

// Greedy and sampled requests, one, two or three samples, some with log probabilities, and a line with a mistake now
// and then.
std::string mixed_requests(int count, int tokens);

// export RUN MORE...
std::vector<std::string> export_words(const std::filesystem::path& run, const std::vector<std::string>& more);

// Requests in the shards that the manifest lists now.
std::size_t stored_requests(const std::filesystem::path& run);

// Every listed shard is whole, and no line stands in two places. Returns how many requests are stored.
std::size_t check_shards(const std::filesystem::path& run);

}  // namespace argosy::test
