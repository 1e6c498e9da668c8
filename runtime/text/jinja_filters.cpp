// Filters of a template's language that make a value from one value. Those that walk lists: jinja_list_filters.cpp.
#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "runtime/text/jinja_builtins.hpp"
#include "runtime/text/jinja_filters.hpp"
#include "runtime/text/jinja_json.hpp"
#include "runtime/text/jinja_strings.hpp"
#include "runtime/text/unicode_icu.hpp"

namespace argosy {

namespace {

std::string self_text(JinjaCall& call) { return python_text(call.self, call.context.budget); }
JinjaValue made(JinjaCall& call, std::string text) { return charged_text(std::move(text), call.context.budget); }

JinjaValue filter_string(JinjaCall& call) { return call.self.text() ? call.self : made(call, self_text(call)); }

JinjaValue filter_trim(JinjaCall& call) {
    const std::string text = self_text(call);
    const JinjaValue* characters = argument(call, 0, "chars");
    const bool given = characters && !characters->is_none();
    return made(call, std::string(given ? python_strip(text, StripSides::both, text_argument(call, 0, "chars"))
                                        : python_strip(text, StripSides::both)));
}

JinjaValue filter_length(JinjaCall& call) {
    if (const std::string* text = call.self.text()) {
        call.context.budget.charge(static_cast<std::int64_t>(text->size() / 16));
        return jinja_integer(count_characters(*text));
    }
    if (const JinjaDict* dict = call.self.dict()) return jinja_integer(static_cast<std::int64_t>(dict->members.size()));
    const JinjaList* list = call.self.list();
    if (list && list->flavour != JinjaFlavour::generator)
        return jinja_integer(static_cast<std::int64_t>(list->items.size()));
    if (call.self.is_undefined()) return jinja_integer(0);
    refuse(fmt::format("a {} has no length", list ? "generator" : jinja_type_name(call.self)));
}

JinjaValue filter_default(JinjaCall& call) {
    const bool also_false = truth_argument(call, 1, "boolean", false);
    if (!call.self.is_undefined() && !(also_false && !jinja_truth(call.self))) return call.self;
    const JinjaValue* fallback = argument(call, 0, "default_value");
    return fallback ? *fallback : jinja_text("");
}

JinjaValue filter_tojson(JinjaCall& call) {
    JsonStyle style;
    style.ascii = truth_argument(call, 0, "ensure_ascii", false);
    const JinjaValue* indent = argument(call, 1, "indent");
    if (indent && !indent->is_none()) {
        if (const std::string* text = indent->text()) {
            style.indent = *text;
        } else {
            const std::int64_t width = integer_argument(call, 1, "indent", 0);
            if (width > 1000) refuse("tojson indents by more than 1000 blanks");
            style.indent = std::string(static_cast<std::size_t>(std::max<std::int64_t>(width, 0)), ' ');
        }
        style.between_items = ",";
    }
    const JinjaValue* separators = argument(call, 2, "separators");
    if (separators && !separators->is_none()) {
        const JinjaList* pair = separators->list();
        if (!pair || pair->items.size() != 2 || !pair->items[0].text() || !pair->items[1].text())
            refuse("separators of tojson must be two texts");
        style.between_items = *pair->items[0].text();
        style.after_name = *pair->items[1].text();
    }
    style.sorted = truth_argument(call, 3, "sort_keys", false);
    std::string out;
    append_json(out, call.self, style, call.context.budget);
    return made(call, std::move(out));
}

JinjaValue filter_items(JinjaCall& call) {
    if (call.self.is_undefined()) return jinja_list({}, JinjaFlavour::generator);
    const JinjaDict* dict = call.self.dict();
    if (!dict) refuse("Can only get item pairs from a mapping.");
    call.context.budget.charge(static_cast<std::int64_t>(dict->members.size()) * 128);
    std::vector<JinjaValue> items;
    for (const auto& [key, value] : dict->members) items.push_back(jinja_list({{key}, value}, JinjaFlavour::tuple));
    return jinja_list(std::move(items), JinjaFlavour::generator);
}

JinjaValue filter_replace(JinjaCall& call) {
    const std::string text = self_text(call);
    const JinjaValue *old = argument(call, 0, "old"), *with = argument(call, 1, "new");
    if (!old || !with) refuse("replace takes an old and a new text");
    const std::string from = python_text(*old, call.context.budget), to = python_text(*with, call.context.budget);
    const JinjaValue* count = argument(call, 2, "count");
    const std::int64_t most = count && !count->is_none() ? integer_argument(call, 2, "count", -1) : -1;
    const std::int64_t places = from.empty() ? count_characters(text) + 1 : count_parts(text, from);
    call.context.budget.charge(static_cast<std::int64_t>(text.size()));
    call.context.budget.charge(static_cast<std::int64_t>(to.size()) * places);
    return jinja_text(python_replace(text, from, to, most));
}

JinjaValue filter_upper(JinjaCall& call) { return made(call, unicode_upper(self_text(call))); }
JinjaValue filter_lower(JinjaCall& call) { return made(call, unicode_lower(self_text(call))); }
JinjaValue filter_capitalize(JinjaCall& call) { return made(call, python_capitalize(self_text(call))); }
JinjaValue filter_title(JinjaCall& call) {
    const std::string text = self_text(call);
    call.context.budget.charge(static_cast<std::int64_t>(text.size()) * 16);
    return made(call, jinja_title(text));
}

JinjaValue filter_escape(JinjaCall& call) {
    std::string out;
    for (const char c : self_text(call)) {
        switch (c) {
            case '&':
                out += "&amp;";
                break;
            case '<':
                out += "&lt;";
                break;
            case '>':
                out += "&gt;";
                break;
            case '"':
                out += "&#34;";
                break;
            case '\'':
                out += "&#39;";
                break;
            default:
                out += c;
        }
    }
    return made(call, std::move(out));
}

JinjaValue filter_indent(JinjaCall& call) {
    const JinjaValue* width = argument(call, 0, "width");
    std::string by(4, ' ');
    if (width && width->text()) {
        by = *width->text();
    } else if (width) {
        const std::int64_t blanks = integer_argument(call, 0, "width", 4);
        if (blanks > 1000) refuse("indent by more than 1000 blanks");
        by.assign(static_cast<std::size_t>(std::max<std::int64_t>(blanks, 0)), ' ');
    }
    const bool first = truth_argument(call, 1, "first", false), blank = truth_argument(call, 2, "blank", false);
    const std::string text = self_text(call) + "\n";  // as Jinja: the last line is kept when it is empty
    std::string out;
    bool head = true;
    for (const std::string_view line : python_lines(text, false)) {
        call.context.budget.charge(static_cast<std::int64_t>(by.size() + line.size()) + 64);
        if (!head) out += '\n';
        if (head ? first : (blank || !line.empty())) out += by;
        out += line;
        head = false;
    }
    return made(call, std::move(out));
}

JinjaValue filter_wordcount(JinjaCall& call) {
    const std::string text = self_text(call);
    call.context.budget.charge(static_cast<std::int64_t>(text.size()) * 8);
    std::int64_t words = 0;
    bool inside = false;
    for (const std::string_view part : python_split_space(text, -1)) {
        inside = false;
        for (const char c : part) {
            const bool word = c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                              static_cast<unsigned char>(c) >= 0x80;
            words += word && !inside ? 1 : 0;
            inside = word;
        }
    }
    return jinja_integer(words);
}

// ---- numbers

std::optional<double> read_real(std::string_view text) {
    text = python_strip(text, StripSides::both);
    if (!text.empty() && text[0] == '+') text.remove_prefix(1);
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
    return value;
}

JinjaValue from_real(double value) {
    if (!(std::abs(value) < 9e18)) unsupported("an integer beyond 64 bits");
    return jinja_integer(static_cast<std::int64_t>(value));
}

JinjaValue filter_int(JinjaCall& call) {
    const JinjaValue* given = argument(call, 0, "default");
    const JinjaValue fallback = given ? *given : jinja_integer(0);
    if (integer_argument(call, 1, "base", 10) != 10) unsupported("the filter int with a base");
    if (call.self.is_integral()) return jinja_integer(call.self.integer());
    if (const double* real = call.self.as<double>()) return std::isfinite(*real) ? from_real(*real) : fallback;
    if (!call.self.text()) return fallback;
    std::string_view text = python_strip(*call.self.text(), StripSides::both);
    if (!text.empty() && text[0] == '+') text.remove_prefix(1);
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc{} && end == text.data() + text.size() && !text.empty()) return jinja_integer(value);
    const std::optional<double> real = read_real(text);
    return real && std::isfinite(*real) ? from_real(*real) : fallback;
}

JinjaValue filter_float(JinjaCall& call) {
    const JinjaValue* given = argument(call, 0, "default");
    if (call.self.is_number()) return {call.self.real()};
    const std::optional<double> real = call.self.text() ? read_real(*call.self.text()) : std::nullopt;
    return real ? JinjaValue{*real} : given ? *given : JinjaValue{0.0};
}

JinjaValue filter_abs(JinjaCall& call) {
    if (!call.self.is_number()) refuse("abs of what is no number");
    if (const double* real = call.self.as<double>()) return {std::abs(*real)};
    if (call.self.integer() == INT64_MIN) unsupported("an integer beyond 64 bits");
    return jinja_integer(std::abs(call.self.integer()));
}

JinjaValue filter_round(JinjaCall& call) {
    if (!call.self.is_number()) refuse("round of what is no number");
    const std::int64_t places = integer_argument(call, 0, "precision", 0);
    const JinjaValue* method = argument(call, 1, "method");
    const std::string how = method ? text_argument(call, 1, "method") : "common";
    if (places < 0 || places > 15) unsupported("rounding to a place that is not from 0 to 15");
    if (call.self.is_integral() && how == "common") return jinja_integer(call.self.integer());
    const double value = call.self.real();
    const double scale = std::pow(10.0, static_cast<double>(places));
    if (how == "ceil") return {std::ceil(value * scale) / scale};
    if (how == "floor") return {std::floor(value * scale) / scale};
    if (how != "common") refuse("method must be common, ceil or floor");
    // Python rounds the decimal spelling, halves to even: that is what printf does.
    return {std::stod(fmt::format("{:.{}f}", value, places))};
}

constexpr JinjaBuiltin kFilters[] = {
    {"abs", "", filter_abs},
    {"capitalize", "", filter_capitalize},
    {"count", "", filter_length},
    {"d", "default_value boolean", filter_default},
    {"default", "default_value boolean", filter_default},
    {"e", "", filter_escape},
    {"escape", "", filter_escape},
    {"float", "default", filter_float},
    {"indent", "width first blank", filter_indent},
    {"int", "default base", filter_int},
    {"items", "", filter_items},
    {"length", "", filter_length},
    {"lower", "", filter_lower},
    {"replace", "old new count", filter_replace},
    {"round", "precision method", filter_round},
    {"safe", "", filter_string},
    {"string", "", filter_string},
    {"title", "", filter_title},
    {"tojson", "ensure_ascii indent separators sort_keys", filter_tojson},
    {"trim", "chars", filter_trim},
    {"upper", "", filter_upper},
    {"wordcount", "", filter_wordcount},
};

}  // namespace

const JinjaBuiltin* find_jinja_filter(std::string_view name) {
    for (const std::span<const JinjaBuiltin> list : {std::span<const JinjaBuiltin>(kFilters), jinja_list_filters()}) {
        for (const JinjaBuiltin& filter : list) {
            if (name == filter.name) return &filter;
        }
    }
    return nullptr;
}

}  // namespace argosy
