// Sealing shards and reading them back.
#include "runtime/job/shard_writer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <exception>

#include "kernels/base/error.hpp"
#include "runtime/job/file_writer.hpp"
#include "runtime/job/shard_hdf5.hpp"
#include "runtime/schedule/token_hash.hpp"

namespace argosy {

namespace {
constexpr std::int64_t kSecond_ns = 1'000'000'000;
}  // namespace

std::int64_t seal_interval_ns(std::int64_t age_ns) {
    return std::clamp<std::int64_t>(age_ns / 16, kSecond_ns / 2, 30 * kSecond_ns);
}

ShardWriter::ShardWriter(std::filesystem::path folder, int start, int rank, std::int64_t now_ns)
    : folder_(std::move(folder)), start_(start), rank_(rank), began_ns_(now_ns) {}

void ShardWriter::add(const StoredAnswer& answer, std::int64_t now_ns) {
    if (rows() == 0) oldest_ns_ = now_ns;
    if (std::holds_alternative<LineError>(answer)) ++errors_;
    append(table_, answer);
}

bool ShardWriter::due(std::int64_t now_ns) const {
    if (rows() == 0) return false;
    return rows() >= kShardRowsMax || bytes_of(table_) >= kShardBytesMax ||
           now_ns - oldest_ns_ >= seal_interval_ns(now_ns - began_ns_);
}

std::optional<ShardEntry> ShardWriter::seal() {
    if (rows() == 0) return std::nullopt;
    const std::string image = shard_image(table_);
    ShardEntry entry{.name = fmt::format("{:03}-{:05}-{:06}.h5", start_, rank_, ++number_),
                     .bytes = static_cast<std::int64_t>(image.size()),
                     .xxh3 = hash64(image, 0),
                     .answers = rows() - errors_,
                     .errors = errors_};
    replace_file(folder_ / entry.name, image, true);
    table_ = {};
    errors_ = 0;
    return entry;
}

ShardRead read_shard(const std::filesystem::path& folder, const ShardEntry& entry) {
    const std::filesystem::path path = folder / entry.name;
    try {
        const std::string image = read_whole_file(path);
        if (static_cast<std::int64_t>(image.size()) != entry.bytes) {
            return {.damage = fmt::format("{} is damaged: it has {} bytes, and the manifest lists {}.", path.string(),
                                          image.size(), entry.bytes)};
        }
        if (hash64(image, 0) != entry.xxh3)
            return {.damage =
                        fmt::format("{} is damaged: its checksum is not the one in the manifest.", path.string())};
        ShardRead read{.table = read_shard_image(image, path.string())};
        if (static_cast<std::int64_t>(read.table->rows()) != entry.answers + entry.errors) {
            return {.damage = fmt::format("{} is damaged: it holds {} requests, and the manifest lists {}.",
                                          path.string(), read.table->rows(), entry.answers + entry.errors)};
        }
        return read;
    } catch (const std::exception& error) {
        return {.damage = error.what()};
    }
}

}  // namespace argosy
