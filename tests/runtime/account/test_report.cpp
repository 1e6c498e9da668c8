// The report: a golden text, columns that add up as printed, and JSON that holds the same numbers and fits its schema.
#include <catch2/catch.hpp>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "runtime/account/money.hpp"
#include "runtime/account/report.hpp"
#include "tests/runtime/account/random_ledgers.hpp"
#include "tests/support/shared_data.hpp"

using namespace argosy;
using namespace argosy::test;
using Json = nlohmann::json;
using Catch::Matchers::Contains;

namespace {

std::string file_text(const std::filesystem::path& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

Provenance small_provenance() {
    Provenance p;
    p.version = "0.1.0";
    p.numerics_id = "cpu-exact-1";
    p.model = "demo";
    p.model_digest = "0123abcd";
    p.input_digest = "4567ef89";
    p.layout = "replicas 1 x pp 1 x dp 1 x tp 2, ep 2 etp 1";
    p.host = "2 ranks on 1 node";
    p.isa = "avx2";
    p.settings_path = "out/effective.cfg";
    p.started_utc = "2026-11-23T10:00:00Z";
    p.same_bits = "not falsified (threads, ISA)";
    return p;
}

std::vector<RankLedger> small_ranks() {
    constexpr std::int64_t ms = 1'000'000;
    std::vector<RankLedger> ranks;
    for (int r = 0; r < 2; ++r) {
        RankLedger rank = rank_with(r, {{Phase::none, Account::launch, 120 * ms},
                                        {Phase::none, Account::load_read, (200 + 10 * r) * ms},
                                        {Phase::none, Account::load_pack, 80 * ms},
                                        {Phase::prefill, Account::attention, 300 * ms},
                                        {Phase::prefill, Account::experts, (500 - 100 * r) * ms},
                                        {Phase::decode, Account::attention, 900 * ms},
                                        {Phase::decode, Account::experts, (1500 + 123 * r) * ms},
                                        {Phase::decode, Account::logits, 200 * ms},
                                        {Phase::decode, Account::sample, 45 * ms},
                                        {Phase::decode, Account::leaf_sum, 77 * ms},
                                        {Phase::decode, Account::dispatch_combine, 150 * ms + 7},
                                        {Phase::decode, Account::wait_leaf_sum, (133 - 33 * r) * ms},
                                        {Phase::none, Account::router, 1 * ms},
                                        {Phase::none, Account::output, 50 * ms},
                                        {Phase::none, Account::other, ms / 2}});
        rank.threads = 1;
        rank.cpu_ns = 4'000 * ms + r;
        rank.max_rss_bytes = (300 + r) << 20;
        rank.weight_bytes_private = 40 << 20;
        rank.kv_bytes = 64 << 20;
        rank.bytes_read = (40 + r) << 20;
        count_sent(rank, SentVerb::all_gather, 1'234'567);
        count_sent(rank, SentVerb::all_to_all_v, 98'765);
        count(rank, Witness::steps, 321);
        count(rank, Witness::prefill_rows, 4000);
        count(rank, Witness::decode_rows, 2000);
        count(rank, Witness::leaf_sums, 1284);
        ranks.push_back(rank);
    }
    count(ranks[0], Witness::preemptions, 3);
    count(ranks[0], Witness::requests_done, 197);
    count(ranks[0], Witness::requests_failed, 3);
    count_tokens(ranks[0], Phase::prefill, TokenClass::uncached_input, 8'000);
    count_tokens(ranks[0], Phase::prefill, TokenClass::cached_input, 1'500);
    count_tokens(ranks[0], Phase::decode, TokenClass::delivered_output, 4'000);
    count_tokens(ranks[0], Phase::decode, TokenClass::discarded, 25);
    return ranks;
}

RunReport small_report(bool priced) {
    const std::vector<std::filesystem::path> folders{source_dir() / "configs/costs"};
    std::optional<CostProfile> profile;
    if (priced) {
        profile = load_cost_profile("academic:core-EUR", folders);
        profile->path = "configs/costs/academic.ini";
    }
    return make_report(small_provenance(), small_ranks(), profile);
}

// What of JSON Schema the report's schema uses. Returns the first violation, "" if there is none.
std::string violation(const Json& value, const Json& schema, const Json& root, const std::string& where) {
    if (schema.contains("$ref")) {
        return violation(value, root.at(Json::json_pointer(schema["$ref"].get<std::string>().substr(1))), root, where);
    }
    if (schema.contains("enum")) {
        for (const Json& allowed : schema["enum"]) {
            if (allowed == value) return "";
        }
        return where + ": not in enum";
    }
    const Json types = schema["type"].is_array() ? schema["type"] : Json::array({schema["type"]});
    bool typed = false;
    for (const Json& type : types) {
        typed |= (type == "null" && value.is_null()) || (type == "integer" && value.is_number_integer()) ||
                 (type == "number" && value.is_number()) || (type == "string" && value.is_string()) ||
                 (type == "boolean" && value.is_boolean()) || (type == "object" && value.is_object()) ||
                 (type == "array" && value.is_array());
    }
    if (!typed) return where + ": type " + value.type_name() + " is not " + types.dump();
    if (value.is_array()) {
        if (value.size() < schema.value("minItems", 0u) || value.size() > schema.value("maxItems", 1'000'000u))
            return where + ": size";
        for (std::size_t i = 0; i < value.size(); ++i) {
            const std::string found = violation(value[i], schema["items"], root, where + "/" + std::to_string(i));
            if (!found.empty()) return found;
        }
    }
    if (!value.is_object()) return "";
    for (const Json& key : schema.value("required", Json::array())) {
        if (!value.contains(key.get<std::string>())) return where + ": lacks " + key.get<std::string>();
    }
    for (const auto& [key, member] : value.items()) {
        const Json& properties = schema.contains("properties") ? schema["properties"] : Json::object();
        const Json& rest = schema.contains("additionalProperties") ? schema["additionalProperties"] : Json(true);
        if (!properties.contains(key) && rest == false) return where + ": does not know " + key;
        if (!properties.contains(key) && !rest.is_object()) continue;
        const std::string found =
            violation(member, properties.contains(key) ? properties[key] : rest, root, where + "/" + key);
        if (!found.empty()) return found;
    }
    return "";
}

Json schema() { return Json::parse(file_text(source_dir() / "configs/report.schema.json")); }

// The table's rows of a text report: label, then the six columns as printed.
std::vector<std::pair<std::string, std::vector<std::string>>> table_of(const std::string& text) {
    std::vector<std::pair<std::string, std::vector<std::string>>> rows;
    std::istringstream lines(text);
    std::string line;
    bool inside = false;
    while (std::getline(lines, line)) {
        if (line.rfind(" account ", 0) == 0) {
            inside = true;
            continue;
        }
        if (!inside) continue;
        std::istringstream words(line.substr(21));
        std::vector<std::string> columns(6);
        for (std::string& column : columns) words >> column;
        std::string label = line.substr(1, 20);
        label.erase(label.find_last_not_of(' ') + 1);
        rows.emplace_back(label, columns);
        if (label == "total") break;
    }
    return rows;
}

}  // namespace

TEST_CASE("the text of a small report is the golden one") {
    const auto folder = source_dir() / "tests/runtime/account";
    for (const bool priced : {false, true}) {
        const auto path = folder / (priced ? "golden_report_priced.txt" : "golden_report.txt");
        const std::string text = report_text(small_report(priced));
        if (const char* update = std::getenv("ARGOSY_UPDATE_GOLDEN"); update && std::string(update) == "1")
            std::ofstream(path) << text;
        CHECK(text == file_text(path));
    }
}

TEST_CASE("printed amounts and percents of any report add up to the printed total") {
    std::mt19937_64 random(17);
    for (int round = 0; round < 1000; ++round) {
        const RandomJob job = random_job(random);
        const RunReport report = make_report({}, job.ranks, job.profile, job.request_span());
        const auto rows = table_of(report_text(report));
        REQUIRE(rows.size() >= 2);
        REQUIRE(rows.back().first == "total");
        std::int64_t amounts = 0, percents = 0;
        for (std::size_t i = 0; i + 1 < rows.size(); ++i) {
            amounts += *money::parse_nano(rows[i].second[4]);
            percents += *money::parse_nano(rows[i].second[5]);
        }
        CAPTURE(round, report_text(report));
        REQUIRE(amounts == *money::parse_nano(rows.back().second[4]));
        REQUIRE(percents == *money::parse_nano(rows.back().second[5]));
    }
}

TEST_CASE("rows partition the bill and the ranks' lives") {
    std::mt19937_64 random(18);
    for (int round = 0; round < 1000; ++round) {
        const RandomJob job = random_job(random);
        const Bill bill = job.bill();
        std::int64_t amount = 0, ns = 0;
        for (const ReportRow& row : report_rows(job.ranks, bill)) amount += row.amount, ns += row.sum_ns;
        REQUIRE(amount == bill.total);
        REQUIRE(ns == bill.rank_ns);
    }
}

TEST_CASE("every report fits the schema, and holds the bill's numbers") {
    const Json root = schema();
    std::mt19937_64 random(19);
    for (int round = 0; round < 300; ++round) {
        const RandomJob job = random_job(random);
        const RunReport report =
            make_report(round % 2 ? small_provenance() : Provenance{}, job.ranks, job.profile, job.request_span());
        const Json json = Json::parse(report_json(report));
        REQUIRE(violation(json, root, root, "") == "");
        REQUIRE(json["bill"]["total"] == report.bill.total);
        REQUIRE(json["ranks"].size() == job.ranks.size());
        REQUIRE(json["energy"].is_null());
        std::int64_t accounts = 0;
        for (const Json& account : json["accounts"]) accounts += account["amount"].get<std::int64_t>();
        REQUIRE(accounts == report.bill.total);
    }
    CHECK(violation(Json::parse(report_json(make_report({}, {}, {}))), root, root, "") == "");
    for (int w = 0; w < kWitnessCount; ++w) {
        std::vector<RankLedger> one(1);
        one[0].witness[static_cast<std::size_t>(w)] = 42 + w;
        CHECK(Json::parse(report_json(
                  make_report({}, one, {})))["witness"][std::string(key_of(static_cast<Witness>(w)))] == 42 + w);
    }
}

TEST_CASE("the schema refuses what is not a report") {
    const Json root = schema();
    const Json good = Json::parse(report_json(small_report(true)));
    REQUIRE(violation(good, root, root, "") == "");
    Json bad = good;
    bad.erase("witness");
    CHECK(violation(bad, root, root, "") == ": lacks witness");
    bad = good;
    bad["schema"] = "argosy-report-0";
    CHECK(violation(bad, root, root, "") == "/schema: not in enum");
    bad = good;
    bad["bill"]["total"] = "5.2";
    CHECK_THAT(violation(bad, root, root, ""), Contains("/bill/total: type string"));
    bad = good;
    bad["ranks"][1]["more"] = 1;
    CHECK(violation(bad, root, root, "") == "/ranks/1: does not know more");
    bad = good;
    bad["energy"] = 0;
    CHECK_THAT(violation(bad, root, root, ""), Contains("/energy"));
}

TEST_CASE("what must not be overlooked stands in the report") {
    std::vector<RankLedger> ranks = small_ranks();
    ranks[1].totals_ns[0][0] += 1;
    const std::string invalid = report_text(make_report({}, ranks, {}));
    CHECK_THAT(invalid, Contains("COST  INVALID") && Contains("INVALID because: The accounts of rank 1 hold"));
    CHECK_THAT(invalid, Contains("checks 3/4"));

    ranks = small_ranks();
    for (RankLedger& rank : ranks) rank.cpus[0] = 1;
    CHECK_THAT(report_text(make_report({}, ranks, {})), Contains("ranks share cores: figures for correctness only"));
    CHECK_THAT(report_text(small_report(false)), !Contains("correctness only"));
    CHECK_THAT(report_text(small_report(false)), Contains("energy: not measured"));

    const std::vector<std::filesystem::path> folders{source_dir() / "configs/costs"};
    CHECK_THAT(
        report_text(make_report(small_provenance(), small_ranks(), load_cost_profile("site-allocation:core", folders))),
        Contains("PLACEHOLDER PRICE") && Contains("UNDATED PRICE"));
    CHECK_THAT(report_text(small_report(true)), Contains("STALE PRICE"));
    CHECK_THAT(report_text(make_report({}, {}, {})), Contains("no tokens: the bill is all overhead"));

    Provenance odd;
    odd.host = "caf\xE9";
    CHECK_NOTHROW(Json::parse(report_json(make_report(odd, small_ranks(), {}))));
}
