// The index of input lines: files, line ends, byte-order marks, gzip, slices, and files that are damaged.
#include <zlib.h>
#include <catch2/catch.hpp>
#include <fstream>
#include <random>

#include "kernels/base/error.hpp"
#include "runtime/job/input_index.hpp"
#include "tests/support/shared_data.hpp"

using namespace argosy;
namespace fs = std::filesystem;

namespace {

void put(const fs::path& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

void put_gzip(const fs::path& path, const std::string& bytes) {
    gzFile file = gzopen(path.c_str(), "ab");  // each call adds a member
    gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size()));
    gzclose(file);
}

std::vector<std::string> lines_of(const InputIndex& index) {
    std::vector<std::string> lines;
    for (std::int64_t line = 1; line <= index.line_count(); ++line) lines.push_back(index.read_line(line).text);
    return lines;
}

}  // namespace

TEST_CASE("lines of several files, with every kind of line end") {
    test::TempDir folder;
    put(folder.path() / "a", "\xEF\xBB\xBFone\r\ntwo\n\n\xEF\xBB\xBFthree");
    put(folder.path() / "b", "");
    put(folder.path() / "c", "four\n\r\n");
    const InputIndex index({folder.path() / "a", folder.path() / "b", folder.path() / "c"}, folder.path());
    CHECK(lines_of(index) == std::vector<std::string>{"one", "two", "", "\xEF\xBB\xBFthree", "four", ""});
    CHECK(index.place(4) == (folder.path() / "a").string() + " line 4");
    CHECK(index.place(5) == (folder.path() / "c").string() + " line 1");
    CHECK(index.byte_count() == 21 + 7);
    CHECK_THROWS_AS(index.read_line(0), Error);
    CHECK_THROWS_AS(index.read_line(7), Error);
}

TEST_CASE("random text is cut as a plain split does, plain or packed, and the digest tells contents apart") {
    test::TempDir folder;
    std::mt19937 random(2);
    std::string text;
    std::vector<std::string> want;
    for (int i = 0; i < 3000; ++i) {  // about 3 MB: lines straddle the scanner's pieces
        std::string line(random() % 2000, 'x');
        for (auto& c : line) c = static_cast<char>('a' + random() % 26);
        want.push_back(line);
        text += line + '\n';
    }
    put(folder.path() / "plain", text);
    put_gzip(folder.path() / "packed.gz", text.substr(0, 1000000));
    put_gzip(folder.path() / "packed.gz", text.substr(1000000));
    const InputIndex plain({folder.path() / "plain"}, folder.path());
    const InputIndex packed({folder.path() / "packed.gz"}, folder.path());
    CHECK(lines_of(plain) == want);
    CHECK(lines_of(packed) == want);
    CHECK(plain.digest() == packed.digest());
    CHECK(plain.byte_count() == static_cast<std::int64_t>(text.size()));
    CHECK(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()) ==
          2);  // nothing is left of unpacking
    text[2000000] ^= 1;
    put(folder.path() / "plain", text);
    CHECK(InputIndex({folder.path() / "plain"}, folder.path()).digest() != packed.digest());
    put(folder.path() / "x", "ab\n");
    put(folder.path() / "y", "cd\n");
    put(folder.path() / "xy", "ab\ncd\n");
    CHECK(InputIndex({folder.path() / "x", folder.path() / "y"}, folder.path()).digest() !=
          InputIndex({folder.path() / "xy"}, folder.path()).digest());
}

TEST_CASE("inputs that cannot be read are refused with a sentence") {
    test::TempDir folder;
    const auto refused = [&](const std::string& name) -> std::string {
        try {
            InputIndex({folder.path() / name}, folder.path());
        } catch (const Error& error) {
            CHECK(error.kind() == ErrorKind::input);
            return error.what();
        }
        return "";
    };
    CHECK(refused("missing").find("No such file") != std::string::npos);
    CHECK(refused(".").find("no regular file") != std::string::npos);
    CHECK_THROWS_AS(InputIndex({}, folder.path()), Error);
    std::string text;
    for (int i = 0; i < 20000; ++i) text += std::to_string(i * 7919) + '\n';
    put_gzip(folder.path() / "whole.gz", text);
    std::string bytes(fs::file_size(folder.path() / "whole.gz"), '\0');
    std::ifstream(folder.path() / "whole.gz", std::ios::binary)
        .read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    put(folder.path() / "cut.gz", bytes.substr(0, bytes.size() / 2));
    CHECK(refused("cut.gz").find("ends too early") != std::string::npos);
    bytes[bytes.size() / 2] ^= 0x55;
    put(folder.path() / "wrong.gz", bytes);
    CHECK(refused("wrong.gz").find("damaged gzip file") != std::string::npos);
    put(folder.path() / "plain", "0123456789\n0123456789\n");
    const InputIndex index({folder.path() / "plain"}, folder.path());
    fs::resize_file(folder.path() / "plain", 15);
    CHECK_THROWS_AS(index.read_line(2), Error);
}

TEST_CASE("a line beyond the limit is marked, its neighbours are read") {
    test::TempDir folder;
    put(folder.path() / "a", "x\n" + std::string(static_cast<std::size_t>(kLineBytesMax), 'y') + "\nz\n");
    const InputIndex index({folder.path() / "a"}, folder.path());
    CHECK(index.read_line(2).too_long);
    CHECK_FALSE(index.read_line(1).too_long);
    CHECK(index.read_line(3).text == "z");
}

TEST_CASE("slices cover all lines once, a limit cuts the slice") {
    for (const std::int64_t count : {0, 1, 10, 101}) {
        for (const int slices : {1, 3, 7}) {
            std::int64_t next = 1;
            for (int i = 0; i < slices; ++i) {
                const LineRange range = select_lines(count, i, slices, -1);
                CHECK(range.begin == next);
                CHECK(range.size() >= count / slices);
                next = range.end;
            }
            CHECK(next == count + 1);
        }
    }
    CHECK(select_lines(10, 1, 2, 3) == LineRange{6, 9});
    CHECK(select_lines(10, 1, 2, 0).size() == 0);
    CHECK_THROWS_AS(select_lines(10, 2, 2, -1), Error);
    CHECK_THROWS_AS(select_lines(10, 0, 0, -1), Error);
}
