// Fuzzes manifest.jsonl: reading never fails, and lists only what stands in whole lines.
#include "runtime/job/manifest.hpp"
#include "tests/fuzz/fuzz_input.hpp"

using namespace argosy;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text = fuzz::text_of(data, size);
    const Manifest manifest = parse_manifest(text);
    if (manifest.whole_bytes < 0 || manifest.whole_bytes > static_cast<std::int64_t>(size)) std::abort();
    // Every shard that is listed can be written and read again.
    std::string lines;
    for (const ShardEntry& shard : manifest.shards) lines += shard_line(shard) + "\n";
    if (parse_manifest(lines).shards != manifest.shards) std::abort();
    return 0;
}
