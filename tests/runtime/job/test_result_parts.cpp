// Part files and their join: input order, restarts, cut and damaged lines, repeated answers.
#include <algorithm>
#include <catch2/catch.hpp>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <random>

#include "kernels/base/error.hpp"
#include "runtime/job/result_parts.hpp"
#include "tests/support/shared_data.hpp"

using namespace argosy;
namespace fs = std::filesystem;

TEST_CASE("answers scattered over parts come back in input order") {
    test::TempDir folder;
    std::mt19937 random(6);
    std::vector<std::int64_t> lines;
    for (std::int64_t line = 1; line <= 2000; ++line) {
        if (random() % 4 != 0) lines.push_back(line);
    }
    auto shuffled = lines;
    std::shuffle(shuffled.begin(), shuffled.end(), random);
    std::map<std::int64_t, std::string> answers;
    {
        std::vector<PartWriter> parts;
        for (const int rank : {0, 3, 12}) parts.emplace_back(folder.path(), rank);
        for (const std::int64_t line : shuffled) {
            answers[line] =
                "{\"n\":" + std::to_string(line) + ",\"text\":\"" + std::string(random() % 7000, 'x') + "\"}";
            PartWriter& part = parts[random() % 3];
            part.append(line, answers[line]);
            if (random() % 100 == 0) part.sync();
        }
        for (PartWriter& part : parts) part.close();
    }
    const PartIndex index = index_parts(folder.path());
    CHECK(index.files.size() == 3);
    CHECK(index.damaged == 0);
    CHECK(stored_lines(index) == lines);
    const fs::path out = folder.path() / "responses.jsonl";
    CHECK(join_responses(index, lines, out) == static_cast<std::int64_t>(lines.size()));
    std::string want;
    for (const auto& [line, answer] : answers) want += answer + "\n";
    CHECK(read_whole_file(out) == want);
    CHECK_FALSE(fs::exists(out.string() + ".tmp"));
    std::ifstream part(folder.path() / "part-00003.jsonl");
    for (std::string line; std::getline(part, line);)
        REQUIRE(nlohmann::json::parse(line)["result"]["n"] == nlohmann::json::parse(line)["line"]);
}

TEST_CASE("a line that is missing stops the join unless a partial one is wanted") {
    test::TempDir folder;
    PartWriter part(folder.path(), 0);
    part.append(2, "{}");
    part.append(1, "[1]");
    part.close();
    const PartIndex index = index_parts(folder.path());
    const fs::path out = folder.path() / "out";
    CHECK_THROWS_AS(join_responses(index, {1, 2, 3}, out), Error);
    CHECK_FALSE(fs::exists(out));
    CHECK(join_responses(index, {1, 2, 3}, out, true) == 2);
    CHECK(read_whole_file(out) == "[1]\n{}\n");
    CHECK(join_responses(index, {2}, out) == 1);
    CHECK(read_whole_file(out) == "{}\n");
}

TEST_CASE("whatever a crash cut off, whole answers stay and the rest is done again") {
    test::TempDir folder;
    const fs::path file = folder.path() / "part-00000.jsonl";
    {
        PartWriter part(folder.path(), 0);
        for (std::int64_t line = 1; line <= 5; ++line) part.append(line, "{\"n\":" + std::to_string(line) + "}");
        part.close();
    }
    const std::string whole = read_whole_file(file);
    for (std::size_t size = 0; size <= whole.size(); ++size) {
        std::ofstream(file, std::ios::binary) << whole.substr(0, size);
        const auto before = static_cast<std::size_t>(
            std::count(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size), '\n'));
        REQUIRE(index_parts(folder.path()).results.size() == before);
        {
            PartWriter part(folder.path(), 0);
            part.append(9, "{\"n\":9}");
            part.close();
        }
        const PartIndex index = index_parts(folder.path());
        REQUIRE(index.results.size() == before + 1);
        REQUIRE(index.damaged == 0);
    }
}

TEST_CASE("a damaged answer is never served, of two answers the first is taken") {
    test::TempDir folder;
    for (const int rank : {1, 0}) {
        PartWriter part(folder.path(), rank);
        part.append(1, rank == 0 ? "\"first\"" : "\"second\"");
        part.append(2, "\"ok\"");
        part.append(3 + rank, "\"own\"");
        part.close();
    }
    PartIndex index = index_parts(folder.path());
    CHECK(stored_lines(index) == std::vector<std::int64_t>{1, 2, 3, 4});
    CHECK(index.repeated == 2);
    CHECK(index.results[0].part == 0);
    const fs::path file = folder.path() / "part-00000.jsonl";
    const std::string whole = read_whole_file(file);
    for (std::size_t place = 0; place < whole.size(); ++place) {  // every single damaged byte of part 0 is noticed
        std::string wrong = whole;
        wrong[place] ^= 1;
        std::ofstream(file, std::ios::binary) << wrong;
        index = index_parts(folder.path());
        REQUIRE(index.damaged >= 1);
        join_responses(index, {1, 2, 3, 4}, folder.path() / "out", true);
        const std::string joined = read_whole_file(folder.path() / "out");
        const bool sane = joined == "\"first\"\n\"ok\"\n\"own\"\n\"own\"\n" ||
                          joined == "\"second\"\n\"ok\"\n\"own\"\n\"own\"\n" ||
                          joined == "\"first\"\n\"ok\"\n\"own\"\n" || joined == "\"second\"\n\"ok\"\n\"own\"\n";
        REQUIRE(sane);
    }
    PartWriter part(folder.path(), 7);
    CHECK_THROWS_AS(part.append(0, "{}"), Error);
    CHECK_THROWS_AS(part.append(1, "{\n}"), Error);
    CHECK_THROWS_AS(index_parts(folder.path() / "missing"), Error);
}
