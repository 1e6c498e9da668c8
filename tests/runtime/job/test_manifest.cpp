// The manifest: what its lines say, cut and damaged lines, and the one writer.
#include <catch2/catch.hpp>
#include <fstream>
#include <random>

#include "kernels/base/error.hpp"
#include "runtime/job/manifest_file.hpp"
#include "tests/support/shared_data.hpp"

using namespace argosy;

namespace {

ShardEntry entry_of(const std::string& name, std::int64_t answers) {
    return {.name = name, .bytes = 1000 + answers, .xxh3 = 0xfedcba9876543210U, .answers = answers, .errors = 1};
}

const std::vector<std::string> kLines = {
    start_line(1, 12, "2026-04-01T10:00:00Z"),
    shard_line(entry_of("001-00000-000001.h5", 3)),
    shard_line(entry_of("001-00001-000001.h5", 4)),
    start_line(2, 12, "2026-04-01T11:00:00Z"),
    withdrawn_line("001-00000-000001.h5", "it is \"damaged\""),
    shard_line(entry_of("002-00000-000001.h5", 5)),
    finished_line(),
};

std::string text_of_lines(std::size_t count) {
    std::string text;
    for (std::size_t i = 0; i < count; ++i) text += kLines[i] + "\n";
    return text;
}

}  // namespace

TEST_CASE("a manifest says which shards there are") {
    CHECK(
        kLines[1].starts_with("{\"entry\":\"shard\",\"name\":\"001-00000-000001.h5\",\"bytes\":1003,"
                              "\"xxh3\":\"fedcba9876543210\",\"answers\":3,\"errors\":1,\"sum\":\""));
    const std::string text = text_of_lines(kLines.size());
    const Manifest manifest = parse_manifest(text);
    CHECK(manifest.starts == 2);
    CHECK(manifest.requests == 12);
    CHECK(manifest.finished);
    CHECK(manifest.shards ==
          std::vector<ShardEntry>{entry_of("001-00001-000001.h5", 4), entry_of("002-00000-000001.h5", 5)});
    CHECK(manifest.stored() == 11);
    CHECK(manifest.damaged == 0);
    CHECK(manifest.whole_bytes == static_cast<std::int64_t>(text.size()));
    CHECK_FALSE(parse_manifest(text + start_line(3, 12, "x") + "\n").finished);  // it goes on
    CHECK(parse_manifest("") == Manifest{});
    // A name that is listed twice counts once, as it was listed first.
    const std::string twice = kLines[1] + "\n" + shard_line(entry_of("001-00000-000001.h5", 9)) + "\n";
    CHECK(parse_manifest(twice).shards == std::vector<ShardEntry>{entry_of("001-00000-000001.h5", 3)});
}

TEST_CASE("wherever a crash cuts the manifest, its whole lines count, and the next writer goes on behind them") {
    test::TempDir folder;
    const auto path = folder.path() / "manifest.jsonl";
    const std::string text = text_of_lines(kLines.size());
    CHECK_FALSE(read_manifest(folder.path()));
    for (std::size_t size = 0; size <= text.size(); ++size) {
        std::ofstream(path, std::ios::binary) << text.substr(0, size);
        const auto whole =
            static_cast<std::size_t>(std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(size), '\n'));
        const auto manifest = read_manifest(folder.path());
        REQUIRE(manifest);
        REQUIRE(*manifest == parse_manifest(text_of_lines(whole)));
        if (size % 7 != 0) continue;
        {
            ManifestWriter writer(path);
            writer.append({});
            writer.append(
                {shard_line(entry_of("009-00000-000001.h5", 1)), shard_line(entry_of("009-00000-000002.h5", 2))});
        }
        REQUIRE(read_whole_file(path) == text_of_lines(whole) + shard_line(entry_of("009-00000-000001.h5", 1)) + "\n" +
                                             shard_line(entry_of("009-00000-000002.h5", 2)) + "\n");
    }
}

TEST_CASE("a damaged line lists nothing, and the lines around it count") {
    const std::string text = text_of_lines(3);
    const std::size_t second = kLines[0].size() + 1;
    const Manifest without = parse_manifest(kLines[0] + "\n" + kLines[2] + "\n");
    std::mt19937 random(3);
    for (std::size_t place = second; place < second + kLines[1].size(); ++place) {
        std::string wrong = text;
        do wrong[place] = static_cast<char>(text[place] ^ (1 << random() % 8));
        while (wrong[place] == '\n');
        const Manifest manifest = parse_manifest(wrong);
        INFO(wrong);
        REQUIRE(manifest.shards == without.shards);
        REQUIRE(manifest.damaged == 1);
    }
    // Whole lines that say what cannot be: a checksum that is right, and a name that leads elsewhere.
    for (const char* name : {"", "../../etc/passwd", "a/b.h5", ".hidden"}) {
        const Manifest manifest = parse_manifest(shard_line(entry_of(name, 1)) + "\n");
        CHECK(manifest.shards.empty());
        CHECK(manifest.damaged == 1);
    }
    CHECK(parse_manifest("\n\n{}\n{\"entry\":\"shard\"}\nnull\n").damaged == 5);
}

TEST_CASE("a start's number is never given twice, even if its line was lost") {
    Manifest manifest = parse_manifest(kLines[5] + "\n");
    CHECK(manifest.starts == 2);
    take_manifest_line(manifest, kLines[0]);
    CHECK(manifest.starts == 2);
}
