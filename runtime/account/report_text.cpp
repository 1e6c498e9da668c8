// The text report: headline, table of accounts, tokens, prices, efficiency, traffic, witnesses, provenance.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "runtime/account/money.hpp"
#include "runtime/account/report_figures.hpp"

namespace argosy {

namespace {

constexpr std::size_t kLineWidth = 118;

using Out = std::back_insert_iterator<std::string>;

// Decimals that show a number of this size (in 1e-9) with four digits: 3 for 5.2, 1 for 520, 6 for 0.0052.
int decimals_for(std::int64_t nano) {
    int leading = -10;  // power of ten of the first digit
    for (; nano > 0; nano /= 10) ++leading;
    return std::clamp(3 - leading, 0, 9);
}

std::string with_unit(const RunReport& report, const std::string& number) {
    if (report.bill.unit == BillUnit::rank_ns) return number + " rank-s";
    return report.profile->currency == "USD" ? "$" + number : number + " " + report.profile->currency;
}

std::string unit_word(const RunReport& report) {
    if (report.bill.unit == BillUnit::rank_ns) return "rank-s";
    return report.profile->currency == "USD" ? "$" : report.profile->currency;
}

std::string percent(double share) { return fmt::format("{:.1f} %", 100.0 * share); }

std::string bytes_text(std::int64_t bytes) {
    constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    double value = static_cast<double>(bytes);
    int unit = 0;
    while (value >= 1024 && unit < 5) value /= 1024, ++unit;
    return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string bytes_spread(const Spread& spread) {
    return spread.min == spread.max ? bytes_text(spread.min) : bytes_text(spread.min) + " to " + bytes_text(spread.max);
}

std::string duration(std::int64_t ns) {
    return ns < 600 * money::kNano ? money::decimal(ns, std::clamp(decimals_for(ns), 3, 6)) + " s"
                                   : money::decimal(money::divide_rounded(ns, 3600), 3) + " h";
}

void headline(std::string& text, const RunReport& report, const ReportFigures& f) {
    const Bill& bill = report.bill;
    std::string profile = report.profile ? describe(*report.profile) : "no cost profile";
    if (report.profile && report.profile->placeholder) profile += " PLACEHOLDER PRICE";
    if (f.stale_price) profile += report.profile->date == "undated" ? " UNDATED PRICE" : " STALE PRICE";
    const std::size_t n = report.ranks.size();
    const std::string core =
        fmt::format("{} core-s", money::decimal(bill.core_ns, std::min(3, decimals_for(bill.core_ns))));
    const std::string left = fmt::format("COST  {}  {}", bill.valid() ? "VALID" : "INVALID", profile);
    const std::string right = fmt::format("bill {} = {} rank{} x {} ({})",
                                          with_unit(report, money::decimal(bill.total, decimals_for(bill.total))), n,
                                          n == 1 ? "" : "s", duration(f.life_ns.avg), core);
    const std::size_t pad = left.size() + right.size() + 3 < kLineWidth ? kLineWidth - left.size() - right.size() : 3;
    text += left + std::string(pad, ' ') + right + "\n";
    if (!bill.valid())
        text += " INVALID because: " + bill.reason() + " The results stand; the figures below do not add up.\n";
    if (report.shared_cores) text += " ranks share cores: figures for correctness only\n";
    const auto price = [&](const std::optional<std::int64_t>& nano) {
        if (!nano) return std::string("-");
        return bill.unit == BillUnit::nano_money && report.profile->currency == "USD"
                   ? "$" + money::significant(*nano, 4) + "/M"
                   : money::significant(*nano, 4) + " " + unit_word(report) + "/M";
    };
    fmt::format_to(Out(text), " delivered {} tokens {}    all {} tokens {}    energy: not measured\n",
                   money::grouped(f.delivered_tokens), price(f.prices.delivered),
                   money::grouped(f.input_tokens + f.delivered_tokens), price(f.prices.all));
}

// Prints rows so that the printed amounts and percents add up to the printed totals, by largest remainder.
void table(std::string& text, const RunReport& report, const ReportFigures& f) {
    const Bill& bill = report.bill;
    std::vector<ReportRow> rows;
    ReportRow folded{"below 0.05 %"};
    for (const ReportRow& row : f.rows) {
        if (row.sum_ns == 0 && row.amount == 0) continue;
        const bool small = __int128{row.sum_ns} * 2000 < bill.rank_ns && __int128{row.amount} * 2000 < bill.total;
        if (!small) {
            rows.push_back(row);
            continue;
        }
        // Least and largest of a sum lie between those sums of the parts; the mean is exact.
        folded.min_ns += row.min_ns, folded.max_ns += row.max_ns, folded.sum_ns += row.sum_ns,
            folded.amount += row.amount;
    }
    if (folded.sum_ns != 0 || folded.amount != 0) rows.push_back(folded);

    const int decimals = decimals_for(bill.total);
    std::int64_t unit = 1;
    for (int i = decimals; i < 9; ++i) unit *= 10;
    std::vector<std::int64_t> amounts;
    for (const ReportRow& row : rows) amounts.push_back(std::max<std::int64_t>(row.amount, 0));
    const auto total_units = static_cast<std::int64_t>(money::divide_rounded(bill.total, unit));
    const std::vector<std::int64_t> printed = money::split_amount(total_units, amounts);
    const std::vector<std::int64_t> permille = money::split_amount(bill.total > 0 ? 1000 : 0, amounts);

    const int s = std::min(6, decimals_for(f.life_ns.max));
    const auto seconds = [&](std::int64_t ns) { return money::decimal(ns, s); };
    const auto line = [&](const std::string& label, std::int64_t min, std::int64_t avg, std::int64_t max,
                          const std::string& amount, std::int64_t share) {
        const std::string ratio =
            avg > 0 ? fmt::format("{:.2f}", static_cast<double>(max) / static_cast<double>(avg)) : "-";
        fmt::format_to(Out(text), " {:<20}{:>10}{:>10}{:>10}{:>9}{:>14}{:>7}", label, seconds(min), seconds(avg),
                       seconds(max), ratio, amount, money::decimal(__int128{share} * (money::kNano / 10), 1));
    };
    fmt::format_to(Out(text), " {:<20}{:>10}{:>10}{:>10}{:>9}{:>14}{:>7}   {}\n", "account", "min s", "avg s", "max s",
                   "max/avg", unit_word(report), "%", "blame");
    const auto n = std::max<std::int64_t>(1, static_cast<std::int64_t>(report.ranks.size()));
    for (std::size_t i = 0; i < rows.size(); ++i) {
        line(rows[i].label, rows[i].min_ns, rows[i].sum_ns / n, rows[i].max_ns,
             money::decimal(__int128{printed[i]} * unit, decimals), permille[i]);
        if (rows[i].blame.rank >= 0)
            fmt::format_to(Out(text), "   {} ({:.0f} %)", describe(rows[i].blame), 100 * rows[i].blame.share);
        text += "\n";
    }
    line("total", f.life_ns.min, f.life_ns.avg, f.life_ns.max, money::decimal(bill.total, decimals),
         bill.total > 0 ? 1000 : 0);
    const auto good =
        std::count_if(bill.checks.begin(), bill.checks.end(), [](const BillCheck& check) { return check.valid; });
    fmt::format_to(Out(text), "   checks {}/{}\n", good, kBillCheckCount);
}

// "label  word  word ..." broken into lines of at most kLineWidth.
void wrapped(std::string& text, const std::string& label, const std::vector<std::string>& words,
             const std::string& between = "  ") {
    std::string line = fmt::format(" {:<10}", label);
    const std::size_t indent = line.size();
    bool first = true;
    for (const std::string& word : words) {
        if (!first && line.size() + between.size() + word.size() > kLineWidth) {
            text += line + "\n";
            line.assign(indent, ' ');
            first = true;
        }
        line += (first ? "" : between) + word;
        first = false;
    }
    text += line + "\n";
}

void tokens_and_prices(std::string& text, const RunReport& report, const ReportFigures& f) {
    text += " tokens    ";
    for (int c = 0; c < kTokenClassCount; ++c) {
        fmt::format_to(Out(text), "{}{} {}", c > 0 ? "   " : "", name_of(static_cast<TokenClass>(c)),
                       money::grouped(report.bill.classes[c].tokens));
    }
    text += "\n";
    std::vector<std::string> prices;
    for (int c = 0; c < kTokenClassCount; ++c) {
        if (!f.prices.direct[c] || !f.prices.loaded[c]) continue;
        prices.push_back(fmt::format("{} {} | {}", name_of(static_cast<TokenClass>(c)),
                                     money::significant(*f.prices.direct[c], 4),
                                     money::significant(*f.prices.loaded[c], 4)));
    }
    if (prices.empty()) prices.push_back("no tokens: the bill is all overhead");
    wrapped(text, unit_word(report) + "/M direct | loaded  ", prices, "   ");
    fmt::format_to(Out(text), " rate      {:.1f} delivered tok/s, {:.1f} tok/s in all, over {}\n",
                   f.delivered_per_second, f.all_per_second, duration(f.life_ns.max));
}

void efficiency(std::string& text, const RunReport& report, const ReportFigures& f) {
    const Efficiency& e = f.efficiency;
    fmt::format_to(Out(text), " parallel  utilisation {}", percent(f.utilisation));
    if (e.known) {
        fmt::format_to(Out(text), "   efficiency {} = load balance {} x serialisation {} x transfer {} (POP, stepping)",
                       percent(e.parallel), percent(e.load_balance), percent(e.serialisation), percent(e.transfer));
    }
    text += "\n";
    if (e.known) {
        const auto lost = [&](std::int64_t ns) {
            const std::int64_t amount = amount_of(ns, report.bill);
            return with_unit(report, money::decimal(amount, decimals_for(report.bill.total)));
        };
        fmt::format_to(Out(text), "           lost to imbalance {}, to waiting and serial parts {}, to transfer {}\n",
                       lost(e.imbalance_ns), lost(e.serialisation_ns), lost(e.transfer_ns));
    }
    fmt::format_to(Out(text), " cpu       {} s per rank (min {}, max {})", money::decimal(f.cpu_ns.avg, 3),
                   money::decimal(f.cpu_ns.min, 3), money::decimal(f.cpu_ns.max, 3));
    if (report.bill.core_ns > 0) fmt::format_to(Out(text), "   {} of the cores' time", percent(e.cpu_utilisation));
    fmt::format_to(Out(text), "\n memory    per rank: peak {}   weights {} private, {} shared   KV {}\n",
                   bytes_spread(f.max_rss_bytes), bytes_spread(f.weight_bytes_private),
                   bytes_spread(f.weight_bytes_shared), bytes_spread(f.kv_bytes));
    fmt::format_to(Out(text), " moved     read {}   sent", bytes_text(f.bytes_read));
    std::int64_t sent = 0;
    for (int v = 0; v < kSentVerbCount; ++v) {
        if (f.bytes_sent[v] == 0) continue;
        fmt::format_to(Out(text), "{} {} {}", sent > 0 ? "," : "", name_of(static_cast<SentVerb>(v)),
                       bytes_text(f.bytes_sent[v]));
        sent += f.bytes_sent[v];
    }
    text += sent == 0 ? " nothing\n" : "\n";
}

void witnesses(std::string& text, const RunReport& report) {
    std::vector<std::string> words;
    for (const WitnessInfo& info : witness_table()) {
        const std::int64_t value = joined(report.ranks, info.witness);
        if (value != 0) words.push_back(fmt::format("{} {}", info.key, value));
    }
    if (words.empty()) words.push_back("nothing counted");
    wrapped(text, "witness", words);
}

void provenance(std::string& text, const RunReport& report) {
    const Provenance& p = report.provenance;
    fmt::format_to(Out(text), " requests  {} done, {} with an error record, {} in all{}\n",
                   money::grouped(report.requests_done), money::grouped(report.requests_failed),
                   money::grouped(report.requests_total),
                   report.bill.requests.empty() ? "" : ", each with its own cost");
    const auto field = [&](std::string_view label, const std::string& value) {
        if (!value.empty()) fmt::format_to(Out(text), " {:<10}{}\n", label, value);
    };
    field("same bits", p.same_bits);
    std::string program = p.version.empty() ? "" : "argosy " + p.version;
    if (!p.numerics_id.empty()) program += (program.empty() ? "numerics " : "   numerics ") + p.numerics_id;
    if (!p.isa.empty()) program += "   isa " + p.isa;
    field("program", program);
    field("model", p.model + (p.model_digest.empty() ? "" : "   digest " + p.model_digest));
    field("input", p.input_digest.empty() ? "" : "digest " + p.input_digest);
    field("layout", p.layout);
    field("host", p.host);
    field("settings", p.settings_path);
    field("started", p.started_utc);
    if (report.profile) {
        const CostProfile& c = *report.profile;
        std::vector<std::string> words{c.source + ",", c.date + ",", c.path};
        if (!c.note.empty()) words.back() += ";";
        for (std::size_t at = 0; at < c.note.size();) {
            const std::size_t end = std::min(c.note.find(' ', at), c.note.size());
            words.push_back(c.note.substr(at, end - at));
            at = end + 1;
        }
        wrapped(text, "price", words, " ");
    }
}

}  // namespace

std::string report_text(const RunReport& report) {
    const ReportFigures f = report_figures(report);
    std::string text;
    headline(text, report, f);
    table(text, report, f);
    text += describe(f.kernels);
    tokens_and_prices(text, report, f);
    efficiency(text, report, f);
    witnesses(text, report);
    provenance(text, report);
    return text;
}

}  // namespace argosy
