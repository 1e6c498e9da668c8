// Tests of a template's language (`x is mapping`) and its functions (`range(3)`).
#include <fmt/format.h>

#include <array>

#include "runtime/text/jinja_builtins.hpp"
#include "runtime/text/unicode_icu.hpp"

namespace argosy {

namespace {

// ---- tests

const JinjaValue& other(const JinjaCall& call) {
    const JinjaValue* value = argument(call, 0, "other");
    if (!value) refuse("the test needs a value to compare with");
    return *value;
}

JinjaValue is_boolean(JinjaCall& call) { return jinja_bool(call.self.as<bool>()); }
JinjaValue is_callable(JinjaCall& call) {
    return jinja_bool(call.self.as<JinjaFunction>() || call.self.as<const JinjaMacro*>());
}
JinjaValue is_defined(JinjaCall& call) { return jinja_bool(!call.self.is_undefined()); }
JinjaValue is_undefined(JinjaCall& call) { return jinja_bool(call.self.is_undefined()); }
JinjaValue is_false(JinjaCall& call) {
    const bool* truth = call.self.as<bool>();
    return jinja_bool(truth && !*truth);
}
JinjaValue is_true(JinjaCall& call) {
    const bool* truth = call.self.as<bool>();
    return jinja_bool(truth && *truth);
}
JinjaValue is_none(JinjaCall& call) { return jinja_bool(call.self.is_none()); }
JinjaValue is_number(JinjaCall& call) { return jinja_bool(call.self.is_number() || call.self.as<JinjaBigInteger>()); }
JinjaValue is_integer(JinjaCall& call) {
    return jinja_bool(call.self.as<std::int64_t>() || call.self.as<JinjaBigInteger>());
}
JinjaValue is_float(JinjaCall& call) { return jinja_bool(call.self.as<double>()); }
JinjaValue is_string(JinjaCall& call) { return jinja_bool(call.self.text()); }
JinjaValue is_mapping(JinjaCall& call) { return jinja_bool(call.self.dict()); }
JinjaValue is_iterable(JinjaCall& call) {
    return jinja_bool(call.self.text() || call.self.dict() || call.self.list() || call.self.is_undefined());
}
JinjaValue is_sequence(JinjaCall& call) {
    const JinjaList* list = call.self.list();
    const bool indexed = list && (list->flavour <= JinjaFlavour::tuple || list->flavour == JinjaFlavour::range);
    return jinja_bool(call.self.text() || call.self.dict() || indexed || call.self.is_undefined());
}
JinjaValue is_equal(JinjaCall& call) { return jinja_bool(jinja_equal(call.self, other(call), call.context.budget)); }
JinjaValue is_unequal(JinjaCall& call) { return jinja_bool(!jinja_equal(call.self, other(call), call.context.budget)); }
JinjaValue is_less(JinjaCall& call) {
    return jinja_bool(jinja_compare(call.self, other(call), call.context.budget) < 0);
}
JinjaValue is_at_most(JinjaCall& call) {
    return jinja_bool(jinja_compare(call.self, other(call), call.context.budget) <= 0);
}
JinjaValue is_greater(JinjaCall& call) {
    return jinja_bool(jinja_compare(call.self, other(call), call.context.budget) > 0);
}
JinjaValue is_at_least(JinjaCall& call) {
    return jinja_bool(jinja_compare(call.self, other(call), call.context.budget) >= 0);
}
JinjaValue is_in(JinjaCall& call) { return jinja_bool(jinja_contains(other(call), call.self, call.context.budget)); }

bool divides(const JinjaValue& value, std::int64_t divisor) {
    if (const auto* undefined = value.as<JinjaUndefined>()) refuse_undefined(*undefined);
    if (!value.is_integral()) refuse("odd, even and divisibleby ask for integers");
    if (divisor == 0) refuse("division by zero");
    return divisor == -1 || value.integer() % divisor == 0;
}
JinjaValue is_divisible(JinjaCall& call) {
    if (!other(call).is_integral()) refuse("odd, even and divisibleby ask for integers");
    return jinja_bool(divides(call.self, other(call).integer()));
}
JinjaValue is_even(JinjaCall& call) { return jinja_bool(divides(call.self, 2)); }
JinjaValue is_odd(JinjaCall& call) { return jinja_bool(!divides(call.self, 2)); }

// Of what cannot change, the same is the equal of the same type.
JinjaValue is_same(JinjaCall& call) {
    const JinjaValue& value = other(call);
    if (call.self.list() || call.self.dict())
        return jinja_bool(call.self.list() == value.list() && call.self.dict() == value.dict());
    return jinja_bool(call.self.v.index() == value.v.index() && jinja_equal(call.self, value, call.context.budget));
}
JinjaValue is_lower(JinjaCall& call) {
    const std::string text = python_text(call.self, call.context.budget);
    return jinja_bool(unicode_lower(text) == text && unicode_upper(text) != text);
}
JinjaValue is_upper(JinjaCall& call) {
    const std::string text = python_text(call.self, call.context.budget);
    return jinja_bool(unicode_upper(text) == text && unicode_lower(text) != text);
}
JinjaValue is_filter(JinjaCall& call) {
    return jinja_bool(call.self.text() && find_jinja_filter(*call.self.text()) != nullptr);
}
JinjaValue is_test(JinjaCall& call) {
    return jinja_bool(call.self.text() && find_jinja_test(*call.self.text()) != nullptr);
}

constexpr JinjaBuiltin kTests[] = {
    {"!=", "other", is_unequal},
    {"<", "other", is_less},
    {"<=", "other", is_at_most},
    {"==", "other", is_equal},
    {">", "other", is_greater},
    {">=", "other", is_at_least},
    {"boolean", "", is_boolean},
    {"callable", "", is_callable},
    {"defined", "", is_defined},
    {"divisibleby", "other", is_divisible},
    {"eq", "other", is_equal},
    {"equalto", "other", is_equal},
    {"even", "", is_even},
    {"false", "", is_false},
    {"filter", "", is_filter},
    {"float", "", is_float},
    {"ge", "other", is_at_least},
    {"greaterthan", "other", is_greater},
    {"gt", "other", is_greater},
    {"in", "other", is_in},
    {"integer", "", is_integer},
    {"iterable", "", is_iterable},
    {"le", "other", is_at_most},
    {"lessthan", "other", is_less},
    {"lower", "", is_lower},
    {"lt", "other", is_less},
    {"mapping", "", is_mapping},
    {"ne", "other", is_unequal},
    {"none", "", is_none},
    {"number", "", is_number},
    {"odd", "", is_odd},
    {"sameas", "other", is_same},
    {"sequence", "", is_sequence},
    {"string", "", is_string},
    {"test", "", is_test},
    {"true", "", is_true},
    {"undefined", "", is_undefined},
    {"upper", "", is_upper},
};

// ---- functions

JinjaValue function_raise(JinjaCall& call) {
    const JinjaValue* message = argument(call, 0, "message");
    throw JinjaFailure{JinjaFailure::raised, 0, message ? python_text(*message, call.context.budget) : ""};
}

JinjaValue function_namespace(JinjaCall& call) {
    call.context.budget.charge(256);
    call.context.namespaces.emplace_back();
    JinjaNamespace& space = call.context.namespaces.back();
    for (const JinjaValue& given : call.positional) {
        if (!given.dict()) unsupported("a namespace made of what is no dict");
        for (const auto& [name, value] : given.dict()->members) space.members.emplace_back(*name, value);
    }
    for (const auto& [name, value] : call.named) space.members.emplace_back(std::string(name), value);
    return {&space};
}

JinjaValue function_dict(JinjaCall& call) {
    std::vector<std::pair<JinjaText, JinjaValue>> members;
    for (const JinjaValue& given : call.positional) {
        if (!given.dict()) unsupported("a dict made of what is no dict");
        members.insert(members.end(), given.dict()->members.begin(), given.dict()->members.end());
    }
    for (const auto& [name, value] : call.named) {
        members.emplace_back(std::make_shared<const std::string>(name), value);
    }
    call.context.budget.charge(static_cast<std::int64_t>(members.size()) * 64);
    return jinja_dict(std::move(members));
}

JinjaValue function_range(JinjaCall& call) {
    if (call.positional.empty()) refuse("range expected at least 1 argument");
    const bool one = call.positional.size() == 1;
    const std::int64_t start = one ? 0 : integer_argument(call, 0, "start", 0);
    const std::int64_t stop = integer_argument(call, one ? 0 : 1, "stop", 0);
    const std::int64_t step = integer_argument(call, 2, "step", 1);
    constexpr std::int64_t kRangeMax = 100000;  // as Jinja's sandbox
    if (step == 0) refuse("range() arg 3 must not be zero");
    std::vector<JinjaValue> items;
    for (std::int64_t i = start; step > 0 ? i < stop : i > stop;) {
        if (static_cast<std::int64_t>(items.size()) == kRangeMax) {
            throw JinjaFailure{JinjaFailure::limit, 0,
                               "Range too big. The sandbox blocks ranges larger than MAX_RANGE (100000)."};
        }
        items.push_back(jinja_integer(i));
        if (__builtin_add_overflow(i, step, &i)) break;
    }
    call.context.budget.charge(static_cast<std::int64_t>(items.size()) * 32);
    return jinja_list(std::move(items), JinjaFlavour::range);
}

// Midnight of the context's day, in English.
JinjaValue function_strftime_now(JinjaCall& call) {
    constexpr std::array<const char*, 12> kMonths = {"January",   "February", "March",    "April",
                                                     "May",       "June",     "July",     "August",
                                                     "September", "October",  "November", "December"};
    constexpr std::array<const char*, 7> kDays = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                  "Thursday", "Friday", "Saturday"};
    constexpr std::array<int, 12> kBefore = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    const std::string& format = text_argument(call, 0, "format");
    const JinjaDate date = *call.context.date;
    const bool leap = (date.year % 4 == 0 && date.year % 100 != 0) || date.year % 400 == 0;
    const int day_of_year =
        kBefore[static_cast<std::size_t>(date.month - 1)] + date.day + (leap && date.month > 2 ? 1 : 0);
    const int y = date.year - (date.month < 3 ? 1 : 0);
    constexpr std::array<int, 12> kShift = {0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4};  // Sakamoto's rule for the weekday
    const int weekday =
        (y + y / 4 - y / 100 + y / 400 + kShift[static_cast<std::size_t>(date.month - 1)] + date.day) % 7;
    const std::string month = kMonths[static_cast<std::size_t>(date.month - 1)];
    const std::string day = kDays[static_cast<std::size_t>(weekday)];
    std::string out;
    for (std::size_t i = 0; i < format.size(); ++i) {
        if (format[i] != '%' || i + 1 == format.size()) {
            out += format[i];
            continue;
        }
        const bool plain = format[i + 1] == '-' && i + 2 < format.size();  // without leading zeros
        i += plain ? 2 : 1;
        const auto number = [&](int value, int width) { out += fmt::format("{:0{}}", value, plain ? 1 : width); };
        switch (format[i]) {
            case 'Y':
                number(date.year, 4);
                break;
            case 'y':
                number(date.year % 100, 2);
                break;
            case 'm':
                number(date.month, 2);
                break;
            case 'd':
                number(date.day, 2);
                break;
            case 'j':
                number(day_of_year, 3);
                break;
            case 'B':
                out += month;
                break;
            case 'b':
                out += month.substr(0, 3);
                break;
            case 'A':
                out += day;
                break;
            case 'a':
                out += day.substr(0, 3);
                break;
            case 'H':
            case 'M':
            case 'S':
                number(0, 2);
                break;
            case 'I':
                number(12, 2);
                break;
            case 'p':
                out += "AM";
                break;
            case 'F':
                out += fmt::format("{:04}-{:02}-{:02}", date.year, date.month, date.day);
                break;
            case 'T':
                out += "00:00:00";
                break;
            case '%':
                out += '%';
                break;
            default:
                unsupported(fmt::format("%{} in the format of strftime_now", format[i]));
        }
    }
    return charged_text(std::move(out), call.context.budget);
}

constexpr JinjaBuiltin kFunctions[] = {
    {"cycler", "*", nullptr},
    {"dict", "*", function_dict},
    {"joiner", "*", nullptr},
    {"lipsum", "*", nullptr},
    {"namespace", "*", function_namespace},
    {"raise_exception", "message", function_raise},
    {"range", "start stop step", function_range},
    {"strftime_now", "format", function_strftime_now},
};

template <std::size_t N>
const JinjaBuiltin* find_in(const JinjaBuiltin (&list)[N], std::string_view name) {
    for (const JinjaBuiltin& builtin : list) {
        if (name == builtin.name) return &builtin;
    }
    return nullptr;
}

}  // namespace

const JinjaBuiltin* find_jinja_test(std::string_view name) { return find_in(kTests, name); }
const JinjaBuiltin* find_jinja_function(std::string_view name) { return find_in(kFunctions, name); }

}  // namespace argosy
