// Finished requests to columns, to HDF5 and back: every member, bytes that are no text, nothing at all; and files that
// are damaged.
#include <catch2/catch.hpp>
#include <fstream>

#include "kernels/base/error.hpp"
#include "runtime/job/file_writer.hpp"
#include "runtime/job/shard_hdf5.hpp"
#include "runtime/job/shard_writer.hpp"
#include "tests/runtime/job/answer_samples.hpp"
#include "tests/support/shared_data.hpp"

using namespace argosy;
namespace fs = std::filesystem;

namespace {

ShardTable table_of(const std::vector<StoredAnswer>& answers) {
    ShardTable table;
    for (const StoredAnswer& answer : answers) append(table, answer);
    return table;
}

void check_round_trip(const std::vector<StoredAnswer>& answers) {
    const ShardTable table = table_of(answers);
    REQUIRE_FALSE(check_table(table));
    const std::string image = shard_image(table);
    REQUIRE(image == shard_image(table));  // the same bytes whenever it is written
    const ShardTable back = read_shard_image(image, "a.h5");
    REQUIRE(back == table);
    REQUIRE(back.rows() == answers.size());
    for (std::size_t i = 0; i < answers.size(); ++i) {
        const StoredAnswer answer = answer_at(back, i);
        REQUIRE(answer == answers[i]);
        REQUIRE(text_of(answer) == text_of(answers[i]));
        REQUIRE(line_of(answer) == line_of(answers[i]));
    }
}

std::string sentence_of(const std::function<void()>& act) {
    try {
        act();
    } catch (const Error& error) {
        return error.what();
    }
    return "";
}

}  // namespace

TEST_CASE("every member of an answer comes back from a shard") {
    const TokenLogprob first{.token = "Q", .logprob = std::nullopt, .top = {}, .characters = 1};
    TokenLogprob cut{.token = "\xe2\x80", .logprob = -0.25F, .top = {{"\xe2\x80", -0.25F}, {"", -3.5F}}};
    cut.characters = 0;
    cut.id = 7;
    cut.top_ids = {7, 9};
    const std::vector<StoredAnswer> answers = {
        RequestResult{.line = 3,
                      .id = "scored",
                      .model = "demo",
                      .prompt_token_ids = {1, 2},
                      .return_token_ids = true,
                      .echo = true,
                      .logprobs = true,
                      .prompt_text = "Q\xff",
                      .prompt_logprobs = {first, cut},
                      .choices = {{.index = 0, .text = "", .token_ids = {}, .finish = FinishReason::length},
                                  {.index = 1,
                                   .text = std::string("a\0b", 3),
                                   .token_ids = {5, 150000},
                                   .finish = FinishReason::stop,
                                   .logprobs = {cut, first}}},
                      .metadata = "{\"source\":\"mine\"}",
                      .counts = {1, 2, 3, 4, std::int64_t{1} << 40}},
        LineError{.line = 1, .id = "bad", .code = "invalid_json", .sentence = "Line 1: \xff.", .metadata = "{}"},
        RequestResult{.line = 2},  // no choice, no id, nothing
        LineError{.line = 9, .code = "", .sentence = ""},
    };
    check_round_trip(answers);
    check_round_trip({});
    check_round_trip({answers[2]});
    CHECK(text_of(answers[1]) == error_line(std::get<LineError>(answers[1])));
    CHECK(text_of(answers[0]) == response_line(std::get<RequestResult>(answers[0])));
}

TEST_CASE("random answers come back from a shard") {
    std::mt19937 random(11);
    for (int round = 0; round < 30; ++round) {
        std::vector<StoredAnswer> answers;
        const int rows = round < 20 ? static_cast<int>(random() % 12) : 300;
        for (int i = 0; i < rows; ++i) answers.push_back(test::random_answer(random, 1 + i * 7));
        check_round_trip(answers);
    }
}

TEST_CASE("a file that is appended to holds the same columns as one written at once") {
    test::TempDir folder;
    std::mt19937 random(12);
    ShardTable whole;
    ShardFile file(folder.path() / "joined.h5");
    for (int round = 0; round < 5; ++round) {
        ShardTable part;
        for (unsigned i = round == 2 ? 0 : random() % 200; i > 0; --i) {
            const StoredAnswer answer = test::random_answer(random, random() % 100000 + 1);
            append(part, answer);
            append(whole, answer);
        }
        file.append(part);
    }
    file.close();
    CHECK((read_shard_image(read_whole_file(folder.path() / "joined.h5"), "joined.h5") == whole));
    CHECK_THROWS_AS(ShardFile(folder.path() / "no" / "such.h5"), Error);
}

TEST_CASE("columns that do not fit together are told") {
    std::mt19937 random(13);
    std::vector<StoredAnswer> answers;
    for (int i = 0; i < 40; ++i) answers.push_back(test::random_answer(random, i + 1));
    const ShardTable good = table_of(answers);
    REQUIRE_FALSE(check_table(good));
    int columns = 0;
    for_each_column(good, [&](const std::string& name, const auto&, bool) {
        INFO(name);
        // One value more, and where there are offsets a last one that is too large, and two that fall.
        ShardTable longer = good, beyond = good, falling = good;
        for_each_column(longer, [&](const std::string& other, auto& column, bool) {
            if (other == name) column.push_back({});
        });
        CHECK(check_table(longer));
        bool is_offsets = false;
        for_each_column(beyond, [&](const std::string& other, auto& column, bool offsets) {
            if (other != name || !offsets) return;
            is_offsets = true;
            column.back() += 1;
        });
        for_each_column(falling, [&](const std::string& other, auto& column, bool offsets) {
            if (other == name && offsets) column[column.size() / 2] = -1;
        });
        if (is_offsets) {
            CHECK(check_table(beyond));
            CHECK(check_table(falling));
        }
        ++columns;
    });
    CHECK(columns > 40);
    ShardTable wrong = good;
    wrong.line[3] = 0;
    CHECK(check_table(wrong));
    wrong = good;
    wrong.finish[3] = 9;
    CHECK(check_table(wrong));
}

TEST_CASE("a sealed shard is whole, and whatever happens to it later is noticed") {
    test::TempDir folder;
    std::mt19937 random(14);
    constexpr std::int64_t kSecond = 1'000'000'000;
    ShardWriter writer(folder.path(), 2, 17, 100 * kSecond);
    CHECK_FALSE(writer.seal());
    CHECK_FALSE(writer.due(500 * kSecond));
    std::vector<StoredAnswer> answers;
    std::int64_t errors = 0;
    for (int i = 0; i < 50; ++i) {
        answers.push_back(test::random_answer(random, i + 1));
        errors += std::holds_alternative<LineError>(answers.back()) ? 1 : 0;
        writer.add(answers.back(), 100 * kSecond);
    }
    CHECK_FALSE(writer.due(100 * kSecond + kSecond / 2 - 1));
    CHECK(writer.due(100 * kSecond + kSecond / 2));
    const auto entry = writer.seal();
    REQUIRE(entry);
    CHECK(entry->name == "002-00017-000001.h5");
    CHECK(entry->errors == errors);
    CHECK(entry->answers + entry->errors == 50);
    CHECK(writer.rows() == 0);
    CHECK_FALSE(writer.due(500 * kSecond));
    CHECK(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()) == 1);
    ShardRead read = read_shard(folder.path(), *entry);
    REQUIRE(read.table);
    for (std::size_t i = 0; i < answers.size(); ++i) REQUIRE(answer_at(*read.table, i) == answers[i]);
    writer.add(answers[0], 700 * kSecond);
    CHECK_FALSE(writer.due(700 * kSecond + 30 * kSecond - 1));  // 600 s old: 37 s would be a sixteenth
    CHECK(writer.due(730 * kSecond));
    CHECK(writer.seal()->name == "002-00017-000002.h5");

    const fs::path path = folder.path() / entry->name;
    const std::string whole = read_whole_file(path);
    const auto damage_of = [&](const std::string& bytes) {
        std::ofstream(path, std::ios::binary) << bytes;
        const ShardRead damaged = read_shard(folder.path(), *entry);
        CHECK_FALSE(damaged.table);
        CHECK(damaged.damage.find(path.string()) != std::string::npos);
        return damaged.damage;
    };
    for (int i = 0; i < 200; ++i) {
        std::string wrong = whole;
        wrong[random() % wrong.size()] ^= static_cast<char>(1 << random() % 8);
        REQUIRE(damage_of(wrong).find("checksum") != std::string::npos);
    }
    for (const std::size_t size : {std::size_t{0}, std::size_t{100}, whole.size() - 1})
        REQUIRE(damage_of(whole.substr(0, size)).find("bytes") != std::string::npos);
    damage_of(whole + "x");
    std::ofstream(path, std::ios::binary) << whole;
    CHECK(read_shard(folder.path(), *entry).table);
    ShardEntry more = *entry;
    ++more.answers;
    CHECK(read_shard(folder.path(), more).damage.find("the manifest lists 51") != std::string::npos);
    fs::remove(path);
    CHECK(read_shard(folder.path(), *entry).damage.find("No such file") != std::string::npos);
}

TEST_CASE("a shard is due by rows and by bytes, whatever the time") {
    test::TempDir folder;
    ShardWriter rows(folder.path(), 1, 0, 0);
    for (std::int64_t i = 1; i < kShardRowsMax; ++i) rows.add(LineError{.line = i}, 0);
    CHECK_FALSE(rows.due(0));
    rows.add(LineError{.line = kShardRowsMax}, 0);
    CHECK(rows.due(0));
    ShardWriter bytes(folder.path(), 1, 0, 0);
    bytes.add(LineError{.line = 1, .sentence = std::string(kShardBytesMax - 10000, 'x')}, 0);
    CHECK_FALSE(bytes.due(0));
    bytes.add(LineError{.line = 2, .sentence = std::string(10000, 'x')}, 0);
    CHECK(bytes.due(0));
    CHECK(seal_interval_ns(0) == 500'000'000);
    CHECK(seal_interval_ns(160'000'000'000) == 10'000'000'000);
    CHECK(seal_interval_ns(std::int64_t{1} << 60) == 30'000'000'000);
}

TEST_CASE("bytes that are no shard are an error, whatever they are") {
    std::mt19937 random(15);
    std::vector<StoredAnswer> answers;
    for (int i = 0; i < 5; ++i) answers.push_back(test::random_answer(random, i + 1));
    const std::string whole = shard_image(table_of(answers));
    CHECK(sentence_of([] { read_shard_image("", "a.h5"); }).find("a.h5 is no HDF5 file") != std::string::npos);
    CHECK(sentence_of([] { read_shard_image("text", "a.h5"); }).find("no HDF5 file") != std::string::npos);
    for (std::size_t size = 0; size < whole.size(); size += 97)
        CHECK_THROWS_AS(read_shard_image(std::string_view(whole).substr(0, size), "a.h5"), Error);
}
