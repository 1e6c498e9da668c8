// The report as JSON, schema argosy-report-1 (configs/report.schema.json). Amounts are integers in the bill's unit;
// unknown is null.
#include <nlohmann/json.hpp>

#include "runtime/account/report_figures.hpp"

namespace argosy {

namespace {

using Json = nlohmann::ordered_json;

Json text_or_null(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }
Json number_or_null(const std::optional<std::int64_t>& number) { return number ? Json(*number) : Json(nullptr); }
Json spread_json(const Spread& s) { return {{"min", s.min}, {"avg", s.avg}, {"max", s.max}}; }

Json provenance_json(const Provenance& p) {
    return {{"version", text_or_null(p.version)},
            {"numerics_id", text_or_null(p.numerics_id)},
            {"model", text_or_null(p.model)},
            {"model_digest", text_or_null(p.model_digest)},
            {"input_digest", text_or_null(p.input_digest)},
            {"layout", text_or_null(p.layout)},
            {"host", text_or_null(p.host)},
            {"isa", text_or_null(p.isa)},
            {"settings_path", text_or_null(p.settings_path)},
            {"started_utc", text_or_null(p.started_utc)},
            {"same_bits", text_or_null(p.same_bits)}};
}

Json profile_json(const RunReport& report, const ReportFigures& f) {
    if (!report.profile) return nullptr;
    const CostProfile& p = *report.profile;
    return {{"name", p.name},
            {"resource", text_or_null(p.resource)},
            {"source", p.source},
            {"date", p.date},
            {"currency", p.currency},
            {"basis", name_of(p.basis)},
            {"price_nano_per_hour", p.price_nano_per_hour},
            {"placeholder", p.placeholder},
            {"stale", f.stale_price},
            {"note", text_or_null(p.note)},
            {"path", text_or_null(p.path)}};
}

Json checks_json(const Bill& bill) {
    Json checks = Json::array();
    for (const BillCheck& check : bill.checks) {
        checks.push_back({{"name", check.name},
                          {"valid", check.valid},
                          {"reason", text_or_null(check.reason)},
                          {"left", check.left},
                          {"right", check.right}});
    }
    return checks;
}

Json bill_json(const RunReport& report, const ReportFigures& f) {
    const Bill& bill = report.bill;
    const bool money = bill.unit == BillUnit::nano_money;
    return {{"valid", bill.valid()},
            {"reason", text_or_null(bill.reason())},
            {"unit", money ? "nano_money" : "rank_ns"},
            {"currency", money ? Json(report.profile->currency) : Json(nullptr)},
            {"total", bill.total},
            {"direct", bill.direct},
            {"overhead", bill.overhead},
            {"uncarried", bill.uncarried},
            {"rank_ns", bill.rank_ns},
            {"core_ns", bill.core_ns},
            {"utilisation", f.utilisation},
            {"checks", checks_json(bill)}};
}

Json blame_json(const RowBlame& blame) {
    if (blame.rank < 0) return nullptr;
    return {{"rank", blame.rank},
            {"account", name_of(blame.account)},
            {"expert", blame.expert >= 0 ? Json(blame.expert) : Json(nullptr)},
            {"ns", blame.ns},
            {"share", blame.share}};
}

Json rows_json(const RunReport& report, const ReportFigures& f) {
    Json rows = Json::array();
    const auto n = static_cast<double>(report.ranks.empty() ? 1 : report.ranks.size());
    for (const ReportRow& row : f.rows) {
        const double avg_ns = static_cast<double>(row.sum_ns) / n;
        rows.push_back({{"label", row.label},
                        {"min_ns", row.min_ns},
                        {"avg_ns", avg_ns},
                        {"max_ns", row.max_ns},
                        {"sum_ns", row.sum_ns},
                        {"max_over_avg", avg_ns > 0 ? Json(static_cast<double>(row.max_ns) / avg_ns) : Json(nullptr)},
                        {"amount", row.amount},
                        {"share", report.bill.total > 0
                                      ? Json(static_cast<double>(row.amount) / static_cast<double>(report.bill.total))
                                      : Json(nullptr)},
                        {"blame", blame_json(row.blame)}});
    }
    return rows;
}

Json waits_json(const RankLedger& rank) {
    Json waits = Json::array();
    for (const BlameEntry& entry : rank.blame) {
        if (entry.ns == 0) continue;
        waits.push_back({{"waiting", name_of(entry.waiting)},
                         {"rank", entry.rank >= 0 ? Json(entry.rank) : Json(nullptr)},
                         {"account", entry.rank >= 0 ? Json(name_of(entry.account)) : Json(nullptr)},
                         {"expert", entry.expert >= 0 ? Json(entry.expert) : Json(nullptr)},
                         {"ns", entry.ns},
                         {"longest_ns", entry.longest_ns},
                         {"waits", entry.waits}});
    }
    return waits;
}

Json kernels_json(const RankLedger& rank) {
    Json kernels = Json::array();
    for (const KernelEntry& entry : rank.kernels) {
        if (entry.totals.calls == 0) break;
        kernels.push_back({{"phase", name_of(entry.phase)},
                           {"account", name_of(entry.account)},
                           {"kernel", name_of(entry.kernel)},
                           {"ns", entry.totals.ns},
                           {"calls", entry.totals.calls},
                           {"rows", entry.totals.rows},
                           {"operations", entry.totals.operations},
                           {"bytes", entry.totals.bytes},
                           {"limit_ns", entry.totals.limit_ns > 0 ? Json(entry.totals.limit_ns) : Json(nullptr)}});
    }
    return kernels;
}

Json accounts_json(const RunReport& report) {
    Json accounts = Json::array();
    for (int p = 0; p < kPhaseCount; ++p) {
        for (int a = 0; a < kAccountCount; ++a) {
            std::int64_t min_ns = 0, max_ns = 0, sum_ns = 0;
            for (std::size_t i = 0; i < report.ranks.size(); ++i) {
                const std::int64_t ns = report.ranks[i].totals_ns[p][a];
                min_ns = i == 0 ? ns : std::min(min_ns, ns);
                max_ns = i == 0 ? ns : std::max(max_ns, ns);
                sum_ns += ns;
            }
            accounts.push_back({{"phase", name_of(static_cast<Phase>(p))},
                                {"account", name_of(static_cast<Account>(a))},
                                {"direct", is_direct(static_cast<Phase>(p), static_cast<Account>(a))},
                                {"min_ns", min_ns},
                                {"max_ns", max_ns},
                                {"sum_ns", sum_ns},
                                {"amount", report.bill.accounts[p][a]}});
        }
    }
    return accounts;
}

Json tokens_json(const RunReport& report, const ReportFigures& f) {
    Json tokens = Json::object();
    for (int c = 0; c < kTokenClassCount; ++c) {
        const ClassAmount& amount = report.bill.classes[c];
        tokens[std::string(key_of(static_cast<TokenClass>(c)))] = {
            {"tokens", amount.tokens},
            {"direct", amount.direct},
            {"loaded", amount.loaded},
            {"direct_per_million", number_or_null(f.prices.direct[c])},
            {"loaded_per_million", number_or_null(f.prices.loaded[c])}};
    }
    return tokens;
}

Json prices_json(const ReportFigures& f) {
    return {{"input_direct_per_million", number_or_null(f.prices.input_direct)},
            {"input_loaded_per_million", number_or_null(f.prices.input_loaded)},
            {"delivered_per_million", number_or_null(f.prices.delivered)},
            {"all_per_million", number_or_null(f.prices.all)}};
}

Json efficiency_json(const RunReport& report, const ReportFigures& f) {
    const Efficiency& e = f.efficiency;
    const auto known = [&](double value) { return e.known ? Json(value) : Json(nullptr); };
    return {{"window", "stepping"},
            {"load_balance", known(e.load_balance)},
            {"communication", known(e.communication)},
            {"serialisation", known(e.serialisation)},
            {"transfer", known(e.transfer)},
            {"parallel", known(e.parallel)},
            {"useful_ns", e.useful_ns},
            {"imbalance_ns", e.imbalance_ns},
            {"communication_ns", e.communication_ns},
            {"serialisation_ns", e.serialisation_ns},
            {"transfer_ns", e.transfer_ns},
            {"imbalance_amount", amount_of(e.imbalance_ns, report.bill)},
            {"communication_amount", amount_of(e.communication_ns, report.bill)},
            {"cpu_ns", e.cpu_ns},
            {"cpu_utilisation", report.bill.core_ns > 0 ? Json(e.cpu_utilisation) : Json(nullptr)}};
}

template <class Counts>
Json by_verb(const Counts& bytes) {
    Json json = Json::object();
    for (int v = 0; v < kSentVerbCount; ++v) json[std::string(key_of(static_cast<SentVerb>(v)))] = bytes[v];
    return json;
}

Json rank_json(const RunReport& report, std::size_t i) {
    const RankLedger& rank = report.ranks[i];
    Json accounts_ns = Json::object();
    Json tokens = Json::object();
    for (int p = 0; p < kPhaseCount; ++p) {
        const std::string phase(name_of(static_cast<Phase>(p)));
        accounts_ns[phase] = Json::object();
        for (int a = 0; a < kAccountCount; ++a)
            accounts_ns[phase][std::string(name_of(static_cast<Account>(a)))] = rank.totals_ns[p][a];
        tokens[phase] = Json::object();
        for (int c = 0; c < kTokenClassCount; ++c)
            tokens[phase][std::string(key_of(static_cast<TokenClass>(c)))] = rank.tokens[p][c];
    }
    Json witness = Json::object();
    for (const WitnessInfo& info : witness_table())
        witness[std::string(info.key)] = rank.witness[static_cast<std::size_t>(info.witness)];
    return {{"rank", rank.rank},
            {"node", node_of(rank)},
            {"threads", rank.threads},
            {"cores_milli", rank.cores_milli},
            {"gpus_milli", rank.gpus_milli},
            {"start_ns", rank.start_ns},
            {"end_ns", rank.end_ns},
            {"life_ns", rank.life_ns()},
            {"amount", i < report.bill.ranks.size() ? Json(report.bill.ranks[i]) : Json(nullptr)},
            {"accounts_ns", accounts_ns},
            {"waits", waits_json(rank)},
            {"kernels", kernels_json(rank)},
            {"tokens", tokens},
            {"bytes_sent", by_verb(rank.bytes_sent)},
            {"bytes_read", rank.bytes_read},
            {"weight_bytes_private", rank.weight_bytes_private},
            {"weight_bytes_shared", rank.weight_bytes_shared},
            {"kv_bytes", rank.kv_bytes},
            {"cpu_ns", rank.cpu_ns},
            {"max_rss_bytes", rank.max_rss_bytes},
            {"witness", witness}};
}

}  // namespace

std::string report_json(const RunReport& report) {
    const ReportFigures f = report_figures(report);
    Json json;
    json["schema"] = kReportSchema;
    json["provenance"] = provenance_json(report.provenance);
    json["shared_cores"] = report.shared_cores;
    json["profile"] = profile_json(report, f);
    json["bill"] = bill_json(report, f);
    json["rows"] = rows_json(report, f);
    json["accounts"] = accounts_json(report);
    json["tokens"] = tokens_json(report, f);
    json["prices"] = prices_json(f);
    json["rates"] = {{"delivered_per_second", f.delivered_per_second}, {"all_per_second", f.all_per_second}};
    json["efficiency"] = efficiency_json(report, f);
    json["energy"] = nullptr;
    json["requests"] = {{"total", report.requests_total},
                        {"done", report.requests_done},
                        {"failed", report.requests_failed},
                        {"itemised", !report.bill.requests.empty()}};
    json["life_ns"] = spread_json(f.life_ns);
    json["cpu_ns"] = spread_json(f.cpu_ns);
    json["memory"] = {{"max_rss_bytes", spread_json(f.max_rss_bytes)},
                      {"weight_bytes_private", spread_json(f.weight_bytes_private)},
                      {"weight_bytes_shared", spread_json(f.weight_bytes_shared)},
                      {"kv_bytes", spread_json(f.kv_bytes)}};
    json["bytes_read"] = f.bytes_read;
    json["bytes_sent"] = by_verb(f.bytes_sent);
    json["witness"] = Json::object();
    for (const WitnessInfo& info : witness_table())
        json["witness"][std::string(info.key)] = joined(report.ranks, info.witness);
    json["ranks"] = Json::array();
    for (std::size_t i = 0; i < report.ranks.size(); ++i) json["ranks"].push_back(rank_json(report, i));
    // Host names and paths may hold any bytes; what is not UTF-8 is replaced rather than refused.
    return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace argosy
