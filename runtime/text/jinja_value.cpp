// Truth, equality, order and spelling of a template's values, as Python has them.
#include "runtime/text/jinja_value.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "runtime/text/jinja_builtins.hpp"
#include "runtime/text/unicode_icu.hpp"
#include "runtime/text/utf8.hpp"

namespace argosy {

void refuse(std::string text) { throw JinjaFailure{JinjaFailure::refused, 0, std::move(text)}; }
void unsupported(std::string text) { throw JinjaFailure{JinjaFailure::unsupported, 0, std::move(text)}; }

void refuse_undefined(const JinjaUndefined& value) {
    const std::string name = value.name ? *value.name : "";
    if (*value.owner == '\0') refuse(fmt::format("'{}' is undefined", name));
    refuse(fmt::format("'{}' has no attribute '{}'", value.owner, name));
}

std::int64_t JinjaValue::integer() const {
    if (const bool* held = as<bool>()) return *held ? 1 : 0;
    return std::get<std::int64_t>(v);
}

double JinjaValue::real() const {
    if (const double* held = as<double>()) return *held;
    return static_cast<double>(integer());
}

const JinjaValue* JinjaDict::find(std::string_view key) const {
    if (!index.empty()) {
        const auto found = index.find(key);
        return found == index.end() ? nullptr : &members[found->second].second;
    }
    for (const auto& [name, value] : members) {
        if (*name == key) return &value;
    }
    return nullptr;
}

JinjaValue jinja_text(std::string text) { return {std::make_shared<const std::string>(std::move(text))}; }

namespace {

int checked_depth(int inner) {
    if (inner >= kJinjaValueDepthMax) {
        throw JinjaFailure{JinjaFailure::limit, 0,
                           fmt::format("a value is nested more than {} levels deep", kJinjaValueDepthMax)};
    }
    return inner + 1;
}

}  // namespace

JinjaValue jinja_list(std::vector<JinjaValue> items, JinjaFlavour flavour) {
    int depth = 0;
    for (const JinjaValue& item : items) depth = std::max(depth, jinja_depth(item));
    JinjaList list{std::move(items), flavour, checked_depth(depth)};
    return {std::make_shared<const JinjaList>(std::move(list))};
}

JinjaValue jinja_dict(std::vector<std::pair<JinjaText, JinjaValue>> members) {
    constexpr std::size_t kIndexFrom = 12;
    JinjaDict dict;
    int depth = 0;
    for (const auto& member : members) depth = std::max(depth, jinja_depth(member.second));
    dict.depth = checked_depth(depth);
    const bool large = members.size() >= kIndexFrom;
    for (auto& member : members) {
        JinjaValue* known = const_cast<JinjaValue*>(dict.find(*member.first));
        if (known) {
            *known = std::move(member.second);
            continue;
        }
        dict.members.push_back(std::move(member));
        if (large) dict.index.emplace(*dict.members.back().first, dict.members.size() - 1);
    }
    return {std::make_shared<const JinjaDict>(std::move(dict))};
}

int jinja_depth(const JinjaValue& value) {
    if (const JinjaList* list = value.list()) return list->depth;
    if (const JinjaDict* dict = value.dict()) return dict->depth;
    if (const auto* function = value.as<JinjaFunction>()) return function->self ? jinja_depth(*function->self) + 1 : 0;
    if (const auto* loop = value.as<std::shared_ptr<const JinjaLoop>>()) return (*loop)->depth;
    return 0;
}

bool jinja_truth(const JinjaValue& value) {
    if (value.is_undefined() || value.is_none()) return false;
    if (value.is_integral()) return value.integer() != 0;
    if (const double* real = value.as<double>()) return *real != 0;
    if (const std::string* text = value.text()) return !text->empty();
    if (const JinjaList* list = value.list()) return list->flavour == JinjaFlavour::generator || !list->items.empty();
    if (const JinjaDict* dict = value.dict()) return !dict->members.empty();
    return true;
}

const char* jinja_type_name(const JinjaValue& value) {
    switch (value.v.index()) {
        case 0:
            return "Undefined";
        case 1:
            return "None";
        case 2:
            return "bool object";
        case 3:
        case 5:
            return "int object";
        case 4:
            return "float object";
        case 6:
            return "str object";
        case 7:
            return value.list()->flavour == JinjaFlavour::tuple ? "tuple object" : "list object";
        case 8:
            return "dict object";
        case 9:
            return "namespace object";
        case 10:
            return "macro";
        case 12:
            return "loop";
        default:
            return "function";
    }
}

// ---- equality and order
// ----------------------------------------------------------------------------------------------------------

namespace {

bool equal_lists(const JinjaList& a, const JinjaList& b, JinjaBudget& budget) {
    if (a.flavour != b.flavour || a.items.size() != b.items.size()) return false;
    for (std::size_t i = 0; i < a.items.size(); ++i) {
        if (!jinja_equal(a.items[i], b.items[i], budget)) return false;
    }
    return true;
}

bool equal_dicts(const JinjaDict& a, const JinjaDict& b, JinjaBudget& budget) {
    if (a.members.size() != b.members.size()) return false;
    for (const auto& [key, value] : a.members) {
        const JinjaValue* other = b.find(*key);
        if (!other || !jinja_equal(value, *other, budget)) return false;
    }
    return true;
}

}  // namespace

bool jinja_equal(const JinjaValue& a, const JinjaValue& b, JinjaBudget& budget) {
    budget.charge(16);
    if (a.is_integral() && b.is_integral()) return a.integer() == b.integer();
    if (a.is_number() && b.is_number()) return a.real() == b.real();
    if (a.v.index() != b.v.index()) return false;
    if (const std::string* text = a.text()) {
        if (text->size() != b.text()->size()) return false;
        budget.charge(static_cast<std::int64_t>(text->size() / 16));
        return *text == *b.text();
    }
    if (const JinjaList* list = a.list()) return list == b.list() || equal_lists(*list, *b.list(), budget);
    if (const JinjaDict* dict = a.dict()) return dict == b.dict() || equal_dicts(*dict, *b.dict(), budget);
    if (const auto* big = a.as<JinjaBigInteger>()) return *big->digits == *b.as<JinjaBigInteger>()->digits;
    if (a.is_undefined() || a.is_none()) return true;
    if (const auto* space = a.as<JinjaNamespace*>()) return *space == *b.as<JinjaNamespace*>();
    if (const auto* macro = a.as<const JinjaMacro*>()) return *macro == *b.as<const JinjaMacro*>();
    return false;
}

int jinja_compare(const JinjaValue& a, const JinjaValue& b, JinjaBudget& budget) {
    budget.charge(16);
    for (const JinjaValue* side : {&a, &b}) {
        if (const auto* undefined = side->as<JinjaUndefined>()) refuse_undefined(*undefined);
    }
    const auto sign = [](auto x, auto y) { return x < y ? -1 : (y < x ? 1 : 0); };
    if (a.is_integral() && b.is_integral()) return sign(a.integer(), b.integer());
    if (a.is_number() && b.is_number()) return sign(a.real(), b.real());
    if (a.text() && b.text()) {
        budget.charge(static_cast<std::int64_t>(std::min(a.text()->size(), b.text()->size()) / 16));
        return sign(a.text()->compare(*b.text()), 0);  // byte order of UTF-8 is the order of code points
    }
    const JinjaList *x = a.list(), *y = b.list();
    if (x && y && x->flavour == y->flavour && x->flavour <= JinjaFlavour::tuple) {
        for (std::size_t i = 0; i < x->items.size() && i < y->items.size(); ++i) {
            if (jinja_equal(x->items[i], y->items[i], budget)) continue;
            return jinja_compare(x->items[i], y->items[i], budget);
        }
        return sign(x->items.size(), y->items.size());
    }
    refuse(fmt::format("a {} and a {} have no order", jinja_type_name(a), jinja_type_name(b)));
}

// ---- spelling
// --------------------------------------------------------------------------------------------------------------------

std::string python_real(double value) {
    if (std::isnan(value)) return "nan";
    if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
    char buffer[40];
    const auto end = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific).ptr;
    std::string text(buffer, end);
    const std::size_t e = text.find('e');
    const int exponent = std::stoi(text.substr(e + 1));
    if (exponent < -4 || exponent >= 16) return text;  // mantissa without ".0" and two digits of exponent: as Python
    char fixed[400];
    const auto fixed_end = std::to_chars(fixed, fixed + sizeof fixed, value, std::chars_format::fixed).ptr;
    text.assign(fixed, fixed_end);
    if (text.find('.') == std::string::npos) text += ".0";
    return text;
}

namespace {

void append_repr_char(std::string& out, Utf8Char c, char quote) {
    const char32_t code = c.code;
    if (code == '\n') {
        out += "\\n";
    } else if (code == '\r') {
        out += "\\r";
    } else if (code == '\t') {
        out += "\\t";
    } else if (code == '\\' || code == static_cast<unsigned char>(quote)) {
        out += '\\';
        out += static_cast<char>(code);
    } else if (code >= 0x20 && code < 0x7F) {
        out += static_cast<char>(code);
    } else if (code >= 0x80 && unicode_is_printable(code)) {
        append_utf8(out, code);
    } else if (code < 0x100) {
        out += fmt::format("\\x{:02x}", static_cast<unsigned>(code));
    } else if (code < 0x10000) {
        out += fmt::format("\\u{:04x}", static_cast<unsigned>(code));
    } else {
        out += fmt::format("\\U{:08x}", static_cast<unsigned>(code));
    }
}

void append_repr_text(std::string& out, const std::string& text) {
    const bool single = text.find('\'') != std::string::npos;
    const char quote = single && text.find('"') == std::string::npos ? '"' : '\'';
    out += quote;
    for (std::size_t i = 0; i < text.size();) {
        const Utf8Char c = utf8_char(text.data() + i);
        append_repr_char(out, c, quote);
        i += c.bytes;
    }
    out += quote;
}

void append_repr_list(std::string& out, const JinjaList& list, JinjaBudget& budget) {
    const bool tuple = list.flavour == JinjaFlavour::tuple;
    switch (list.flavour) {
        case JinjaFlavour::generator:
            unsupported("printing a generator; put |list before it");
        case JinjaFlavour::range:
            unsupported("printing a range; put |list before it");
        case JinjaFlavour::keys:
            out += "dict_keys(";
            break;
        case JinjaFlavour::values:
            out += "dict_values(";
            break;
        case JinjaFlavour::items:
            out += "dict_items(";
            break;
        default:
            break;
    }
    out += tuple ? '(' : '[';
    for (std::size_t i = 0; i < list.items.size(); ++i) {
        if (i > 0) out += ", ";
        append_python_repr(out, list.items[i], budget);
    }
    if (tuple && list.items.size() == 1) out += ',';
    out += tuple ? ')' : ']';
    if (list.flavour >= JinjaFlavour::keys) out += ')';
}

}  // namespace

void append_python_repr(std::string& out, const JinjaValue& value, JinjaBudget& budget) {
    budget.charge(16);
    if (const std::string* text = value.text()) {
        budget.charge(static_cast<std::int64_t>(text->size()));
        append_repr_text(out, *text);
    } else if (const JinjaList* list = value.list()) {
        append_repr_list(out, *list, budget);
    } else if (const JinjaDict* dict = value.dict()) {
        out += '{';
        const char* comma = "";
        for (const auto& [key, member] : dict->members) {
            out += comma;
            comma = ", ";
            append_repr_text(out, *key);
            out += ": ";
            append_python_repr(out, member, budget);
        }
        out += '}';
    } else if (value.is_undefined()) {
        out += "Undefined";
    } else {
        append_python_text(out, value, budget);
    }
}

void append_python_text(std::string& out, const JinjaValue& value, JinjaBudget& budget) {
    if (value.is_undefined()) return;
    if (const std::string* text = value.text()) {
        budget.charge(static_cast<std::int64_t>(text->size()));
        out += *text;
    } else if (value.is_none()) {
        out += "None";
    } else if (const bool* truth = value.as<bool>()) {
        out += *truth ? "True" : "False";
    } else if (const std::int64_t* integer = value.as<std::int64_t>()) {
        out += std::to_string(*integer);
    } else if (const double* real = value.as<double>()) {
        out += python_real(*real);
    } else if (const auto* big = value.as<JinjaBigInteger>()) {
        out += *big->digits;
    } else if (value.list() || value.dict()) {
        append_python_repr(out, value, budget);
    } else {
        unsupported(fmt::format("printing a {}", jinja_type_name(value)));
    }
}

}  // namespace argosy
