// Reading cost profiles: a small strict parser, the search for a profile by name, and its sentences.
#include "runtime/account/cost_profile.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <fstream>
#include <set>

#include "kernels/base/error.hpp"
#include "kernels/base/nearest.hpp"
#include "runtime/account/money.hpp"

namespace argosy {

namespace fs = std::filesystem;

namespace {

constexpr std::array<std::string_view, 10> kKeys = {"name",
                                                    "source",
                                                    "date",
                                                    "currency",
                                                    "placeholder",
                                                    "note",
                                                    "price_per_core_hour",
                                                    "price_per_gpu_hour",
                                                    "price_per_node_hour",
                                                    "price_per_rank_hour"};
constexpr std::size_t kFileBytesMax = 1 << 20;

std::string_view trimmed(std::string_view text) {
    const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r'; };
    while (!text.empty() && blank(text.front())) text.remove_prefix(1);
    while (!text.empty() && blank(text.back())) text.remove_suffix(1);
    return text;
}

std::string lower(std::string_view text) {
    std::string out(text);
    for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return out;
}

template <class Names>
std::string nearest(std::string_view wanted, const Names& names) {
    std::string best;
    std::size_t best_distance = SIZE_MAX;
    for (const auto& name : names) {
        const std::size_t d = edit_distance(wanted.substr(0, 200), name);
        if (d < best_distance) best = name, best_distance = d;
    }
    return best;
}

// "2026-04-03", "2026-04", "2024" or "undated".
bool is_date(std::string_view text) {
    if (text == "undated") return true;
    if (text.size() != 4 && text.size() != 7 && text.size() != 10) return false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool dash = i == 4 || i == 7;
        if (dash ? text[i] != '-' : (text[i] < '0' || text[i] > '9')) return false;
    }
    const auto two = [&](std::size_t at) { return (text[at] - '0') * 10 + (text[at + 1] - '0'); };
    if (text.size() >= 7 && (two(5) < 1 || two(5) > 12)) return false;
    return text.size() < 10 || (two(8) >= 1 && two(8) <= 31);
}

// Months since year 0; a bare year counts to its end.
int months_of(std::string_view date) {
    const auto number = [&](std::size_t at, std::size_t digits) {
        int value = 0;
        for (std::size_t i = at; i < at + digits; ++i) value = value * 10 + (date[i] - '0');
        return value;
    };
    return number(0, 4) * 12 + (date.size() >= 7 ? number(5, 2) : 12);
}

// A profile being read, with what was set in this section so far.
struct Draft {
    CostProfile profile;
    bool priced = false;
    int line = 0;                // where the section begins
    std::set<std::string> seen;  // keys of this section
    bool section_priced = false;
};

struct Parser {
    const std::string& origin;
    int line = 0;

    template <class... Args>
    [[noreturn]] void error(fmt::format_string<Args...> format, Args&&... args) const {
        fail(ErrorKind::input, "{}:{}: {}", origin, line, fmt::format(format, std::forward<Args>(args)...));
    }

    void set_price(Draft& draft, std::string_view key, std::string_view value) const {
        if (draft.section_priced)
            error("A second price stands in the same section; keep one of the price_per_... keys.");
        const auto price = money::parse_nano(value);
        if (!price)
            error("{} = {} is not a price; write a plain decimal number such as 1.30, with at most nine decimals.", key,
                  value);
        draft.profile.price_nano_per_hour = *price;
        draft.profile.basis = key == "price_per_core_hour"   ? PriceBasis::core
                              : key == "price_per_gpu_hour"  ? PriceBasis::gpu
                              : key == "price_per_node_hour" ? PriceBasis::node
                                                             : PriceBasis::rank;
        draft.priced = draft.section_priced = true;
    }

    void set(Draft& draft, std::string_view key, std::string_view value) const {
        if (std::find(kKeys.begin(), kKeys.end(), key) == kKeys.end()) {
            error("The key '{}' is unknown; did you mean '{}'?", key, nearest(key, kKeys));
        }
        if (!draft.seen.insert(std::string(key)).second)
            error("The key '{}' stands twice in the same section; remove one.", key);
        if (value.empty()) error("The key '{}' has no value; give one or remove the line.", key);
        CostProfile& p = draft.profile;
        if (key == "name") {
            p.name = value;
        } else if (key == "source") {
            p.source = value;
        } else if (key == "date") {
            if (!is_date(value)) error("date = {} is not a date; write 2026-04-03, 2026-04, 2026 or undated.", value);
            p.date = value;
        } else if (key == "currency") {
            const bool letters = std::all_of(value.begin(), value.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
            if (value.size() != 3 || !letters)
                error("currency = {} is not a currency code; write three letters such as USD.", value);
            p.currency = value;
        } else if (key == "placeholder") {
            if (value != "yes" && value != "no") error("placeholder = {} is neither yes nor no.", value);
            p.placeholder = value == "yes";
        } else if (key == "note") {
            p.note = value;
        } else {
            set_price(draft, key, value);
        }
    }

    void finish(const Draft& draft, std::vector<CostProfile>& profiles) {
        const CostProfile& p = draft.profile;
        line = draft.line;
        const std::string where = p.resource.empty() ? "The profile" : "The section [" + p.resource + "]";
        const std::pair<std::string_view, const std::string&> required[] = {
            {"name", p.name}, {"source", p.source}, {"date", p.date}, {"currency", p.currency}};
        for (const auto& [key, value] : required) {
            if (value.empty()) error("{} lacks the key '{}'; add a line '{} = ...'.", where, key, key);
        }
        if (!draft.priced)
            error("{} lacks a price; add a line 'price_per_core_hour = ...' or one per gpu, node or rank.", where);
        profiles.push_back(p);
    }
};

}  // namespace

std::string_view name_of(PriceBasis basis) {
    switch (basis) {
        case PriceBasis::core:
            return "core";
        case PriceBasis::gpu:
            return "gpu";
        case PriceBasis::node:
            return "node";
        case PriceBasis::rank:
            return "rank";
    }
    return "?";
}

std::vector<CostProfile> parse_cost_profiles(std::string_view text, const std::string& origin) {
    std::vector<CostProfile> profiles;
    Parser parser{origin};
    Draft shared;
    shared.profile.path = origin;
    shared.line = 1;
    Draft draft = shared;
    bool in_section = false;
    std::set<std::string> sections;
    if (text.substr(0, 3) == "\xEF\xBB\xBF") text.remove_prefix(3);
    while (!text.empty()) {
        ++parser.line;
        const std::size_t end = std::min(text.find('\n'), text.size());
        const std::string_view line = trimmed(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
        if (line.empty() || line.front() == '#') continue;
        if (line.front() == '[') {
            const std::string_view name =
                line.back() == ']' ? trimmed(line.substr(1, line.size() - 2)) : std::string_view{};
            if (name.empty() || name.find_first_of("[]:") != std::string_view::npos) {
                parser.error("'{}' is not a section; write [NAME] with the name of a resource.", line);
            }
            if (!sections.insert(lower(name)).second) parser.error("The section [{}] stands twice; remove one.", name);
            const int line_number = parser.line;
            if (in_section)
                parser.finish(draft, profiles);
            else
                shared = draft;
            parser.line = line_number;
            in_section = true;
            draft = Draft{shared.profile, shared.priced, line_number, {}, false};
            draft.profile.resource = name;
            continue;
        }
        const std::size_t equals = line.find('=');
        if (equals == std::string_view::npos)
            parser.error("'{}' is neither 'key = value' nor '[section]' nor '# comment'.", line);
        parser.set(draft, trimmed(line.substr(0, equals)), trimmed(line.substr(equals + 1)));
    }
    parser.finish(draft, profiles);
    return profiles;
}

std::vector<std::string> cost_profile_names(std::span<const fs::path> folders) {
    std::set<std::string> names;
    for (const fs::path& folder : folders) {
        std::error_code ignored;
        for (const auto& entry : fs::directory_iterator(folder, ignored)) {
            if (entry.path().extension() == ".ini") names.insert(entry.path().stem().string());
        }
    }
    return {names.begin(), names.end()};
}

CostProfile load_cost_profile(const std::string& wanted, std::span<const fs::path> folders) {
    const std::size_t slash = wanted.rfind('/');
    const std::size_t colon = wanted.find(':', slash == std::string::npos ? 0 : slash);
    const std::string name = wanted.substr(0, colon);
    const std::string resource = colon == std::string::npos ? "" : wanted.substr(colon + 1);
    const bool is_path = slash != std::string::npos || name.ends_with(".ini");
    fs::path path = is_path ? fs::path(name) : fs::path();
    std::error_code ignored;
    for (std::size_t i = 0; !is_path && path.empty() && i < folders.size(); ++i) {
        if (fs::is_regular_file(folders[i] / (name + ".ini"), ignored)) path = folders[i] / (name + ".ini");
    }
    if (path.empty()) {
        const std::vector<std::string> names = cost_profile_names(folders);
        const std::string hint = names.empty() ? "no profile was found in the profile folders; give the path of a file"
                                               : "did you mean '" + nearest(name, names) + "'? There are " +
                                                     fmt::format("{}", fmt::join(names, ", "));
        fail(ErrorKind::usage, "There is no cost profile '{}': {}.", name, hint);
    }
    std::ifstream file(path, std::ios::binary);
    if (!fs::is_regular_file(path, ignored) || !file) {
        fail(ErrorKind::usage, "The cost profile {} cannot be read; check the path and its permissions.",
             path.string());
    }
    std::string content(kFileBytesMax + 1, '\0');
    file.read(content.data(), static_cast<std::streamsize>(content.size()));
    content.resize(static_cast<std::size_t>(file.gcount()));
    if (content.size() > kFileBytesMax) {
        fail(ErrorKind::input, "The cost profile {} is larger than 1 MiB; it is something else.", path.string());
    }

    std::vector<CostProfile> profiles = parse_cost_profiles(content, path.string());
    std::vector<std::string> resources;
    for (CostProfile& profile : profiles) {
        if (lower(profile.resource) == lower(resource) || (resource.empty() && profiles.size() == 1)) return profile;
        resources.push_back(profile.resource.empty() ? "(none)" : profile.resource);
    }
    const std::string choices = fmt::format("{}", fmt::join(resources, ", "));
    if (resource.empty()) {
        fail(ErrorKind::usage, "The cost profile '{}' has prices for several resources: {}. Choose one, as in {}:{}.",
             name, choices, name, resources.front());
    }
    fail(ErrorKind::usage, "The cost profile '{}' has no price for '{}', but for {}; did you mean {}:{}?", name,
         resource, choices, name, nearest(resource, resources));
}

std::optional<std::string> profile_mismatch(const CostProfile& profile, std::int64_t cores_milli,
                                            std::int64_t gpus_milli) {
    if (profile.basis == PriceBasis::gpu && gpus_milli <= 0) {
        return fmt::format(
            "The cost profile {} prices GPU-hours, but no rank of this job holds a GPU; choose one per core, node or "
            "rank.",
            describe(profile));
    }
    if (profile.basis == PriceBasis::core && cores_milli <= 0) {
        return fmt::format("The cost profile {} prices core-hours, but the cores of this job's ranks are unknown.",
                           describe(profile));
    }
    return {};
}

bool is_stale(const CostProfile& profile, std::string_view today) {
    if (!is_date(profile.date) || profile.date == "undated") return true;
    if (today.size() < 10 || !is_date(today.substr(0, 10))) return false;
    return months_of(today.substr(0, 10)) - months_of(profile.date) > 12;
}

std::string describe(const CostProfile& profile) {
    const std::string price = [&] {
        std::string text = money::decimal(profile.price_nano_per_hour, 9);
        while (text.ends_with('0') && text.size() > text.find('.') + 3) text.pop_back();
        return profile.currency == "USD" ? "$" + text : text + " " + profile.currency;
    }();
    return fmt::format("{} {} ({}{}{}/{}-h)", profile.name, profile.date, profile.resource,
                       profile.resource.empty() ? "" : " ", price, name_of(profile.basis));
}

}  // namespace argosy
