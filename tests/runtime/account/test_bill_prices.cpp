// Prices that others published, reproduced by the bill's own functions: one bill, four conventions, and rows of public
// measurements.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <fstream>
#include <set>

#include "runtime/account/money.hpp"
#include "tests/runtime/account/random_ledgers.hpp"
#include "tests/support/shared_data.hpp"

using namespace argosy;

namespace {

CostProfile shipped(const std::string& name) {
    return load_cost_profile(name, std::vector<std::filesystem::path>{test::source_dir() / "configs/costs"});
}

std::string dollars(std::optional<std::int64_t> nano) { return nano ? money::decimal(*nano, 3) : "none"; }

constexpr std::int64_t kDayNs = std::int64_t{24} * money::kNsPerHour;
constexpr std::int64_t kInput = 608'000'000'000;   // tokens of the day
constexpr std::int64_t kCached = 342'000'000'000;  // of them found in the cache
constexpr std::int64_t kOutput = 168'000'000'000;

// DeepSeek's day (open-infra-index, day 6): 226.75 nodes of 8 H800 on average; 73.7k tokens in and 14.8k out per
// node-second, so that input needs 95.5 nodes and output 131.4: every node's day is split in that proportion.
std::vector<RankLedger> deepseek_day() {
    const std::int64_t input_ns = kInput / 73'700 * 1'000'000'000;  // node time that input needs
    const std::int64_t output_ns = kOutput / 14'800 * 1'000'000'000;
    std::vector<RankLedger> nodes;
    for (int i = 0; i < 227; ++i) {
        const std::int64_t life_ns = i < 226 ? kDayNs : kDayNs / 4 * 3;
        const auto prefill_ns = static_cast<std::int64_t>(__int128{life_ns} * input_ns / (input_ns + output_ns));
        nodes.push_back(test::rank_with(i, {{Phase::prefill, Account::experts, prefill_ns},
                                            {Phase::decode, Account::experts, life_ns - prefill_ns}}));
        set_node(nodes.back(), "node" + std::to_string(i));
        nodes.back().gpus_milli = 8000;
    }
    count_tokens(nodes[0], Phase::prefill, TokenClass::uncached_input, kInput - kCached);
    count_tokens(nodes[1], Phase::prefill, TokenClass::cached_input, kCached);
    count_tokens(nodes[2], Phase::decode, TokenClass::delivered_output, kOutput);
    return nodes;
}

}  // namespace

TEST_CASE("DeepSeek's day has four prices under four conventions, from one bill that closes") {
    CostProfile per_node = shipped("rental-assumed:H800");
    per_node.basis = PriceBasis::node;
    per_node.price_nano_per_hour *= 8;
    for (const CostProfile& profile : {shipped("rental-assumed:H800"), per_node}) {
        const Bill bill = make_bill(deepseek_day(), profile);
        CAPTURE(bill.reason(), describe(profile));
        REQUIRE(bill.valid());
        CHECK(money::decimal(bill.total, 2) == "87072.00");
        const BillPrices prices = prices_of(bill);
        CHECK(dollars(prices.input_loaded) == "0.060");  // all input
        CHECK(dollars(prices.loaded[static_cast<int>(TokenClass::uncached_input)]) ==
              "0.138");  // input that was computed
        CHECK(dollars(prices.loaded[static_cast<int>(TokenClass::delivered_output)]) == "0.300");  // output
        CHECK(dollars(prices.all) == "0.112");                                                     // blended
        CHECK(dollars(prices.delivered) == "0.518");  // output carries everything
    }
}

TEST_CASE("published prices per million follow from rate and price") {
    const auto price = [](const std::string& profile, std::int64_t devices, std::int64_t tokens_milli_per_second) {
        return money::price_per_million_at_rate(shipped(profile).price_nano_per_hour, devices, tokens_milli_per_second);
    };
    CHECK(money::decimal(*price("rental-assumed:H100", 8, 22'280'000), 2) ==
          "0.20");  // SGLang, 72 H100 decode nodes: 2785 each
    CHECK(dollars(price("own-hyperscaler:MI300X", 1, 2'008'000)) == "0.155");    // InferenceX, output, gpt-oss-120b
    CHECK(dollars(price("own-hyperscaler:H100", 2, 2 * 2'061'500)) == "0.175");  // InferenceX, output, gpt-oss-120b TP2
    CHECK(money::decimal(*price("own-hyperscaler:B200", 8, 8 * 340'000), 2) ==
          "1.59");  // InferenceX, total, DeepSeek-R1 TP8
    CHECK(money::decimal(*price("own-hyperscaler:H100", 8, 8 * 129'600), 2) ==
          "2.79");  // InferenceX, output, gpt-oss-120b TP8
}

namespace {

// One line of a CSV file; a cell in quotes may hold commas.
std::vector<std::string> cells_of(const std::string& line) {
    std::vector<std::string> cells(1);
    bool quoted = false;
    for (const char c : line) {
        if (c == '"') {
            quoted = !quoted;
        } else if (c == ',' && !quoted) {
            cells.emplace_back();
        } else {
            cells.back() += c;
        }
    }
    return cells;
}

}  // namespace

TEST_CASE("rows of the survey: its dollars per million follow from its rates and the shipped prices") {
    if (!test::have_shared("cost-facts/throughput.csv", "prices of public measurements")) return;
    std::ifstream file(*test::shared_dir() / "cost-facts/throughput.csv");
    std::string line;
    std::getline(file, line);
    const std::vector<std::string> names = cells_of(line);
    std::set<std::string> seen;
    while (std::getline(file, line)) {
        const std::vector<std::string> cells = cells_of(line);
        const auto cell = [&](const std::string& name) {
            return cells.at(static_cast<std::size_t>(std::find(names.begin(), names.end(), name) - names.begin()));
        };
        // "out; own-hyperscaler; whole bill": token class, rate, devices. Interpolated dashboard rows say "printed".
        const std::string basis = cell("usd_basis");
        const std::string profile = basis.find("; $2/h") != std::string::npos              ? "rental-assumed"
                                    : basis.find("; own-hyperscaler") != std::string::npos ? "own-hyperscaler"
                                                                                           : "";
        const std::string token_class = basis.substr(0, basis.find(';'));
        if (profile.empty() || (token_class != "in" && token_class != "out" && token_class != "total")) continue;
        const std::string rate = cell("tok_s_per_gpu_" + token_class);
        if (rate.empty() || cell("per") != "gpu" || basis.find("printed") != std::string::npos ||
            basis.find("approximate") != std::string::npos)
            continue;
        const std::string printed = cell("usd_per_m");
        const auto per_second = static_cast<std::int64_t>(std::stod(rate) * 1000);
        const auto price = money::price_per_million_at_rate(
            shipped(profile + ":" + cell("hardware")).price_nano_per_hour, 1, per_second);
        CAPTURE(cell("id"), basis, rate, printed, *price);
        // Within half of the last printed digit, and what rounding of the printed rate adds.
        const std::size_t point = printed.find('.');
        const double half_digit =
            0.5 * std::pow(10.0, point == std::string::npos ? 0.0 : -static_cast<double>(printed.size() - point - 1));
        CHECK(static_cast<double>(*price) * 1e-9 ==
              Approx(std::stod(printed)).margin(half_digit + 0.002 * std::stod(printed)));
        seen.insert(cell("id"));
    }
    for (const char* id : {"C02", "C04", "C33", "C36", "C37", "C39"}) CHECK(seen.count(id) == 1);
}

TEST_CASE("both conventions that carry the whole bill twice are seen to do so") {
    // Input and output each carrying everything sum to twice the bill; the loaded prices sum to the bill.
    const Bill bill = make_bill(deepseek_day(), shipped("rental-assumed:H800"));
    __int128 carried = 0;
    for (const ClassAmount& amount : bill.classes) carried += amount.loaded;
    CHECK(carried == bill.total);
    const BillPrices prices = prices_of(bill);
    const __int128 output_carries = __int128{*prices.delivered} * kOutput / 1'000'000;
    const __int128 input_carries = __int128{*money::price_per_million(bill.total, kInput)} * kInput / 1'000'000;
    CHECK(static_cast<double>(output_carries + input_carries) ==
          Approx(2.0 * static_cast<double>(bill.total)).epsilon(1e-6));
}
