// Fuzzes manifest.jsonl: reading never fails, lists only what stands in whole lines, and reads back what is written of
// it.
#include <fmt/format.h>

#include "runtime/job/manifest.hpp"
#include "runtime/schedule/token_hash.hpp"
#include "tests/fuzz/fuzz_input.hpp"

using namespace argosy;

namespace {

// Each line with the checksum that it ought to have: no mutation would ever hit upon one.
std::string with_sums(std::string_view text) {
    std::string lines;
    for (std::size_t begin = 0; begin < text.size();) {
        std::size_t end = text.find('\n', begin);
        if (end == text.npos) end = text.size();
        std::string members(text.substr(begin, end - begin));
        if (members.ends_with('}')) members.pop_back();
        lines += fmt::format("{},\"sum\":\"{:016x}\"}}\n", members, hash64(members, 0));
        begin = end + 1;
    }
    return lines;
}

void check(std::string_view text) {
    const Manifest manifest = parse_manifest(text);
    if (manifest.whole_bytes < 0 || manifest.whole_bytes > static_cast<std::int64_t>(text.size())) std::abort();
    std::string lines = start_line(std::max(manifest.starts, 1), manifest.requests, text.substr(0, 20)) + "\n";
    for (const ShardEntry& shard : manifest.shards) lines += shard_line(shard) + "\n";
    if (manifest.finished) lines += finished_line() + "\n";
    const Manifest again = parse_manifest(lines);
    if (again.shards != manifest.shards || again.finished != manifest.finished || again.damaged != 0 ||
        again.requests != manifest.requests || again.stored() != manifest.stored())
        std::abort();
    for (const ShardEntry& shard : manifest.shards) lines += withdrawn_line(shard.name, "damaged") + "\n";
    if (!parse_manifest(lines).shards.empty()) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text = fuzz::text_of(data, size);
    check(text);
    check(with_sums(text));
    return 0;
}
