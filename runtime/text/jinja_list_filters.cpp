// Filters of a template's language that walk a list: choosing, mapping, sorting, joining.
#include <fmt/format.h>

#include <algorithm>

#include "runtime/text/jinja_builtins.hpp"
#include "runtime/text/jinja_filters.hpp"
#include "runtime/text/unicode_icu.hpp"

namespace argosy {

namespace {

std::vector<JinjaValue> self_items(JinjaCall& call) { return jinja_items(call.self, call.context.budget); }

// A member by a path "a.b.0", as the filters' argument `attribute` names it.
JinjaValue member_at(const JinjaValue& item, const JinjaValue& path, JinjaBudget& budget) {
    if (!path.text()) return jinja_item(item, path, budget);
    JinjaValue value = item;
    std::string_view rest = *path.text();
    budget.charge(static_cast<std::int64_t>(rest.size()));
    while (true) {
        const std::size_t end = std::min(rest.find('.'), rest.size());
        const std::string_view name = rest.substr(0, end);
        const bool number = !name.empty() && name.size() < 10 && name.find_first_not_of("0123456789") == name.npos;
        value = jinja_item(value, number ? jinja_integer(std::stoll(std::string(name))) : jinja_text(std::string(name)),
                           budget);
        if (end == rest.size()) return value;
        rest.remove_prefix(end + 1);
    }
}

JinjaValue filter_list(JinjaCall& call) { return jinja_list(self_items(call)); }

JinjaValue filter_join(JinjaCall& call) {
    const JinjaValue *by = argument(call, 0, "d"), *attribute = argument(call, 1, "attribute");
    JinjaBudget& budget = call.context.budget;
    const std::string between = by ? python_text(*by, budget) : "";
    std::string out;
    bool first = true;
    for (const JinjaValue& item : self_items(call)) {
        budget.charge(static_cast<std::int64_t>(between.size()));
        if (!first) out += between;
        first = false;
        append_python_text(out, attribute ? member_at(item, *attribute, budget) : item, budget);
    }
    return charged_text(std::move(out), budget);
}

JinjaValue one_of(JinjaCall& call, bool last) {
    const std::vector<JinjaValue> items = self_items(call);
    if (!items.empty()) return last ? items.back() : items.front();
    return {JinjaUndefined{std::make_shared<const std::string>("an item of an empty sequence")}};
}
JinjaValue filter_first(JinjaCall& call) { return one_of(call, false); }
JinjaValue filter_last(JinjaCall& call) { return one_of(call, true); }

JinjaValue filter_reverse(JinjaCall& call) {
    std::vector<JinjaValue> items = self_items(call);
    std::reverse(items.begin(), items.end());
    if (!call.self.text()) return jinja_list(std::move(items), JinjaFlavour::generator);
    std::string out;
    for (const JinjaValue& item : items) out += *item.text();
    return charged_text(std::move(out), call.context.budget);
}

JinjaValue filter_sum(JinjaCall& call) {
    const JinjaValue *attribute = argument(call, 0, "attribute"), *start = argument(call, 1, "start");
    JinjaBudget& budget = call.context.budget;
    JinjaValue sum = start ? *start : jinja_integer(0);
    for (const JinjaValue& item : self_items(call)) {
        const bool whole = !attribute || attribute->is_none();
        sum = jinja_binary(JinjaOp::add, sum, whole ? item : member_at(item, *attribute, budget), budget);
    }
    return sum;
}

// ---- order

// What a value is sorted by: texts without regard to case unless asked for.
JinjaValue sort_key(const JinjaValue& value, bool case_sensitive, JinjaBudget& budget) {
    if (case_sensitive || !value.text()) return value;
    return charged_text(unicode_lower(*value.text()), budget);
}

// Stable order of `keys`: the indices of the items.
std::vector<std::size_t> sorted_indices(const std::vector<JinjaValue>& keys, bool reverse, JinjaBudget& budget) {
    std::vector<std::size_t> indices(keys.size());
    for (std::size_t i = 0; i < keys.size(); ++i) indices[i] = i;
    std::stable_sort(indices.begin(), indices.end(), [&](std::size_t a, std::size_t b) {
        const int order = jinja_compare(keys[a], keys[b], budget);
        return reverse ? order > 0 : order < 0;
    });
    return indices;
}

JinjaValue filter_sort(JinjaCall& call) {
    const std::vector<JinjaValue> items = self_items(call);
    const bool reverse = truth_argument(call, 0, "reverse", false);
    const bool case_sensitive = truth_argument(call, 1, "case_sensitive", false);
    const JinjaValue* attribute = argument(call, 2, "attribute");
    JinjaBudget& budget = call.context.budget;
    std::vector<JinjaValue> keys;
    for (const JinjaValue& item : items) {
        const bool whole = !attribute || attribute->is_none();
        keys.push_back(sort_key(whole ? item : member_at(item, *attribute, budget), case_sensitive, budget));
    }
    std::vector<JinjaValue> sorted;
    for (const std::size_t i : sorted_indices(keys, reverse, budget)) sorted.push_back(items[i]);
    return jinja_list(std::move(sorted));
}

JinjaValue filter_dictsort(JinjaCall& call) {
    const JinjaDict* dict = call.self.dict();
    if (const auto* undefined = call.self.as<JinjaUndefined>()) refuse_undefined(*undefined);
    if (!dict) refuse("dictsort of what is no dict");
    const bool case_sensitive = truth_argument(call, 0, "case_sensitive", false);
    const JinjaValue* by = argument(call, 1, "by");
    const std::string what = by ? text_argument(call, 1, "by") : "key";
    if (what != "key" && what != "value") refuse("You can only sort by either \"key\" or \"value\"");
    JinjaBudget& budget = call.context.budget;
    budget.charge(static_cast<std::int64_t>(dict->members.size()) * 128);
    std::vector<JinjaValue> keys, sorted;
    for (const auto& [key, value] : dict->members) {
        keys.push_back(sort_key(what == "key" ? JinjaValue{key} : value, case_sensitive, budget));
    }
    for (const std::size_t i : sorted_indices(keys, truth_argument(call, 2, "reverse", false), budget)) {
        sorted.push_back(jinja_list({{dict->members[i].first}, dict->members[i].second}, JinjaFlavour::tuple));
    }
    return jinja_list(std::move(sorted));
}

JinjaValue extreme(JinjaCall& call, int wanted) {
    const bool case_sensitive = truth_argument(call, 0, "case_sensitive", false);
    const JinjaValue* attribute = argument(call, 1, "attribute");
    JinjaBudget& budget = call.context.budget;
    const std::vector<JinjaValue> items = self_items(call);
    if (items.empty()) return {JinjaUndefined{std::make_shared<const std::string>("an item of an empty sequence")}};
    std::size_t best = 0;
    JinjaValue best_key;
    for (std::size_t i = 0; i < items.size(); ++i) {
        JinjaValue key =
            sort_key(attribute ? member_at(items[i], *attribute, budget) : items[i], case_sensitive, budget);
        if (i > 0 && jinja_compare(key, best_key, budget) != wanted) continue;
        best = i;
        best_key = std::move(key);
    }
    return items[best];
}
JinjaValue filter_min(JinjaCall& call) { return extreme(call, -1); }
JinjaValue filter_max(JinjaCall& call) { return extreme(call, 1); }

JinjaValue filter_unique(JinjaCall& call) {
    const bool case_sensitive = truth_argument(call, 0, "case_sensitive", false);
    const JinjaValue* attribute = argument(call, 1, "attribute");
    JinjaBudget& budget = call.context.budget;
    std::vector<JinjaValue> keys, kept;
    for (const JinjaValue& item : self_items(call)) {
        const bool whole = !attribute || attribute->is_none();
        JinjaValue key = sort_key(whole ? item : member_at(item, *attribute, budget), case_sensitive, budget);
        if (key.list() || key.dict()) refuse("unique of what cannot be hashed");
        const auto same = [&](const JinjaValue& known) { return jinja_equal(known, key, budget); };
        if (std::any_of(keys.begin(), keys.end(), same)) continue;
        keys.push_back(std::move(key));
        kept.push_back(item);
    }
    return jinja_list(std::move(kept), JinjaFlavour::generator);
}

// ---- choosing and mapping

// Runs the filter or test that a call names in its argument at `position`, on `value`, with the arguments behind it.
JinjaValue run_named(JinjaCall& call, std::size_t position, const JinjaValue& value, bool test) {
    const std::string& name = text_argument(call, position, test ? "test" : "filter");
    const JinjaBuiltin* builtin = test ? find_jinja_test(name) : find_jinja_filter(name);
    if (!builtin) unsupported(fmt::format("the {} \"{}\"", test ? "test" : "filter", name));
    JinjaCall inner{call.context, value};
    for (std::size_t i = position + 1; i < call.positional.size(); ++i) inner.positional.push_back(call.positional[i]);
    inner.named = call.named;
    call.context.budget.charge(32);
    return run_builtin(*builtin, inner);
}

// The items that pass a test, on themselves or on the member that the first argument names; without a test their truth
// counts.
JinjaValue choose(JinjaCall& call, bool by_member, bool wanted) {
    if (by_member && call.positional.empty()) refuse("Missing parameter for attribute name");
    const std::size_t test = by_member ? 1 : 0;
    std::vector<JinjaValue> kept;
    for (JinjaValue& item : self_items(call)) {
        const JinjaValue subject = by_member ? member_at(item, call.positional[0], call.context.budget) : item;
        const bool holds = jinja_truth(test < call.positional.size() ? run_named(call, test, subject, true) : subject);
        if (holds == wanted) kept.push_back(std::move(item));
    }
    return jinja_list(std::move(kept), JinjaFlavour::generator);
}
JinjaValue filter_select(JinjaCall& call) { return choose(call, false, true); }
JinjaValue filter_reject(JinjaCall& call) { return choose(call, false, false); }
JinjaValue filter_selectattr(JinjaCall& call) { return choose(call, true, true); }
JinjaValue filter_rejectattr(JinjaCall& call) { return choose(call, true, false); }

JinjaValue filter_map(JinjaCall& call) {
    const JinjaValue *attribute = argument(call, 99, "attribute"), *fallback = argument(call, 99, "default");
    std::vector<JinjaValue> mapped;
    for (const JinjaValue& item : self_items(call)) {
        if (call.positional.empty() && attribute) {
            JinjaValue value = member_at(item, *attribute, call.context.budget);
            mapped.push_back(value.is_undefined() && fallback ? *fallback : std::move(value));
        } else {
            mapped.push_back(run_named(call, 0, item, false));
        }
    }
    return jinja_list(std::move(mapped), JinjaFlavour::generator);
}

// Attributes alone: members of a dict are none.
JinjaValue filter_attr(JinjaCall& call) {
    const std::string& name = text_argument(call, 0, "name");
    if (call.self.dict() && !find_jinja_method(call.self, name)) {
        return {JinjaUndefined{*argument(call, 0, "name")->as<JinjaText>(), jinja_type_name(call.self)}};
    }
    return jinja_attribute(call.self, *argument(call, 0, "name")->as<JinjaText>(), call.context);
}

constexpr JinjaBuiltin kListFilters[] = {
    {"attr", "name", filter_attr},
    {"dictsort", "case_sensitive by reverse", filter_dictsort},
    {"first", "", filter_first},
    {"join", "d attribute", filter_join},
    {"last", "", filter_last},
    {"list", "", filter_list},
    {"map", "*", filter_map},
    {"max", "case_sensitive attribute", filter_max},
    {"min", "case_sensitive attribute", filter_min},
    {"reject", "*", filter_reject},
    {"rejectattr", "*", filter_rejectattr},
    {"reverse", "", filter_reverse},
    {"select", "*", filter_select},
    {"selectattr", "*", filter_selectattr},
    {"sort", "reverse case_sensitive attribute", filter_sort},
    {"sum", "attribute start", filter_sum},
    {"unique", "case_sensitive attribute", filter_unique},
};

}  // namespace

std::span<const JinjaBuiltin> jinja_list_filters() { return kListFilters; }

}  // namespace argosy
