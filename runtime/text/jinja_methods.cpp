// Methods of texts, dicts and lists that a template may call. What would change a value is refused, as in the sandbox
// that published templates are written for.
#include <fmt/format.h>

#include <algorithm>

#include "runtime/text/jinja_builtins.hpp"
#include "runtime/text/jinja_strings.hpp"
#include "runtime/text/unicode_icu.hpp"

namespace argosy {

namespace {

const std::string& self_text(const JinjaCall& call) { return *call.self.text(); }

JinjaValue text_list(const std::vector<std::string_view>& parts, JinjaBudget& budget) {
    std::vector<JinjaValue> items;
    items.reserve(parts.size());
    for (const std::string_view part : parts) {
        budget.charge(64);
        items.push_back(charged_text(std::string(part), budget));
    }
    return jinja_list(std::move(items));
}

// ---- of texts

JinjaValue strip(JinjaCall& call, StripSides sides) {
    const std::string& text = self_text(call);
    call.context.budget.charge(static_cast<std::int64_t>(text.size() / 16));
    const JinjaValue* characters = argument(call, 0, "chars");
    const bool given = characters && !characters->is_none();
    const std::string_view kept =
        given ? python_strip(text, sides, text_argument(call, 0, "chars")) : python_strip(text, sides);
    if (kept.size() == text.size()) return call.self;
    return charged_text(std::string(kept), call.context.budget);
}
JinjaValue text_strip(JinjaCall& call) { return strip(call, StripSides::both); }
JinjaValue text_lstrip(JinjaCall& call) { return strip(call, StripSides::left); }
JinjaValue text_rstrip(JinjaCall& call) { return strip(call, StripSides::right); }

JinjaValue split(JinjaCall& call, bool from_right) {
    JinjaBudget& budget = call.context.budget;
    const std::string& text = self_text(call);
    const JinjaValue* separator = argument(call, 0, "sep");
    const std::int64_t most = integer_argument(call, 1, "maxsplit", -1);
    budget.charge(static_cast<std::int64_t>(text.size()));
    if (!separator || separator->is_none()) {
        if (from_right && most >= 0) unsupported("rsplit at white space with a limit");
        budget.charge(static_cast<std::int64_t>(text.size()) * 8);
        return text_list(python_split_space(text, most), budget);
    }
    const std::string& at = text_argument(call, 0, "sep");
    if (at.empty()) refuse("empty separator");
    budget.charge(count_parts(text, at) * 16);
    return text_list(from_right ? python_rsplit(text, at, most) : python_split(text, at, most), budget);
}
JinjaValue text_split(JinjaCall& call) { return split(call, false); }
JinjaValue text_rsplit(JinjaCall& call) { return split(call, true); }

JinjaValue text_splitlines(JinjaCall& call) {
    call.context.budget.charge(static_cast<std::int64_t>(self_text(call).size()) * 16);
    return text_list(python_lines(self_text(call), truth_argument(call, 0, "keepends", false)), call.context.budget);
}

bool has_end(const std::string& text, const std::string& end, bool front) {
    if (end.size() > text.size()) return false;
    return text.compare(front ? 0 : text.size() - end.size(), end.size(), end) == 0;
}

JinjaValue test_end(JinjaCall& call, bool front) {
    const JinjaValue* ends = argument(call, 0, "prefix");
    if (call.positional.size() > 1) unsupported("startswith and endswith with a place");
    const JinjaList* several = ends ? ends->list() : nullptr;
    if (!several || several->flavour != JinjaFlavour::tuple) {
        return jinja_bool(has_end(self_text(call), text_argument(call, 0, "prefix"), front));
    }
    for (const JinjaValue& end : several->items) {
        if (!end.text()) refuse("startswith and endswith take texts");
        if (has_end(self_text(call), *end.text(), front)) return jinja_bool(true);
    }
    return jinja_bool(false);
}
JinjaValue text_startswith(JinjaCall& call) { return test_end(call, true); }
JinjaValue text_endswith(JinjaCall& call) { return test_end(call, false); }

JinjaValue text_upper(JinjaCall& call) { return charged_text(unicode_upper(self_text(call)), call.context.budget); }
JinjaValue text_lower(JinjaCall& call) { return charged_text(unicode_lower(self_text(call)), call.context.budget); }
JinjaValue text_capitalize(JinjaCall& call) {
    return charged_text(python_capitalize(self_text(call)), call.context.budget);
}

JinjaValue text_replace(JinjaCall& call) {
    const std::string &old = text_argument(call, 0, "old"), &with = text_argument(call, 1, "new");
    const std::int64_t most = integer_argument(call, 2, "count", -1);
    const std::string& text = self_text(call);
    const std::int64_t places = old.empty() ? count_characters(text) + 1 : count_parts(text, old);
    call.context.budget.charge(static_cast<std::int64_t>(text.size()));
    if (places == 0) return call.self;
    const std::int64_t growth = static_cast<std::int64_t>(with.size()) * places;
    call.context.budget.charge(growth);
    return jinja_text(python_replace(text, old, with, most));
}

JinjaValue text_join(JinjaCall& call) {
    const JinjaValue* parts = argument(call, 0, "iterable");
    if (!parts) refuse("join takes what it joins");
    std::string out;
    bool first = true;
    for (const JinjaValue& part : jinja_items(*parts, call.context.budget)) {
        if (!part.text()) refuse("join joins texts only");
        call.context.budget.charge(static_cast<std::int64_t>(part.text()->size() + self_text(call).size()));
        if (!first) out += self_text(call);
        first = false;
        out += *part.text();
    }
    return jinja_text(std::move(out));
}

JinjaValue find_place(JinjaCall& call, bool last, bool must) {
    if (call.positional.size() > 1) unsupported("find and index with a place");
    const std::string& text = self_text(call);
    const std::string& part = text_argument(call, 0, "sub");
    call.context.budget.charge(static_cast<std::int64_t>(text.size() / 4));
    const std::size_t found = last ? text.rfind(part) : text.find(part);
    if (found == text.npos && must) refuse("substring not found");
    return jinja_integer(found == text.npos ? -1 : count_characters(std::string_view(text).substr(0, found)));
}
JinjaValue text_find(JinjaCall& call) { return find_place(call, false, false); }
JinjaValue text_rfind(JinjaCall& call) { return find_place(call, true, false); }
JinjaValue text_index(JinjaCall& call) { return find_place(call, false, true); }

JinjaValue text_count(JinjaCall& call) {
    const std::string& part = text_argument(call, 0, "sub");
    call.context.budget.charge(static_cast<std::int64_t>(self_text(call).size()));
    return jinja_integer(part.empty() ? count_characters(self_text(call)) + 1 : count_parts(self_text(call), part));
}

JinjaValue text_removeprefix(JinjaCall& call) {
    const std::string &text = self_text(call), &end = text_argument(call, 0, "prefix");
    return has_end(text, end, true) ? charged_text(text.substr(end.size()), call.context.budget) : call.self;
}
JinjaValue text_removesuffix(JinjaCall& call) {
    const std::string &text = self_text(call), &end = text_argument(call, 0, "suffix");
    if (!has_end(text, end, false)) return call.self;
    return charged_text(text.substr(0, text.size() - end.size()), call.context.budget);
}

// isdigit, isalpha, ... hold where a text is not empty and every character is of the kind; ASCII only is decided here.
JinjaValue every_character(JinjaCall& call, bool (*holds)(char)) {
    const std::string& text = self_text(call);
    call.context.budget.charge(static_cast<std::int64_t>(text.size() / 8));
    for (const char c : text) {
        if (static_cast<unsigned char>(c) >= 0x80) unsupported("isdigit and the like on text beyond ASCII");
    }
    return jinja_bool(!text.empty() && std::all_of(text.begin(), text.end(), holds));
}
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
JinjaValue text_isdigit(JinjaCall& call) { return every_character(call, is_digit); }
JinjaValue text_isalpha(JinjaCall& call) { return every_character(call, is_letter); }
JinjaValue text_isalnum(JinjaCall& call) {
    return every_character(call, [](char c) { return is_digit(c) || is_letter(c); });
}
JinjaValue text_isspace(JinjaCall& call) {
    return every_character(call, [](char c) { return is_python_space(static_cast<unsigned char>(c)); });
}

constexpr JinjaBuiltin kTextMethods[] = {
    {"capitalize", "", text_capitalize},
    {"center", "*", nullptr},
    {"count", "sub", text_count},
    {"encode", "*", nullptr},
    {"endswith", "prefix start end", text_endswith},
    {"expandtabs", "*", nullptr},
    {"find", "sub start end", text_find},
    {"format", "*", nullptr},
    {"format_map", "*", nullptr},
    {"index", "sub start end", text_index},
    {"isalnum", "", text_isalnum},
    {"isalpha", "", text_isalpha},
    {"isdigit", "", text_isdigit},
    {"islower", "*", nullptr},
    {"isnumeric", "*", nullptr},
    {"isspace", "", text_isspace},
    {"isupper", "*", nullptr},
    {"join", "iterable", text_join},
    {"ljust", "*", nullptr},
    {"lower", "", text_lower},
    {"lstrip", "chars", text_lstrip},
    {"partition", "*", nullptr},
    {"removeprefix", "prefix", text_removeprefix},
    {"removesuffix", "suffix", text_removesuffix},
    {"replace", "old new count", text_replace},
    {"rfind", "sub start end", text_rfind},
    {"rjust", "*", nullptr},
    {"rpartition", "*", nullptr},
    {"rsplit", "sep maxsplit", text_rsplit},
    {"rstrip", "chars", text_rstrip},
    {"split", "sep maxsplit", text_split},
    {"splitlines", "keepends", text_splitlines},
    {"startswith", "prefix start end", text_startswith},
    {"strip", "chars", text_strip},
    {"title", "*", nullptr},
    {"translate", "*", nullptr},
    {"upper", "", text_upper},
    {"zfill", "*", nullptr},
};

// ---- of dicts

JinjaValue dict_items(JinjaCall& call) {
    const JinjaDict& dict = *call.self.dict();
    call.context.budget.charge(static_cast<std::int64_t>(dict.members.size()) * 128);
    std::vector<JinjaValue> items;
    items.reserve(dict.members.size());
    for (const auto& [key, value] : dict.members) items.push_back(jinja_list({{key}, value}, JinjaFlavour::tuple));
    return jinja_list(std::move(items), JinjaFlavour::items);
}
JinjaValue dict_keys(JinjaCall& call) {
    return jinja_list(jinja_items(call.self, call.context.budget), JinjaFlavour::keys);
}
JinjaValue dict_values(JinjaCall& call) {
    const JinjaDict& dict = *call.self.dict();
    call.context.budget.charge(static_cast<std::int64_t>(dict.members.size()) * 32);
    std::vector<JinjaValue> items;
    for (const auto& [key, value] : dict.members) items.push_back(value);
    return jinja_list(std::move(items), JinjaFlavour::values);
}
JinjaValue dict_get(JinjaCall& call) {
    const JinjaValue* key = argument(call, 0, "key");
    if (!key) refuse("get expected at least 1 argument");
    const JinjaValue* found = key->text() ? call.self.dict()->find(*key->text()) : nullptr;
    if (found) return *found;
    const JinjaValue* fallback = argument(call, 1, "default");
    return fallback ? *fallback : jinja_none();
}
JinjaValue dict_copy(JinjaCall& call) { return call.self; }

[[noreturn]] JinjaValue changes(JinjaCall& call) {
    refuse(fmt::format("a method that changes a {} is not allowed in a template", jinja_type_name(call.self)));
}

constexpr JinjaBuiltin kDictMethods[] = {
    {"clear", "*", changes},     {"copy", "", dict_copy},      {"get", "key default", dict_get},
    {"items", "", dict_items},   {"keys", "", dict_keys},      {"pop", "*", changes},
    {"popitem", "*", changes},   {"setdefault", "*", changes}, {"update", "*", changes},
    {"values", "", dict_values},
};

// ---- of lists

JinjaValue list_index(JinjaCall& call) {
    const JinjaValue* what = argument(call, 0, "value");
    const std::vector<JinjaValue>& items = call.self.list()->items;
    for (std::size_t i = 0; what && i < items.size(); ++i) {
        if (jinja_equal(items[i], *what, call.context.budget)) return jinja_integer(static_cast<std::int64_t>(i));
    }
    refuse("the value is not in the list");
}
JinjaValue list_count(JinjaCall& call) {
    const JinjaValue* what = argument(call, 0, "value");
    std::int64_t count = 0;
    for (const JinjaValue& item : call.self.list()->items) {
        count += what && jinja_equal(item, *what, call.context.budget) ? 1 : 0;
    }
    return jinja_integer(count);
}

constexpr JinjaBuiltin kListMethods[] = {
    {"append", "*", changes},       {"clear", "*", changes},  {"count", "value", list_count}, {"extend", "*", changes},
    {"index", "value", list_index}, {"insert", "*", changes}, {"pop", "*", changes},          {"remove", "*", changes},
    {"reverse", "*", changes},      {"sort", "*", changes},
};

const JinjaBuiltin* find_in(std::span<const JinjaBuiltin> list, std::string_view name) {
    const auto found = std::find_if(list.begin(), list.end(), [&](const JinjaBuiltin& b) { return name == b.name; });
    return found == list.end() ? nullptr : &*found;
}

}  // namespace

const JinjaBuiltin* find_jinja_method(const JinjaValue& self, std::string_view name) {
    if (self.text()) return find_in(kTextMethods, name);
    if (self.dict()) return find_in(kDictMethods, name);
    if (const JinjaList* list = self.list()) {
        return list->flavour <= JinjaFlavour::tuple ? find_in(kListMethods, name) : nullptr;
    }
    return nullptr;
}

}  // namespace argosy
