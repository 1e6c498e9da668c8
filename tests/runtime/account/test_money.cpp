// Integer money: splits close and stay within a unit of the true share, decimals go in and out exactly.
#include <catch2/catch.hpp>

#include <numeric>
#include <random>

#include "kernels/base/error.hpp"
#include "runtime/account/money.hpp"

using namespace argosy;
using namespace argosy::money;

TEST_CASE("a split gives the largest remainders one more, the first among equals") {
    const std::vector<std::int64_t> ones{1, 1, 1};
    CHECK(split_amount(10, ones) == std::vector<std::int64_t>{4, 3, 3});
    const std::vector<std::int64_t> weights{5, 3, 1, 0};
    CHECK(split_amount(7, weights) == std::vector<std::int64_t>{4, 2, 1, 0});  // 3.89 2.33 0.78 0
    CHECK(split_amount(0, weights) == std::vector<std::int64_t>{0, 0, 0, 0});
    CHECK(split_amount(9, std::vector<std::int64_t>{0, 0}) == std::vector<std::int64_t>{0, 0});
    CHECK(split_amount(9, std::vector<std::int64_t>{}).empty());
    CHECK_THROWS_AS(split_amount(-1, weights), Error);
    CHECK_THROWS_AS(split_amount(1, std::vector<std::int64_t>{1, -1}), Error);
}

TEST_CASE("random splits close exactly, keep the order of weights, and are off by less than a unit") {
    std::mt19937_64 random(11);
    for (int round = 0; round < 5000; ++round) {
        const int bits = static_cast<int>(random() % 40);
        std::vector<std::int64_t> weights(1 + random() % 17);
        for (auto& weight : weights) weight = static_cast<std::int64_t>(random() & ((std::uint64_t{1} << bits) - 1));
        const auto amount = static_cast<std::int64_t>(random() >> (1 + random() % 63));
        const __int128 sum = std::accumulate(weights.begin(), weights.end(), __int128{0});
        const std::vector<std::int64_t> parts = split_amount(amount, weights);
        REQUIRE(std::accumulate(parts.begin(), parts.end(), std::int64_t{0}) == (sum == 0 ? 0 : amount));
        for (std::size_t i = 0; i < parts.size() && sum > 0; ++i) {
            const __int128 off = __int128{parts[i]} * sum - __int128{amount} * weights[i];
            REQUIRE((off < sum && off > -sum));
            for (std::size_t j = 0; j < parts.size(); ++j) {
                if (weights[i] > weights[j]) REQUIRE(parts[i] >= parts[j]);
            }
        }
    }
}

TEST_CASE("a split of huge weights still closes") {
    std::mt19937_64 random(12);
    for (int round = 0; round < 1000; ++round) {
        std::vector<__int128> weights(1 + random() % 9);
        for (auto& weight : weights)
            weight = (__int128{static_cast<std::int64_t>(random() >> 1)} << (random() % 60)) + 1;
        const auto amount = static_cast<std::int64_t>(random() >> 1);
        const std::vector<std::int64_t> parts = split_amount(amount, weights);
        REQUIRE(std::accumulate(parts.begin(), parts.end(), std::int64_t{0}) == amount);
        for (const std::int64_t part : parts) REQUIRE(part >= 0);
    }
}

TEST_CASE("prices are parsed exactly or not at all") {
    CHECK(parse_nano("1.30") == 1'300'000'000);
    CHECK(parse_nano("0.014") == 14'000'000);
    CHECK(parse_nano("7") == 7'000'000'000);
    CHECK(parse_nano("0.000000001") == 1);
    CHECK(parse_nano("9223372036.854775807") == INT64_MAX);
    for (const char* bad : {"", ".", "1.", ".5", "-1", "+1", "1e3", "1,5", "1.0000000001", "0x10", " 1", "1 ", "nan",
                            "9223372036.854775808", "99999999999", "1.2.3"}) {
        CAPTURE(bad);
        CHECK_FALSE(parse_nano(bad).has_value());
    }
}

TEST_CASE("numbers are printed rounded half away from zero") {
    CHECK(decimal(5'200'000'000, 3) == "5.200");
    CHECK(decimal(500'000'000, 0) == "1");
    CHECK(decimal(499'999'999, 0) == "0");
    CHECK(decimal(1, 9) == "0.000000001");
    CHECK(decimal(-1'250'000'000, 1) == "-1.3");
    CHECK(decimal(12'345'678'900'000'000, 2) == "12345678.90");
    CHECK(significant(19'230'000, 4) == "0.01923");
    CHECK(significant(1'811'000'000, 4) == "1.811");
    CHECK(significant(227'900'000'000, 4) == "227.9");
    CHECK(significant(12'345'600'000'000, 4) == "12346");
    CHECK(significant(0, 4) == "0");
    CHECK(grouped(0) == "0");
    CHECK(grouped(999) == "999");
    CHECK(grouped(1000) == "1,000");
    CHECK(grouped(-12345678) == "-12,345,678");
}

TEST_CASE("prices per million tokens") {
    CHECK(price_per_million(5'200'000'000, 20'000'000) == 260'000'000);  // $5.20 over 20 M = $0.26
    CHECK_FALSE(price_per_million(1, 0).has_value());
    CHECK_FALSE(price_per_million(INT64_MAX, 1).has_value());
    // $1.30/h over 2061.5 tok/s = $0.175/M
    CHECK(decimal(*price_per_million_at_rate(1'300'000'000, 1, 2'061'500), 3) == "0.175");
    CHECK_FALSE(price_per_million_at_rate(1'300'000'000, 1, 0).has_value());
}
