// Walking, subscripts, members, `in` and arithmetic of a template's values.
#include <fmt/format.h>

#include <cmath>

#include "runtime/text/jinja_builtins.hpp"
#include "runtime/text/jinja_strings.hpp"
#include "runtime/text/utf8.hpp"

namespace argosy {

std::string python_text(const JinjaValue& value, JinjaBudget& budget) {
    std::string out;
    append_python_text(out, value, budget);
    return out;
}

JinjaValue charged_text(std::string text, JinjaBudget& budget) {
    budget.charge(static_cast<std::int64_t>(text.size()));
    return jinja_text(std::move(text));
}

std::vector<JinjaValue> jinja_items(const JinjaValue& value, JinjaBudget& budget) {
    std::vector<JinjaValue> items;
    if (const JinjaList* list = value.list()) {
        budget.charge(static_cast<std::int64_t>(list->items.size()) * 32);
        return list->items;
    }
    if (const JinjaDict* dict = value.dict()) {
        budget.charge(static_cast<std::int64_t>(dict->members.size()) * 32);
        for (const auto& [key, member] : dict->members) items.push_back({key});
        return items;
    }
    if (const std::string* text = value.text()) {
        budget.charge(static_cast<std::int64_t>(text->size()) * 64);
        for (std::size_t at = 0; at < text->size();) {
            const std::size_t bytes = utf8_char(text->data() + at).bytes;
            items.push_back(jinja_text(text->substr(at, bytes)));
            at += bytes;
        }
        return items;
    }
    if (value.is_undefined()) return items;
    refuse(fmt::format("'{}' is not iterable", jinja_type_name(value)));
}

namespace {

JinjaValue missing(const JinjaValue& object, JinjaText name) {
    return {JinjaUndefined{std::move(name), jinja_type_name(object)}};
}

const JinjaValue* member_of(const JinjaNamespace& space, std::string_view name) {
    for (const auto& [known, value] : space.members) {
        if (known == name) return &value;
    }
    return nullptr;
}

JinjaValue loop_member(const JinjaLoop& loop, const JinjaText& name, const JinjaValue& self) {
    const auto index = static_cast<std::int64_t>(loop.index), size = static_cast<std::int64_t>(loop.items.size());
    const auto neighbour = [&](std::int64_t at) {
        if (at < 0 || at >= size) return JinjaValue{JinjaUndefined{std::make_shared<const std::string>("loop item")}};
        return loop.items[static_cast<std::size_t>(at)];
    };
    if (*name == "index") return jinja_integer(index + 1);
    if (*name == "index0") return jinja_integer(index);
    if (*name == "revindex") return jinja_integer(size - index);
    if (*name == "revindex0") return jinja_integer(size - index - 1);
    if (*name == "first") return jinja_bool(index == 0);
    if (*name == "last") return jinja_bool(index + 1 == size);
    if (*name == "length") return jinja_integer(size);
    if (*name == "depth") return jinja_integer(1);  // of recursive loops
    if (*name == "depth0") return jinja_integer(0);
    if (*name == "previtem") return neighbour(index - 1);
    if (*name == "nextitem") return neighbour(index + 1);
    if (*name == "cycle" || *name == "changed") unsupported("loop." + *name);
    return missing(self, name);
}

}  // namespace

JinjaValue jinja_attribute(const JinjaValue& object, const JinjaText& name, JinjaContext& context) {
    if (const auto* undefined = object.as<JinjaUndefined>()) refuse_undefined(*undefined);
    if (const auto* space = object.as<JinjaNamespace*>()) {
        const JinjaValue* found = member_of(**space, *name);
        return found ? *found : missing(object, name);
    }
    if (const auto* loop = object.as<std::shared_ptr<const JinjaLoop>>()) return loop_member(**loop, name, object);
    if (const JinjaBuiltin* method = find_jinja_method(object, *name)) {
        context.budget.charge(64);
        return {JinjaFunction{method, std::make_shared<const JinjaValue>(object)}};
    }
    const JinjaDict* dict = object.dict();
    const JinjaValue* found = dict ? dict->find(*name) : nullptr;
    return found ? *found : missing(object, name);
}

JinjaValue jinja_item(const JinjaValue& object, const JinjaValue& key, JinjaBudget& budget) {
    if (const auto* undefined = object.as<JinjaUndefined>()) refuse_undefined(*undefined);
    if (const std::string* name = key.text()) {
        if (const JinjaDict* dict = object.dict()) {
            if (const JinjaValue* found = dict->find(*name)) return *found;
        }
        if (const auto* space = object.as<JinjaNamespace*>()) {
            if (const JinjaValue* found = member_of(**space, *name)) return *found;
        }
        if (const auto* loop = object.as<std::shared_ptr<const JinjaLoop>>()) {
            return loop_member(**loop, *key.as<JinjaText>(), object);
        }
        if (const JinjaBuiltin* method = find_jinja_method(object, *name)) {
            return {JinjaFunction{method, std::make_shared<const JinjaValue>(object)}};
        }
        return missing(object, *key.as<JinjaText>());
    }
    if (key.is_integral()) {
        std::int64_t index = key.integer();
        const JinjaList* list = object.list();
        if (list && list->flavour <= JinjaFlavour::range && list->flavour != JinjaFlavour::generator) {
            const auto size = static_cast<std::int64_t>(list->items.size());
            if (index < 0) index += size;
            if (index >= 0 && index < size) return list->items[static_cast<std::size_t>(index)];
        }
        if (const std::string* text = object.text()) {
            budget.charge(static_cast<std::int64_t>(text->size() / 8));
            const std::int64_t size = count_characters(*text);
            if (index < 0) index += size;
            if (index >= 0 && index < size) {
                const std::size_t at = character_offset(*text, index);
                return jinja_text(text->substr(at, utf8_char(text->data() + at).bytes));
            }
        }
    }
    std::string shown = "...";
    if (key.is_number() || key.is_none()) shown = python_text(key, budget);
    return missing(object, std::make_shared<const std::string>(std::move(shown)));
}

bool jinja_contains(const JinjaValue& where, const JinjaValue& what, JinjaBudget& budget) {
    if (const std::string* text = where.text()) {
        if (const auto* undefined = what.as<JinjaUndefined>()) refuse_undefined(*undefined);
        const std::string* part = what.text();
        if (!part) refuse(fmt::format("'in <string>' requires string as left operand, not {}", jinja_type_name(what)));
        budget.charge(static_cast<std::int64_t>(text->size() / 4));
        return text->find(*part) != text->npos;
    }
    if (const JinjaDict* dict = where.dict()) return what.text() && dict->find(*what.text());
    if (const JinjaList* list = where.list()) {
        for (const JinjaValue& item : list->items) {
            if (jinja_equal(item, what, budget)) return true;
        }
        return false;
    }
    if (where.is_undefined()) return false;
    refuse(fmt::format("'{}' is not iterable", jinja_type_name(where)));
}

// ---- arithmetic
// --------------------------------------------------------------------------------------------------------------------

namespace {

[[noreturn]] void no_operator(const char* sign, const JinjaValue& a, const JinjaValue& b) {
    for (const JinjaValue* side : {&a, &b}) {
        if (const auto* undefined = side->as<JinjaUndefined>()) refuse_undefined(*undefined);
    }
    refuse(fmt::format("{} is not defined between a {} and a {}", sign, jinja_type_name(a), jinja_type_name(b)));
}

JinjaValue checked(bool overflow, std::int64_t value) {
    if (overflow) unsupported("an integer beyond 64 bits");
    return jinja_integer(value);
}

JinjaValue add_values(const JinjaValue& a, const JinjaValue& b, JinjaBudget& budget) {
    if (const std::string* left = a.text()) {
        const std::string* right = b.text();
        if (!right) no_operator("+", a, b);
        budget.charge(static_cast<std::int64_t>(left->size() + right->size()));
        std::string joined;
        joined.reserve(left->size() + right->size());
        return jinja_text(std::move(joined.append(*left).append(*right)));
    }
    if (a.is_integral() && b.is_integral()) {
        std::int64_t sum = 0;
        const bool overflow = __builtin_add_overflow(a.integer(), b.integer(), &sum);
        return checked(overflow, sum);
    }
    if (a.is_number() && b.is_number()) return {a.real() + b.real()};
    const JinjaList *left = a.list(), *right = b.list();
    if (!left || !right || left->flavour != right->flavour || left->flavour > JinjaFlavour::tuple)
        no_operator("+", a, b);
    budget.charge(static_cast<std::int64_t>(left->items.size() + right->items.size()) * 32);
    std::vector<JinjaValue> items = left->items;
    items.insert(items.end(), right->items.begin(), right->items.end());
    return jinja_list(std::move(items), left->flavour);
}

JinjaValue repeat(const JinjaValue& what, std::int64_t times, JinjaBudget& budget) {
    times = std::max<std::int64_t>(times, 0);
    const std::int64_t unit = what.text() ? static_cast<std::int64_t>(what.text()->size())
                                          : static_cast<std::int64_t>(what.list()->items.size()) * 32;
    std::int64_t cost = 0;
    budget.charge(__builtin_mul_overflow(times, unit, &cost) ? INT64_MAX / 2 : cost);
    if (unit == 0) times = 0;
    if (const std::string* text = what.text()) {
        std::string out;
        for (std::int64_t i = 0; i < times; ++i) out += *text;
        return jinja_text(std::move(out));
    }
    std::vector<JinjaValue> items;
    for (std::int64_t i = 0; i < times; ++i) {
        items.insert(items.end(), what.list()->items.begin(), what.list()->items.end());
    }
    return jinja_list(std::move(items), what.list()->flavour);
}

JinjaValue multiply(const JinjaValue& a, const JinjaValue& b, JinjaBudget& budget) {
    const auto repeats = [](const JinjaValue& value) {
        return value.text() || (value.list() && value.list()->flavour <= JinjaFlavour::tuple);
    };
    if (a.is_integral() && b.is_integral()) {
        std::int64_t product = 0;
        const bool overflow = __builtin_mul_overflow(a.integer(), b.integer(), &product);
        return checked(overflow, product);
    }
    if (a.is_number() && b.is_number()) return {a.real() * b.real()};
    if (repeats(a) && b.is_integral()) return repeat(a, b.integer(), budget);
    if (a.is_integral() && repeats(b)) return repeat(b, a.integer(), budget);
    no_operator("*", a, b);
}

// Python's // and %: the quotient is rounded down, the remainder has the divisor's sign.
JinjaValue divide_down(JinjaOp op, const JinjaValue& a, const JinjaValue& b) {
    const bool quotient = op == JinjaOp::floor_divide;
    if (a.text() && !quotient) unsupported("formatting a text with %");
    if (!a.is_number() || !b.is_number()) no_operator(quotient ? "//" : "%", a, b);
    if (b.real() == 0) refuse("division by zero");
    if (a.is_integral() && b.is_integral()) {
        const std::int64_t x = a.integer(), y = b.integer();
        if (y == -1) return quotient ? checked(x == INT64_MIN, x == INT64_MIN ? 0 : -x) : jinja_integer(0);
        const std::int64_t rest = x % y;
        const bool lower = rest != 0 && (rest < 0) != (y < 0);
        return jinja_integer(quotient ? x / y - (lower ? 1 : 0) : rest + (lower ? y : 0));
    }
    const double x = a.real(), y = b.real();
    double rest = std::fmod(x, y);
    if (rest != 0 && (rest < 0) != (y < 0)) rest += y;
    return {quotient ? std::floor((x - rest) / y + 0.5) : rest};
}

JinjaValue power(const JinjaValue& a, const JinjaValue& b) {
    if (!a.is_number() || !b.is_number()) no_operator("**", a, b);
    if (!a.is_integral() || !b.is_integral() || b.integer() < 0) return {std::pow(a.real(), b.real())};
    std::int64_t result = 1;
    const std::int64_t base = a.integer();
    if (base == 0 || base == 1) return jinja_integer(b.integer() == 0 ? 1 : base);
    if (base == -1) return jinja_integer(b.integer() % 2 == 0 ? 1 : -1);
    for (std::int64_t i = 0; i < b.integer(); ++i) {
        if (__builtin_mul_overflow(result, base, &result)) unsupported("an integer beyond 64 bits");
    }
    return jinja_integer(result);
}

}  // namespace

JinjaValue jinja_binary(JinjaOp op, const JinjaValue& a, const JinjaValue& b, JinjaBudget& budget) {
    switch (op) {
        case JinjaOp::add:
            return add_values(a, b, budget);
        case JinjaOp::subtract: {
            if (a.is_integral() && b.is_integral()) {
                std::int64_t difference = 0;
                const bool overflow = __builtin_sub_overflow(a.integer(), b.integer(), &difference);
                return checked(overflow, difference);
            }
            if (a.is_number() && b.is_number()) return {a.real() - b.real()};
            no_operator("-", a, b);
        }
        case JinjaOp::multiply:
            return multiply(a, b, budget);
        case JinjaOp::divide:
            if (!a.is_number() || !b.is_number()) no_operator("/", a, b);
            if (b.real() == 0) refuse("division by zero");
            return {a.real() / b.real()};
        case JinjaOp::floor_divide:
        case JinjaOp::modulo:
            return divide_down(op, a, b);
        default:
            return power(a, b);
    }
}

}  // namespace argosy
