// manifest.jsonl: the one truth about what a run directory holds. A shard that it lists exists and never changes; a
// file that it does not list is nothing. World rank 0 alone writes it, line after line; anybody may read it at any
// time.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace argosy {

// A sealed shard, as its line lists it.
struct ShardEntry {
    std::string name{};        // of the file in shards/
    std::int64_t bytes = 0;    // of the file
    std::uint64_t xxh3 = 0;    // XXH3-64 of its bytes
    std::int64_t answers = 0;  // requests in it
    std::int64_t errors = 0;   // error records in it
    bool operator==(const ShardEntry&) const = default;
};

// Lines of the manifest without their ends, each with a checksum of its own as last member:
// {"entry":"start","number":1,"requests":200,"utc":"...","sum":"16 hex digits"}     a run began; requests: with work
// {"entry":"shard","name":"...","bytes":..,"xxh3":"...","answers":..,"errors":..,"sum":"..."}
// {"entry":"withdrawn","name":"...","reason":"...","sum":"..."}   a listed shard was found damaged and exists no more
// {"entry":"finished","sum":"..."}                                all is written, the report too
std::string start_line(int number, std::int64_t requests, std::string_view utc);
std::string shard_line(const ShardEntry& entry);
std::string withdrawn_line(std::string_view name, std::string_view reason);
std::string finished_line();

struct Manifest {
    int starts = 0;                    // runs that began here
    std::int64_t requests = 0;         // lines with work, by the last start
    bool finished = false;             // since the last start
    std::vector<ShardEntry> shards{};  // listed and not withdrawn, in the order of their lines
    std::int64_t damaged = 0;          // lines that are not whole, but for a last one without its end
    std::int64_t whole_bytes = 0;      // up to the last line end: what stands behind was cut by a crash
    std::int64_t stored() const;       // requests in the shards, error records included
    bool operator==(const Manifest&) const = default;
};

// Never fails: what is not a whole line is not listed.
Manifest parse_manifest(std::string_view text);

// Takes note of one line, without its end.
void take_manifest_line(Manifest& manifest, std::string_view line);

}  // namespace argosy
