// Writing the manifest's lines and reading them back.
#include "runtime/job/manifest.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "runtime/job/json_text.hpp"
#include "runtime/schedule/token_hash.hpp"

namespace argosy {

namespace {

using nlohmann::json;

constexpr std::string_view kSumBegin = ",\"sum\":\"";
constexpr std::string_view kSumEnd = "\"}";
constexpr std::size_t kSumDigits = 16;
constexpr std::size_t kTailBytes = kSumBegin.size() + kSumDigits + kSumEnd.size();

// Takes members up to the last, without the closing brace.
std::string with_sum(const std::string& members) {
    return fmt::format("{}{}{:016x}{}", members, kSumBegin, hash64(members, 0), kSumEnd);
}

std::string json_text(std::string_view text) {
    std::string out;
    append_json_string(out, text);
    return out;
}

std::optional<std::uint64_t> hexadecimal(std::string_view digits) {
    std::uint64_t value = 0;
    const auto end = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
    if (digits.size() != kSumDigits || end.ec != std::errc() || end.ptr != digits.data() + digits.size())
        return std::nullopt;
    return value;
}

// The members of a whole line; null when the line is damaged.
json members_of(std::string_view line) {
    if (line.size() < kTailBytes || !line.ends_with(kSumEnd)) return {};
    const std::string_view members = line.substr(0, line.size() - kTailBytes);
    std::string_view tail = line.substr(members.size());
    if (!tail.starts_with(kSumBegin)) return {};
    tail = tail.substr(kSumBegin.size(), kSumDigits);
    if (tail != fmt::format("{:016x}", hash64(members, 0))) return {};
    json parsed = json::parse(line, nullptr, false);
    return parsed.is_object() ? parsed : json();
}

std::string text_member(const json& members, const char* name) {
    const auto found = members.find(name);
    return found != members.end() && found->is_string() ? found->get<std::string>() : "";
}

std::int64_t count_member(const json& members, const char* name) {
    const auto found = members.find(name);
    return found != members.end() && found->is_number_integer() ? found->get<std::int64_t>() : -1;
}

bool plain_name(std::string_view name) {
    return !name.empty() && name.front() != '.' && name.find('/') == name.npos && name.find('\0') == name.npos;
}

std::optional<ShardEntry> shard_of(const json& members) {
    const auto sum = hexadecimal(text_member(members, "xxh3"));
    ShardEntry entry{.name = text_member(members, "name"),
                     .bytes = count_member(members, "bytes"),
                     .xxh3 = sum.value_or(0),
                     .answers = count_member(members, "answers"),
                     .errors = count_member(members, "errors")};
    if (!sum || !plain_name(entry.name) || entry.bytes < 0 || entry.answers < 0 || entry.errors < 0)
        return std::nullopt;
    return entry;
}

auto find_shard(std::vector<ShardEntry>& shards, const std::string& name) {
    return std::find_if(shards.begin(), shards.end(), [&](const ShardEntry& entry) { return entry.name == name; });
}

}  // namespace

std::string start_line(int number, std::int64_t requests, std::string_view utc) {
    return with_sum(fmt::format("{{\"entry\":\"start\",\"number\":{},\"requests\":{},\"utc\":{}", number, requests,
                                json_text(utc)));
}

std::string shard_line(const ShardEntry& e) {
    return with_sum(
        fmt::format("{{\"entry\":\"shard\",\"name\":{},\"bytes\":{},\"xxh3\":\"{:016x}\",\"answers\":{},\"errors\":{}",
                    json_text(e.name), e.bytes, e.xxh3, e.answers, e.errors));
}

std::string withdrawn_line(std::string_view name, std::string_view reason) {
    return with_sum(
        fmt::format("{{\"entry\":\"withdrawn\",\"name\":{},\"reason\":{}", json_text(name), json_text(reason)));
}

std::string finished_line() { return with_sum("{\"entry\":\"finished\""); }

std::int64_t Manifest::stored() const {
    std::int64_t count = 0;
    for (const ShardEntry& entry : shards) count += entry.answers + entry.errors;
    return count;
}

void take_manifest_line(Manifest& manifest, std::string_view line) {
    const json members = members_of(line);
    const std::string kind = members.is_object() ? text_member(members, "entry") : "";
    if (kind == "start" && count_member(members, "number") > 0 && count_member(members, "requests") >= 0) {
        const auto number = std::min<std::int64_t>(count_member(members, "number"), INT32_MAX - 1);
        manifest.starts = std::max(manifest.starts, static_cast<int>(number));
        manifest.requests = count_member(members, "requests");
        manifest.finished = false;
    } else if (const auto entry = kind == "shard" ? shard_of(members) : std::nullopt) {
        if (find_shard(manifest.shards, entry->name) == manifest.shards.end()) manifest.shards.push_back(*entry);
        // Names begin with the number of their start: it is never given twice, even if a start's own line was lost.
        int start = 0;
        std::from_chars(entry->name.data(), entry->name.data() + entry->name.size(), start);
        manifest.starts = std::max(manifest.starts, std::min(start, INT32_MAX - 1));
    } else if (kind == "withdrawn") {
        const auto found = find_shard(manifest.shards, text_member(members, "name"));
        if (found != manifest.shards.end()) manifest.shards.erase(found);
    } else if (kind == "finished") {
        manifest.finished = true;
    } else {
        ++manifest.damaged;
    }
}

Manifest parse_manifest(std::string_view text) {
    Manifest manifest;
    for (std::size_t begin = 0, end = text.find('\n'); end != text.npos; end = text.find('\n', begin)) {
        take_manifest_line(manifest, text.substr(begin, end - begin));
        begin = end + 1;
        manifest.whole_bytes = static_cast<std::int64_t>(begin);
    }
    return manifest;
}

}  // namespace argosy
