// The JSON file: numbers as they are, bits of f32 in hexadecimal. The table: the same, shorter.
#include "tests/device/mma_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "tests/device/model_check.hpp"

namespace argosy::device {

namespace {

using Json = nlohmann::ordered_json;

std::string hex(std::uint32_t bits) { return fmt::format("{:08x}", bits); }

const char* name_of(MmaRounding rounding) {
    if (rounding == MmaRounding::toward_zero) return "toward_zero";
    return rounding == MmaRounding::down ? "down" : "nearest_even";
}

Json json_of(const MmaModel& model) {
    return {{"products", model.products},
            {"fraction_bits", model.fraction_bits},
            {"result_bits", model.result_bits},
            {"exponent_min", model.exponent_min},
            {"alignment", name_of(model.alignment)},
            {"result", name_of(model.result)},
            {"accumulator_aligned", model.accumulator_aligned},
            {"zeros_align", model.zeros_align}};
}

Json json_of(const Probe& probe) {
    Json factors = Json::array();
    for (const Factor& factor : probe.factors)
        factors.push_back({factor.k, hex(__builtin_bit_cast(std::uint32_t, factor.a)),
                           hex(__builtin_bit_cast(std::uint32_t, factor.b))});
    return {{"asks", probe.name}, {"c", hex(__builtin_bit_cast(std::uint32_t, probe.c))}, {"k_a_b", factors}};
}

Json probes_json(const FormatFindings& format) {
    Json probes = Json::array();
    for (std::size_t i = 0; i < format.probes.size(); ++i) {
        Json probe = json_of(format.probes[i]);
        for (const UnitBits& unit : format.units) {
            probe[unit.unit] = hex(unit.found[i]);
            if (unit.modelled[i] != unit.found[i]) probe["model of " + unit.unit] = hex(unit.modelled[i]);
        }
        probes.push_back(probe);
    }
    return probes;
}

// The fitting candidates, or the three that come closest.
Json fit_json(const ModelFit& fit, int code_bytes) {
    const std::vector<MmaModel> models = candidate_models(code_bytes);
    Json fitting = Json::array(), nearest = Json::array();
    for (const int index : fit.fitting) fitting.push_back(json_of(models[static_cast<std::size_t>(index)]));
    std::vector<std::int64_t> left = fit.differing;
    for (int place = 0; place < 3 && fit.fitting.empty(); ++place) {
        const auto least = std::min_element(left.begin(), left.end());
        Json model = json_of(models[static_cast<std::size_t>(least - left.begin())]);
        model["differing"] = *least;
        nearest.push_back(model);
        *least = fit.outputs + 1;
    }
    return {{"unit", fit.unit},
            {"outputs", fit.outputs},
            {"candidates", models.size()},
            {"fitting", fitting},
            {"nearest", nearest}};
}

Json format_json(const FormatFindings& format) {
    Json result;
    for (std::size_t pattern = 0; pattern < format.ways.size(); ++pattern)
        for (const BitCheck& check : format.ways[pattern])
            result["ways"][kPatternNames[static_cast<int>(kWayPatterns[pattern])]].push_back(
                {{"what", check.what},
                 {"outputs", check.outputs},
                 {"differing", check.differing},
                 {"must_agree", check.must_agree}});
    for (const ModelCheck& check : format.models)
        result["models"].push_back({{"unit", check.unit},
                                    {"pattern", check.pattern},
                                    {"k", check.k},
                                    {"outputs", check.outputs},
                                    {"differing", check.differing},
                                    {"outputs_on_host", check.on_host},
                                    {"differing_on_host", check.differing_on_host},
                                    {"numbers_on_host", check.numbers_on_host},
                                    {"digest_on_host", fmt::format("{:016x}", check.digest)}});
    for (const ModelFit& fit : format.fits) result["search"].push_back(fit_json(fit, format.code_bytes));
    for (const UnitBits& unit : format.units)
        for (const DepthRow& row : unit.depths) result["depths"][unit.unit][row.where] = row.depth;
    for (const Promotion& promotion : format.promotions)
        result["promotion"].push_back({{"after_k", promotion.k},
                                       {"outputs", promotion.outputs},
                                       {"differing", promotion.differing},
                                       {"relative_error", promotion.error}});
    result["probes"] = probes_json(format);
    return result;
}

bool is_record_or_list(const Json& json) {
    return json.is_object() || (json.is_array() && !json.empty() && json.front().is_object());
}

// One line for each record: what holds records or lists of them is spread over lines, all else stays on one.
void write_lines(std::ostream& out, const Json& json, const std::string& indent) {
    if (!json.is_structured() || std::none_of(json.begin(), json.end(), is_record_or_list)) {
        out << json.dump();
        return;
    }
    const char* separator = "";
    out << (json.is_object() ? "{" : "[");
    for (const auto& [key, part] : json.items()) {
        out << separator << '\n' << indent << ' ';
        if (json.is_object()) out << Json(key).dump() << ": ";
        write_lines(out, part, indent + ' ');
        separator = ",";
    }
    out << '\n' << indent << (json.is_object() ? "}" : "]");
}

void print_format(const FormatFindings& format) {
    for (std::size_t pattern = 0; pattern < format.ways.size(); ++pattern)
        for (const BitCheck& check : format.ways[pattern])
            fmt::print("{:<5}{:<7}{:<62}{:>11} of {:>11} differ{}\n", format.format,
                       kPatternNames[static_cast<int>(kWayPatterns[pattern])], check.what, check.differing,
                       check.outputs, check.must_agree ? "" : " (reported only)");
    for (const ModelCheck& check : format.models)
        fmt::print("model of {:<18}{:<7} K {:<5}{:>9} of {:>9} differ; on the host {:>5} of {:>6}\n", check.unit,
                   check.pattern, check.k, check.differing, check.outputs, check.differing_on_host, check.on_host);
    for (const ModelFit& fit : format.fits) {
        fmt::print("search for {:<18}{} candidates fit\n", fit.unit, fit.fitting.size());
        const Json found = fit_json(fit, format.code_bytes);
        for (const char* list : {"fitting", "nearest"})
            for (std::size_t i = 0; i < found[list].size() && i < 12; ++i)
                fmt::print("    {} {}\n", list, found[list][i].dump());
    }
    for (const UnitBits& unit : format.units)
        for (const DepthRow& row : unit.depths)
            fmt::print("depth {:<18}{:<14}{}\n", unit.unit, row.where, Json(row.depth).dump());
    for (const Promotion& promotion : format.promotions)
        fmt::print("promotion after K {:<5}{:>7} of {:>7} differ from none, error {:.3e}\n", promotion.k,
                   promotion.differing, promotion.outputs, promotion.error);
    for (const UnitBits& unit : format.units)
        for (std::size_t i = 0; i < unit.found.size(); ++i)
            if (unit.found[i] != unit.modelled[i])
                fmt::print("probe of {}: {}: found {}, model {}\n", unit.unit, format.probes[i].name,
                           hex(unit.found[i]), hex(unit.modelled[i]));
}

}  // namespace

std::vector<std::string> failures(const Findings& findings) {
    std::vector<std::string> sentences;
    for (const FormatFindings& format : findings.formats) {
        for (std::size_t pattern = 0; pattern < format.ways.size(); ++pattern)
            for (const BitCheck& check : format.ways[pattern])
                if (check.must_agree && check.differing != 0)
                    sentences.push_back(fmt::format("{}, data '{}', {}: {} of {} outputs have other bits.",
                                                    format.format,
                                                    kPatternNames[static_cast<int>(kWayPatterns[pattern])], check.what,
                                                    check.differing, check.outputs));
        for (const ModelCheck& check : format.models)
            if (check.differing + check.differing_on_host != 0)
                sentences.push_back(fmt::format("The model of {} has other bits on data '{}' in {} of {} outputs.",
                                                check.unit, check.pattern, check.differing, check.outputs));
        for (const UnitBits& unit : format.units)
            for (std::size_t i = 0; i < unit.found.size(); ++i)
                if (unit.found[i] != unit.modelled[i])
                    sentences.push_back(fmt::format("The model of {} has other bits for the probe '{}'.", unit.unit,
                                                    format.probes[i].name));
    }
    return sentences;
}

void write_json(const Findings& findings, const std::string& path) {
    Json json = {{"check", "mma_bits"},
                 {"version", findings.version},
                 {"date", findings.date},
                 {"device", findings.device},
                 {"multiprocessors", findings.multiprocessors},
                 {"driver", findings.driver},
                 {"runtime", findings.runtime},
                 {"seconds", findings.seconds},
                 {"failures", failures(findings)}};
    json["copy_gbytes_per_s"] = {{"kernel", findings.copy.kernel_gbytes}, {"memcpy", findings.copy.memcpy_gbytes}};
    for (const WgmmaRate& rate : findings.rates)
        json["wgmma_rates"].push_back({{"format", rate.format},
                                       {"n", rate.n},
                                       {"a", rate.a_registers ? "registers" : "shared memory"},
                                       {"warpgroups", rate.warpgroups},
                                       {"tflops", rate.tflops},
                                       {"flops_per_cycle", rate.flops_per_cycle}});
    for (const FormatFindings& format : findings.formats) json[format.format] = format_json(format);
    std::ofstream file(path);
    write_lines(file, json, "");
    file << '\n';
    file.close();
    if (!file) throw std::runtime_error("The file " + path + " could not be written. Name another after --out.");
}

void print_table(const Findings& findings) {
    for (const FormatFindings& format : findings.formats) print_format(format);
    fmt::print("copy {:.0f} GB/s by a kernel, {:.0f} GB/s by cudaMemcpy (read plus written)\n",
               findings.copy.kernel_gbytes, findings.copy.memcpy_gbytes);
    for (const WgmmaRate& rate : findings.rates)
        fmt::print("wgmma {} N {:<4}A from {:<14}{} warpgroups: {:5.0f} TFLOP/s, {:5.0f} FLOP per cycle and SM\n",
                   rate.format, rate.n, rate.a_registers ? "registers" : "shared memory", rate.warpgroups, rate.tflops,
                   rate.flops_per_cycle);
    for (const std::string& sentence : failures(findings)) fmt::print("{}\n", sentence);
}

}  // namespace argosy::device
