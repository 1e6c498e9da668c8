// What the tests of run directories share.
#include "tests/launch/stored_runs.hpp"

#include <algorithm>
#include <catch2/catch.hpp>

#include "runtime/job/manifest_file.hpp"
#include "runtime/job/shard_hdf5.hpp"
#include "runtime/job/shard_writer.hpp"

namespace argosy::test {

namespace fs = std::filesystem;
using nlohmann::json;

std::string mixed_requests(int count, int tokens) {
    std::string requests;
    for (int i = 0; i < count; ++i) {
        json extra = {{"seed", i}, {"ignore_eos", true}, {"temperature", i % 3 == 0 ? 0.8 : 0.0}, {"n", 1 + i % 3}};
        if (i % 5 == 0) extra["logprobs"] = 3;
        if (i % 10 == 0) extra["echo"] = true;
        if (i % 50 == 7) extra["no_such_field"] = 1;
        requests += request_line("r" + std::to_string(i), {48, 25, 220 + i % 200, 30}, tokens + i * 13 % tokens, extra);
    }
    return requests;
}

std::vector<std::string> export_words(const fs::path& run, const std::vector<std::string>& more) {
    std::vector<std::string> words = {"export", run.string()};
    words.insert(words.end(), more.begin(), more.end());
    return words;
}

std::size_t stored_requests(const fs::path& run) {
    const auto manifest = read_manifest(run);
    return manifest ? static_cast<std::size_t>(manifest->stored()) : 0;
}

std::size_t check_shards(const fs::path& run) {
    const auto manifest = read_manifest(run);
    if (!manifest) return 0;
    std::vector<std::int64_t> lines;
    for (const ShardEntry& entry : manifest->shards) {
        const ShardRead read = read_shard(run / "shards", entry);
        INFO(read.damage);
        REQUIRE(read.table);
        lines.insert(lines.end(), read.table->line.begin(), read.table->line.end());
    }
    std::sort(lines.begin(), lines.end());
    REQUIRE(std::adjacent_find(lines.begin(), lines.end()) == lines.end());
    REQUIRE(static_cast<std::int64_t>(lines.size()) == manifest->stored());
    return lines.size();
}

}  // namespace argosy::test
