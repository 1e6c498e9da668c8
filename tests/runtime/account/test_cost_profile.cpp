// Cost profiles: the strict parser and its sentences, the search by name, and the shipped profiles.
#include <catch2/catch.hpp>

#include <filesystem>
#include <fstream>
#include <functional>
#include <random>

#include "kernels/base/error.hpp"
#include "runtime/account/cost_profile.hpp"
#include "tests/support/shared_data.hpp"

using namespace argosy;
namespace fs = std::filesystem;
using Catch::Matchers::Contains;

namespace {

const std::string kGood = "name = a\nsource = s\ndate = 2026-04\ncurrency = USD\nprice_per_core_hour = 0.014\n";

std::string sentence_of(const std::function<void()>& act, ErrorKind kind = ErrorKind::input) {
    try {
        act();
    } catch (const Error& error) {
        CHECK(error.kind() == kind);
        return error.what();
    }
    return "no error";
}

std::string parse_error(const std::string& text) {
    return sentence_of([&] { parse_cost_profiles(text, "f.ini"); });
}

fs::path shipped() { return test::source_dir() / "configs/costs"; }

CostProfile load(const std::string& wanted) {
    return load_cost_profile(wanted, std::vector<fs::path>{"/nonexistent", shipped()});
}

}  // namespace

TEST_CASE("a profile without sections") {
    const auto profiles = parse_cost_profiles(
        "\xEF\xBB\xBF# comment\r\n\r\n  name =  a b \r\nsource = s # 828\r\ndate=2026-04-03\r\ncurrency = "
        "EUR\r\nplaceholder = yes\r\nprice_per_node_hour = 1.25\r\nnote = x = y",
        "f.ini");
    REQUIRE(profiles.size() == 1);
    const CostProfile expected{"a b",         "",   "s # 828", "2026-04-03", "EUR", PriceBasis::node,
                               1'250'000'000, true, "x = y",   "f.ini"};
    CHECK(profiles[0] == expected);
}

TEST_CASE("sections inherit what stands before them and may replace it") {
    const auto profiles =
        parse_cost_profiles(kGood + "note = n\n[H100]\nprice_per_gpu_hour = 1.3\ndate = 2025\n[plain]\n", "f.ini");
    REQUIRE(profiles.size() == 2);
    CHECK(profiles[0] ==
          CostProfile{"a", "H100", "s", "2025", "USD", PriceBasis::gpu, 1'300'000'000, false, "n", "f.ini"});
    CHECK(profiles[1] ==
          CostProfile{"a", "plain", "s", "2026-04", "USD", PriceBasis::core, 14'000'000, false, "n", "f.ini"});
}

TEST_CASE("every mistake in a profile gets a sentence with its line") {
    CHECK_THAT(parse_error(kGood + "prise_per_gpu_hour = 1\n"),
               Contains("f.ini:6") && Contains("did you mean 'price_per_gpu_hour'"));
    CHECK_THAT(parse_error(kGood + "currencies = USD\n"), Contains("f.ini:6") && Contains("'currency'"));
    CHECK_THAT(parse_error(kGood + "price_per_gpu_hour = 1\n"), Contains("f.ini:6") && Contains("second price"));
    CHECK_THAT(parse_error(kGood + "name = b\n"), Contains("f.ini:6") && Contains("twice"));
    CHECK_THAT(parse_error(kGood + "note =\n"), Contains("f.ini:6") && Contains("no value"));
    CHECK_THAT(parse_error(kGood + "hello\n"), Contains("f.ini:6") && Contains("neither"));
    CHECK_THAT(parse_error(kGood + "[H100\n"), Contains("f.ini:6") && Contains("not a section"));
    CHECK_THAT(parse_error(kGood + "[]\n"), Contains("not a section"));
    CHECK_THAT(parse_error(kGood + "[a]\n[A]\n"), Contains("f.ini:7") && Contains("twice"));
    CHECK_THAT(parse_error(kGood + "placeholder = true\n"), Contains("f.ini:6") && Contains("yes nor no"));
    CHECK_THAT(parse_error("date = yesterday\n"), Contains("f.ini:1") && Contains("not a date"));
    CHECK_THAT(parse_error("date = 2026-13\n"), Contains("not a date"));
    CHECK_THAT(parse_error("currency = $\n"), Contains("currency code"));
    CHECK_THAT(parse_error("price_per_core_hour = 1e3\n"), Contains("f.ini:1") && Contains("plain decimal"));
    CHECK_THAT(parse_error(""), Contains("f.ini:1") && Contains("lacks the key 'name'"));
    CHECK_THAT(parse_error("name = a\nsource = s\ndate = 2026\ncurrency = USD\n\n[x]\nnote = n\n"),
               Contains("f.ini:6") && Contains("[x] lacks a price"));
    CHECK_THAT(parse_error("name = a\nsource = s\ncurrency = USD\nprice_per_core_hour = 1\n"),
               Contains("lacks the key 'date'"));
}

TEST_CASE("damaged profiles are refused with a sentence or read, never worse") {
    std::mt19937_64 random(3);
    const std::string whole = kGood + "[H100]\nprice_per_gpu_hour = 1.3\nnote = n\n[B]\ndate = 2024-01-02\n";
    int refused = 0;
    for (int round = 0; round < 5000; ++round) {
        std::string text = whole.substr(0, random() % (whole.size() + 1));
        for (std::uint64_t i = 0; i < random() % 4 && !text.empty(); ++i)
            text[random() % text.size()] = static_cast<char>(random() % 256);
        try {
            for (const CostProfile& profile : parse_cost_profiles(text, "f.ini")) {
                REQUIRE_FALSE(profile.name.empty());
                REQUIRE(profile.price_nano_per_hour >= 0);
            }
        } catch (const Error& error) {
            ++refused;
            REQUIRE(error.kind() == ErrorKind::input);
        }
    }
    CHECK(refused > 1000);
}

TEST_CASE("a profile is found by name, by name and resource, by path") {
    CHECK(load("own-hyperscaler:H100").price_nano_per_hour == 1'300'000'000);
    CHECK(load("own-hyperscaler:h100") == load("own-hyperscaler:H100"));
    CHECK(load((shipped() / "own-hyperscaler.ini").string() + ":H100") == load("own-hyperscaler:H100"));
    CHECK(load("electricity-only").price_nano_per_hour == 140'000'000);
    CHECK(describe(load("own-hyperscaler:H100")) == "own-hyperscaler 2026-04-03 (H100 $1.30/gpu-h)");
    CHECK(describe(load("academic:core-first-tier")) == "academic undated (core-first-tier $0.014/core-h)");

    const auto refused = [](const std::string& wanted) { return sentence_of([&] { load(wanted); }, ErrorKind::usage); };
    CHECK_THAT(refused("own-hyperscalar"), Contains("did you mean 'own-hyperscaler'"));
    CHECK_THAT(refused("own-hyperscaler"), Contains("several resources") && Contains("own-hyperscaler:H100"));
    CHECK_THAT(refused("own-hyperscaler:H101"), Contains("own-hyperscaler:H100"));
    CHECK_THAT(refused("./missing.ini"), Contains("cannot be read"));
    CHECK_THAT(sentence_of([] { load_cost_profile("x", {}); }, ErrorKind::usage), Contains("no profile was found"));

    const test::TempDir first, second;
    std::ofstream(first.path() / "p.ini") << kGood;
    std::ofstream(second.path() / "p.ini") << "broken";
    CHECK(load_cost_profile("p", std::vector<fs::path>{first.path(), second.path()}).name == "a");
    CHECK_THAT(sentence_of([&] {
                   load_cost_profile("p", std::vector<fs::path>{second.path(), first.path()});
               }),
               Contains("p.ini:1"));
}

TEST_CASE("every shipped profile reads, bears its file's name, has a source and a sensible price") {
    const std::vector<fs::path> folders{shipped()};
    const std::vector<std::string> names = cost_profile_names(folders);
    CHECK(names.size() >= 12);
    std::size_t prices = 0;
    for (const std::string& name : names) {
        std::ifstream file(shipped() / (name + ".ini"));
        const std::string text(std::istreambuf_iterator<char>(file), {});
        for (const CostProfile& profile : parse_cost_profiles(text, name + ".ini")) {
            CAPTURE(describe(profile));
            CHECK(profile.name == name);
            CHECK(profile.price_nano_per_hour >= 1'000'000);
            CHECK(profile.price_nano_per_hour <= 20'000'000'000);
            CHECK(load(name + ":" + profile.resource).price_nano_per_hour == profile.price_nano_per_hour);
            ++prices;
        }
    }
    CHECK(prices >= 50);
    CHECK(load("own-hyperscaler:B300").placeholder);
    CHECK_FALSE(load("own-hyperscaler:H100").placeholder);
    CHECK(load("site-allocation:core").placeholder);
}

TEST_CASE("shipped prices are those of the survey they come from") {
    if (!test::have_shared("cost-facts/prices.csv", "prices of the survey")) return;
    std::ifstream file(*test::shared_dir() / "cost-facts/prices.csv");
    std::string line;
    int compared = 0;
    while (std::getline(file, line)) {
        // resource,profile,tier,price,...: rows of the owners' and contract profiles have no tier and no quotes before
        // the price.
        std::vector<std::string> cells(1);
        for (const char c : line) {
            if (c == ',')
                cells.emplace_back();
            else
                cells.back() += c;
        }
        if (cells.size() < 5 ||
            (cells[1] != "own-hyperscaler" && cells[1] != "own-neocloud" && cells[1] != "rental-3y"))
            continue;
        CHECK(static_cast<double>(load(cells[1] + ":" + cells[0]).price_nano_per_hour) ==
              Approx(std::stod(cells[3]) * 1e9));
        ++compared;
    }
    CHECK(compared == 27);
}

TEST_CASE("a price is stale after twelve months or without a date") {
    CostProfile profile;
    const auto stale = [&](const std::string& date, const std::string& today) {
        profile.date = date;
        return is_stale(profile, today);
    };
    CHECK_FALSE(stale("2026-04-03", "2026-11-23T10:00:00Z"));
    CHECK_FALSE(stale("2025-11", "2026-11-23"));
    CHECK(stale("2025-10", "2026-11-23"));
    CHECK_FALSE(stale("2025", "2026-11-23"));
    CHECK(stale("2024", "2026-11-23"));
    CHECK(stale("undated", ""));
    CHECK_FALSE(stale("2020", ""));
}
